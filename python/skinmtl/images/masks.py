"""Masks of lesions: image files in which what is brighter than 128 is lesion, as the ISIC challenges' scorer has it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from skinmtl.images import image_file
from skinmtl.images.decoder import ImageError

__all__ = ["ImageError", "Mask", "largest_component", "mask_fault", "mask_notes", "nearest", "read_mask"]

THRESHOLD = 128  # above it is lesion
# A JPEG of black and white has colours that differ by some levels where it was stored as colour; our choice.
LARGEST_COLOUR = 32
NEIGHBOURS = 8  # of a pixel that belong to its component: the corners too


class Mask(NamedTuple):
    """A mask, and what a person should know of it.

    pixels          (H, W) bool, True is lesion, upright as its image is
    brightest       the largest of the file's values, 0 to 255
    n_values        how many different values the file has; more than two are grey
    n_components    how many lesions there are: regions that touch nowhere, not at a corner either
    touches_border  whether lesion lies on the first or last row or column
    """

    pixels: np.ndarray
    brightest: int
    n_values: int
    n_components: int
    touches_border: bool

    @property
    def is_empty(self) -> bool:
        return not self.pixels.any()

    @property
    def is_full(self) -> bool:
        return bool(self.pixels.all())

    @property
    def share(self) -> float:
        """Of the picture that is lesion, 0 to 1."""
        return float(self.pixels.mean())


def read_mask(path: Path) -> Mask:
    """Reads a mask from any of the formats that images are read from.

    ImageError where the file cannot be read, and where it has colours: then it is a picture, or its lesion is marked by
    a colour, and its brightness says nothing. What else may be wrong with it: `mask_fault` and `mask_notes`.
    """
    channels = image_file.decode(image_file.read(path))
    blue, green, red = cv2.split(channels)
    colour = max(int(cv2.absdiff(one, other).max()) for one, other in ((blue, green), (green, red), (blue, red)))
    if colour > LARGEST_COLOUR:
        raise ImageError("has colours, and is no mask; save the mask as black and white, the lesion white")
    values = np.flatnonzero(np.bincount(green.ravel(), minlength=256))
    pixels = green > THRESHOLD
    n_components = cv2.connectedComponents(pixels.astype(np.uint8), connectivity=NEIGHBOURS)[0] - 1
    edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    return Mask(pixels, int(values[-1]), len(values), n_components, any(bool(edge.any()) for edge in edges))


def mask_fault(mask: Mask, size: tuple[int, int] | None, allow_empty: bool = False, allow_full: bool = False) -> str:
    """What is wrong with a mask, in words without an end, or "".

    size  (height, width) of its image, upright; None: not known, not compared
    """
    height, width = mask.pixels.shape
    if size is not None and (height, width) != tuple(size):
        turned = ", turned by its EXIF orientation" if (width, height) == tuple(size) else ""
        return f"is {width} x {height} pixels, its image {size[1]} x {size[0]}{turned}"
    if mask.is_empty and not allow_empty:
        labels = f"brightest value {mask.brightest}, what is above {THRESHOLD} is lesion" if mask.brightest else ""
        return f"is all black{f' ({labels})' if labels else ''}: no lesion; --allow-empty-masks takes it so"
    if mask.is_full and not allow_full:
        return "is all white: no skin around the lesion; --allow-full-masks takes it so"
    return ""


def mask_notes(mask: Mask) -> list[str]:
    """What a person should know of a mask that is used all the same, a line each."""
    lines = []
    if mask.n_values > 2:
        lines.append(f"its mask has grey values: what is above {THRESHOLD} is lesion")
    if mask.n_components > 1:
        lines.append("its mask has several lesions")
    return lines


def largest_component(pixels: np.ndarray) -> np.ndarray:
    """(H, W) bool: the largest region alone; of equally large ones the first from the top left."""
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(pixels.astype(np.uint8), connectivity=NEIGHBOURS)
    if count < 3:
        return pixels
    return labels == 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))


def nearest(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """(height, width): each pixel the one that lies where its middle lies. In whole numbers, so that nothing rounds."""
    rows, columns = (
        (2 * np.arange(wanted) + 1) * there // (2 * wanted) for wanted, there in zip((height, width), pixels.shape)
    )
    return pixels[rows[:, np.newaxis], columns]
