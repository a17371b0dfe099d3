"""The augmentations of LesionData: what is drawn for a visit of an image, and what becomes of image and mask.

Song et al. (2020) have flips, an affine map, a multiplication by 0.8 to 1.5 and a Gaussian blur, item for item the list
of matterport's samples/nucleus, whose numbers these are: of five, 0 to 2 are chosen. All that is drawn is a pure
function of the seed and of the visit's number, so that any engine, any number of workers and any resumed run sees the
same.
"""

from __future__ import annotations

import hashlib
import struct
from typing import NamedTuple

import numpy as np

from skinmtl.layers.changes import blurred, flipped, multiplied
from skinmtl.layers.jitter import part

FACTORS = (0.8, 1.5)
LARGEST_SIGMA, OF_SIDE = 5.0, 1024  # pixels of the paper's square; our choice: of a smaller one as much in proportion
FRACTION = 2.0**-64


class Draw(NamedTuple):
    """What happens to one visit's image: nothing, by default.

    turns    quarter turns against the clock, after the flips
    factor   of all pixels, clipped at 255
    sigma    of the blur, in pixels of a square of 1024
    numbers  two whole numbers below 2**24, for layers that draw more for this visit
    """

    left_right: bool = False
    up_down: bool = False
    turns: int = 0
    factor: float = 1.0
    sigma: float = 0.0
    numbers: tuple[int, int] = (0, 0)


def draw(seed: int, visit: int, most: int) -> Draw:
    """The draw of a visit: 512 bits of BLAKE2b of (seed, visit), 64 a value; 0 to `most` of five are chosen, each
    number of them and each choice as likely, and a flip that is chosen happens half of the times.

    >>> draw(1, 0, 2) == draw(1, 0, 2)
    True
    """
    digest = hashlib.blake2b(struct.pack("<QQ", seed, visit), digest_size=64).digest()
    count, order, left_right, up_down, turn, factor, sigma, numbers = struct.unpack("<8Q", digest)
    chosen = _ordered(5, part(order, 120))[: part(count, most + 1)]
    return Draw(
        left_right=0 in chosen and bool(left_right >> 63),
        up_down=1 in chosen and bool(up_down >> 63),
        turns=1 + part(turn, 3) if 2 in chosen else 0,
        factor=FACTORS[0] + (FACTORS[1] - FACTORS[0]) * factor * FRACTION if 3 in chosen else 1.0,
        sigma=LARGEST_SIGMA * sigma * FRACTION if 4 in chosen else 0.0,
        numbers=(numbers >> 40, numbers >> 16 & 0xFFFFFF),
    )


def order(seed: int, number: int, count: int) -> np.ndarray:
    """(count,): the order of the records in that pass over them, each order as likely."""
    words = [part for whole in (seed, number) for part in (whole & 0xFFFFFFFF, whole >> 32)]
    return np.random.RandomState(words).permutation(count)  # its numbers are the same in every release of numpy


def drawn_upon(image: np.ndarray, mask: np.ndarray, drawn: Draw, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Image (H, W, 3) uint8 and mask (H, W), resized for a square of `side` and not yet padded, as drawn.

    Our choice: padding is added to what comes out, so that it stays zero, and lies as that of any image does. (In
    matterport's code the padded square is augmented: the blur runs over its border, and odd pixels change sides.)
    """
    image = blurred(multiplied(image, drawn.factor), drawn.sigma * side / OF_SIDE)
    return _moved(image, drawn), _moved(mask, drawn)


def _moved(pixels: np.ndarray, drawn: Draw) -> np.ndarray:
    return np.rot90(flipped(pixels, drawn.left_right, drawn.up_down), drawn.turns)


def _ordered(count: int, number: int) -> list[int]:
    """The numbers below `count` in one of their orders, itself numbered from 0."""
    left, order = list(range(count)), []
    while left:
        number, place = divmod(number, len(left))
        order.append(left.pop(place))
    return order
