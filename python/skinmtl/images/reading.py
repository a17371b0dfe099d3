"""Many image files read for a net, in their order; all that cannot be used are named at once."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Iterator, Sequence

import numpy as np
from tqdm import tqdm

from skinmtl.common.parallel import ordered_map
from skinmtl.images import image_file
from skinmtl.images.told import Told


def read_images(
    paths: Sequence[Path], short_side: int, workers: int, refuse: Callable[[dict[int, str]], None], doing: str
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (number, pixels resized) of each file; what is to be known of some is told at the end, on stderr.

    After a bad file the rest is only read, and `refuse` is given what is wrong with which number. `doing` is what the
    progress bar says.
    """
    loaded = ordered_map(image_file.load, ((path, short_side) for path in paths), workers)
    faults: dict[int, str] = {}
    told = Told()
    for n, one in enumerate(tqdm(loaded, doing, len(paths), unit="image", disable=None)):
        told.add(str(paths[n]), one.told)
        if one.problem:
            faults[n] = one.problem
        if not faults:
            yield n, one.pixels
    if faults:
        refuse(faults)
    told.write()
