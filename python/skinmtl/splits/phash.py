"""A 64-bit perceptual hash of an image: near-duplicates have hashes that differ in few bits.

The DCT hash of Zauner ("Implementation and Benchmarking of Perceptual Image Hash Functions", 2010), as in the pHash
library: grey, smoothed, 32 x 32, two-dimensional DCT-II, the 8 x 8 coefficients of frequencies 1 to 8 in both
directions, each one bit: above their median or not. Size, compression, brightness and contrast hardly matter to it.
One difference: an area filter does the smoothing and the shrinking at once, in place of a 7 x 7 mean before a resize.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

SIDE = 32
FREQUENCIES = slice(1, 9)
BITS = 64


class PerceptualHash(NamedTuple):
    """bits      (64,) bool
    mirrored  (64,) bool, the bits of the image with left and right exchanged
    strength  root mean square of the 64 coefficients, in grey levels; small where noise alone decides the bits
    picture   (32, 32) uint8, what the hash was made from
    """

    bits: np.ndarray
    mirrored: np.ndarray
    strength: float
    picture: np.ndarray


def perceptual_hash(image: np.ndarray) -> PerceptualHash:
    """Of an (H, W, 3) uint8 BGR image, of any size and shape."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small)[FREQUENCIES, FREQUENCIES]
    mirrored = low.copy()
    mirrored[:, ::2] *= -1  # the DCT of a mirrored image: odd horizontal frequencies change their sign
    strength = float(np.sqrt(np.mean(low**2)))
    return PerceptualHash(_above_median(low), _above_median(mirrored), strength, np.rint(small).astype(np.uint8))


def _above_median(low: np.ndarray) -> np.ndarray:
    return (low > np.median(low)).reshape(-1)
