"""A photograph to look into: as the test sees it, and larger, for other scales and to draw on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from skinmtl.images import image_file
from skinmtl.images.image_file import Loaded

LARGEST = 4096  # pixels of the longer side that is kept, our choice: more is more than a screen shows
SMALLEST = 256  # of the shorter side of a picture that is drawn on, at least: large enough to look at


class Photograph(NamedTuple):
    """`pixels` (H, W, 3) uint8 BGR, resized to the test's short side, and `large`, the same at its own size."""

    pixels: np.ndarray
    large: np.ndarray

    def at(self, side: int) -> np.ndarray:
        """(H, W, 3) uint8 BGR, its shorter side `side`."""
        if side == min(self.pixels.shape[:2]):
            return self.pixels
        return image_file.resize_short_side(self.large, side)


def load_large(path: Path) -> Loaded:
    """The picture at its own size, its longer side at most LARGEST. Never raises."""
    try:
        return large_of(image_file.read(path))
    except image_file.ImageError as error:
        return Loaded(None, 0, str(error))


def large_of(data: bytes) -> Loaded:
    """The same of a file's bytes."""
    try:
        image = image_file.fitted(data, LARGEST)
    except image_file.ImageError as error:
        return Loaded(None, 0, str(error))
    return Loaded(image.pixels, image.had_short_side, "", image.told)


def drawable(large: np.ndarray) -> np.ndarray:
    """The picture at its own size, or enlarged to a shorter side of SMALLEST."""
    return large if min(large.shape[:2]) >= SMALLEST else image_file.resize_short_side(large, SMALLEST)
