"""Scale jittering: what is drawn for a visit of an image, and the crop that follows from it.

The paper: the shorter side is resized to a scale drawn from [256, 480], a random 224 crop is taken, flipped or not. All
that is drawn is a pure function of the seed and of the visit's number, so that any engine, any number of workers and
any resumed run sees the same crops.
"""

from __future__ import annotations

import hashlib
import struct
from typing import NamedTuple

import cv2
import numpy as np

from caffe_files.errors import InputError
from skinmtl.images import jpeg
from skinmtl.images.resizing import resize
from skinmtl.layers.changes import flipped, turned_square

REDUCED = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2))


class Draw(NamedTuple):
    """What is drawn for one visit: the scale in pixels, where the crop lies, and whether it is mirrored.

    x and y are fractions of 2**64 of the places that the image has for the crop.
    """

    scale: int
    x: int
    y: int
    mirrored: bool


def draw(seed: int, visit: int, scales: tuple[int, int]) -> Draw:
    """The draw of a visit: 256 bits of BLAKE2b of (seed, visit), 64 a value; both ends of `scales` are drawn.

    >>> draw(1, 0, (256, 480)) == draw(1, 0, (256, 480))
    True
    """
    digest = hashlib.blake2b(struct.pack("<QQ", seed, visit), digest_size=32).digest()
    scale, x, y, mirrored = struct.unpack("<4Q", digest)
    smallest, largest = scales
    return Draw(smallest + part(scale, largest - smallest + 1), x, y, bool(mirrored >> 63))


def crop_of(image: bytes, drawn: Draw, crop: int, largest_scale: int, degrees: float = 0.0) -> np.ndarray:
    """The crop (crop, crop, 3) uint8, BGR, of an encoded image, turned by `degrees` before it is mirrored.

    The image resized so that its shorter side is `drawn.scale` would have as many places for a crop; here the square of
    the original that such a crop shows is found, and it alone is resized. That is the same up to rounding: the
    square's side and place are whole pixels of the original. A JPEG with twice the pixels or more is decoded at a
    reduced size. InputError, without saying which image, where it cannot be decoded or would have to be enlarged for
    `largest_scale`.
    """
    stored = _jpeg_size(image)
    reductions = [flag for times, flag in REDUCED if stored and min(stored) >= times * drawn.scale]
    pixels = _pixels(image, reductions[0] if reductions else cv2.IMREAD_COLOR)
    if min(stored or pixels.shape[:2]) < largest_scale:
        raise InputError(
            f"its shorter side is {min(stored or pixels.shape[:2])} pixels, too small for scales up to "
            f"{largest_scale}; store the images with make_lmdb.py --short-side {largest_scale}"
        )
    height, width = pixels.shape[:2]
    short = min(height, width)
    side = min(short, (2 * crop * short + drawn.scale) // (2 * drawn.scale))
    top, left = part(drawn.y, height - side + 1), part(drawn.x, width - side + 1)
    if degrees:
        return flipped(turned_square(pixels, top, left, side, crop, degrees), drawn.mirrored, False)
    square = pixels[top : top + side, left : left + side]
    square = resize(square, (crop, crop))
    return flipped(square, drawn.mirrored, False)


def part(fraction: int, count: int) -> int:
    """One of `count` whole numbers from 0, by a fraction of 2**64."""
    return fraction * count >> 64


def _pixels(data: bytes, flag: int) -> np.ndarray:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise InputError("not an image that OpenCV reads; build the LMDBs again")
    return pixels


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) as the header of a JPEG says; None where it is none."""
    header = jpeg.header(data) if data.startswith(jpeg.START) else None
    return header and (header.height, header.width)
