"""A net's outputs on images, averaged over their crops, an image at a time: what scores and features are made of."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

import numpy as np
from tqdm import tqdm

import skinmtl
from caffe_files.errors import InputError
from skinmtl.data.bad_images import check_images_exist, refuse_bad_images
from skinmtl.data.manifest import Manifest
from skinmtl.engines.engine import Engine
from skinmtl.engines.snapshot import Snapshot
from skinmtl.images.reading import read_images
from skinmtl.images.resizing import RESIZING
from skinmtl.scores.crops import CROPS, CUTS
from skinmtl.scores.resumable import resumable_rows


@dataclass(frozen=True)
class Protocol:
    """How images are tested: resized to `short_side`, less `mean` (B, G, R), `batch_size` crops a forward pass.

    `crops` is 10, or 1 for the centre alone.
    """

    short_side: int
    mean: tuple[float, ...]
    batch_size: int
    engine: Engine
    workers: int
    crops: int = CROPS


def record(snapshot: Snapshot, protocol: Protocol) -> dict[str, Any]:
    """What decides the outputs, for the file that they are written to."""
    return {
        "short_side": protocol.short_side,
        "resizing": RESIZING,
        "crop": snapshot.side,
        "crops": protocol.crops,
        "mean": list(protocol.mean),
        **snapshot.record(),
    }


@contextmanager
def kept_outputs(
    snapshot: Snapshot,
    blobs: Sequence[str],
    manifest: Manifest,
    image_folder: Path,
    protocol: Protocol,
    made_how: dict[str, Any],
    out: Path,
    doing: str,
) -> Iterator[list[np.ndarray]]:
    """Yields each blob's outputs (N, width) float32, averaged over crops, rows in the manifest's order.

    What a stopped run has made for the file `out` is kept beside it, and used where everything is still the same,
    until the block ends well. `made_how` is their `record`, `doing` what the progress bar says.
    """
    check_side(snapshot, protocol)
    check_images_exist(manifest, image_folder)
    made_from = {**made_how, "blobs": list(blobs), "skinmtl": skinmtl.__version__}
    widths = [int(np.prod(snapshot.shapes.tops[blob][1:])) for blob in blobs]
    with resumable_rows(out, made_from, states(manifest, image_folder), sum(widths)) as rows:
        left = replace(manifest, rows=manifest.rows[len(rows.done) :])
        if rows.done:
            were = "image was" if len(rows.done) == 1 else "images were"
            tqdm.write(f"{len(rows.done)} {were} done before: {len(left.rows)} are left")

        def refuse(faults: dict[int, str]) -> None:
            refuse_bad_images(left, image_folder, faults)

        paths = [image_folder / row.image for row in left.rows]
        for row in averaged_outputs(snapshot, blobs, paths, protocol, refuse, doing):
            rows.append(row)
        yield np.split(np.stack(rows.done), np.cumsum(widths)[:-1], axis=1)


def averaged_outputs(
    snapshot: Snapshot,
    blobs: Sequence[str],
    paths: Sequence[Path],
    protocol: Protocol,
    refuse: Callable[[dict[int, str]], None],
    doing: str,
) -> Iterator[np.ndarray]:
    """Yields for each image the blobs' outputs, one after the other, averaged over its crops: (sum of widths,) float32.

    After a bad image the rest is only read, and `refuse` is given what is wrong with which.
    """
    net = snapshot.open()
    crops = _all_crops(paths, snapshot.side, protocol, refuse, doing)
    outputs: list[np.ndarray] = []
    while True:
        batch = list(islice(crops, protocol.batch_size))
        if not batch:
            return
        tops = net.forward({"data": batch}, blobs)
        outputs.extend(np.concatenate([top.reshape(len(batch), -1) for top in tops], axis=1))
        while len(outputs) >= protocol.crops:
            row = np.mean(outputs[: protocol.crops], axis=0)
            if not np.isfinite(row).all():
                raise InputError(
                    f"{snapshot.weights}: its outputs are NaN or infinite; training diverged, use a snapshot before"
                )
            yield row
            del outputs[: protocol.crops]


def check_side(snapshot: Snapshot, protocol: Protocol) -> None:
    """InputError where the net's input is larger than the resized images."""
    if snapshot.side > protocol.short_side:
        raise InputError(
            f"{snapshot.deploy}: takes {snapshot.side} pixels a side; give a --short-side of at least that"
        )


def _all_crops(
    paths: Sequence[Path], side: int, protocol: Protocol, refuse: Callable[[dict[int, str]], None], doing: str
) -> Iterator[np.ndarray]:
    """Yields the crops (3, side, side) of all images."""
    mean = np.array(protocol.mean)
    for _, pixels in read_images(paths, protocol.short_side, protocol.workers, refuse, doing):
        yield from CUTS[protocol.crops](pixels, side, mean)


def states(manifest: Manifest, image_folder: Path) -> list[list[Any]]:
    """Name, size and time of change of each image: what a stopped run has done must still be the same."""
    stats = ((row.image, (image_folder / row.image).stat()) for row in manifest.rows)
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]
