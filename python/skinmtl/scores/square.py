"""A photograph as a mask net sees it, whole in a square, and the way back to its own pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from skinmtl.images import image_file
from skinmtl.images.decoder import ImageError
from skinmtl.images.letterbox import Letterbox
from skinmtl.images.masks import mask_fault, read_mask

LONG_SIDE = 1024  # as make_lmdb.py stores the images that such nets are trained on, unless it is told otherwise
SMALLEST, LARGEST = 512, 1024  # longer side of a picture with an outline on it: our choice, to be looked at on a screen


@dataclass(frozen=True, eq=False)
class Square:
    """pixels          (S, S, 3) uint8 BGR, zeros around the image
    place          where the image lies there, after its longer side was made as in training
    height, width  of the original image
    """

    pixels: np.ndarray
    place: Letterbox
    height: int
    width: int

    def box_back(self, box: np.ndarray) -> np.ndarray:
        """(4,) float32 in the original image of a box (4,) in the square, clipped to the image."""
        scale = np.array([self.width / self.place.width, self.height / self.place.height] * 2)
        back = self.place.boxes_back(box).astype(np.float64) * scale
        return np.clip(back, 0, [self.width, self.height] * 2).astype(np.float32)


class LoadedSquare(NamedTuple):
    """A photograph, and its true mask where one was asked for; or, in one line, what is wrong with either.

    `truth` is the mask (H, W), its bits packed: it goes from one process to another. `told` is what a person should
    know, a line each. `of_mask`: the fault is the mask's. `picture` (h, w, 3) is the photograph to draw on.
    """

    square: Square | None
    truth: np.ndarray | None
    problem: str
    told: tuple[str, ...] = ()
    of_mask: bool = False
    picture: np.ndarray | None = None

    def true_mask(self) -> np.ndarray | None:
        """(H, W) bool."""
        if self.truth is None or self.square is None:
            return None
        height, width = self.square.height, self.square.width
        return np.unpackbits(self.truth)[: height * width].reshape(height, width).astype(bool)


class Task(NamedTuple):
    """A photograph, the side of the square, what its own longer side is made first, at most, and the file of the true
    mask, if any; `drawn_on`: the photograph itself is wanted too, as `picture_of` makes it."""

    image: Path
    side: int
    long_side: int
    mask: Path | None = None
    drawn_on: bool = False


def load_square(task: Task) -> LoadedSquare:
    """Reads a photograph and its mask. Never raises for a bad file: workers call it."""
    try:
        return square_of(image_file.read(task.image), *task[1:])
    except ImageError as error:
        return LoadedSquare(None, None, str(error))


def square_of(data: bytes, side: int, long_side: int, mask: Path | None = None, drawn_on: bool = False) -> LoadedSquare:
    """The same of a photograph's bytes."""
    try:
        image = image_file.fitted(data, long_side)
        picture = picture_of(data) if drawn_on else None
    except ImageError as error:
        return LoadedSquare(None, None, str(error))
    place = Letterbox.of(*image.pixels.shape[:2], side)
    square = Square(place.image(image.pixels), place, *image.had_size)
    if mask is None:
        return LoadedSquare(square, None, "", image.told, picture=picture)
    try:
        true = read_mask(mask)
    except ImageError as error:
        return LoadedSquare(None, None, str(error), of_mask=True)
    fault = mask_fault(true, image.had_size, allow_empty=True, allow_full=True)
    if fault:
        return LoadedSquare(None, None, fault, of_mask=True)
    return LoadedSquare(square, np.packbits(true.pixels), "", image.told, picture=picture)


def picture_of(data: bytes) -> np.ndarray:
    """(h, w, 3) uint8 BGR of a photograph's bytes, to draw on: its longer side from SMALLEST to LARGEST pixels."""
    pixels = image_file.fitted(data, LARGEST).pixels
    times = SMALLEST / max(pixels.shape[:2])
    return cv2.resize(pixels, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC) if times > 1 else pixels
