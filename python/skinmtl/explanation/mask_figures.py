"""How far a map lies on the lesion: its mass inside the mask, its highest pixel, its overlap at the best threshold.

Each is held against what needs no net: a Gaussian in the middle of the picture, the pixel in the middle, and a map that
is the same everywhere, which is chance. Photographs of lesions are taken with the lesion in the middle.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from skinmtl.figures.overlay import scaled

LEVELS = 256  # thresholds of the overlap: of all maps from their lowest to their highest value, evenly
SPREAD = 4  # a side of the picture through the Gaussian's standard deviation: our choice, two of them reach the edges


class Values(NamedTuple):
    """What one map is worth on one picture.

    evidence  of the map's positive part, which speaks for the label, the share that is inside the mask; 0 of a map
              that has none
    mass      the same of the map as it is drawn, stretched from 0 to 1; of a map that is the same everywhere, the
              mask's share of the picture ("energy-based pointing game", Wang et al. 2020)
    hit       1 where the map's highest pixel is inside the mask, else 0; of several the share (the pointing game of
              Zhang et al. 2018, without its tolerance of 15 pixels)
    overlaps  (LEVELS,) intersection over union of the mask and what is at or above each threshold
    """

    evidence: float
    mass: float
    hit: float
    overlaps: np.ndarray


def values_of(attention: np.ndarray, mask: np.ndarray) -> Values:
    """Of a map (H, W) and a mask (H, W) bool that has lesion and skin."""
    attention = np.asarray(attention, np.float64)
    shown, positive = scaled(attention), np.maximum(attention, 0)
    mass = _share(shown, mask) if shown.any() else float(mask.mean())
    highest = shown == shown.max()
    steps = (shown * (LEVELS - 1)).astype(np.int64)
    inside = _at_or_above(steps[mask])
    union = _at_or_above(steps.ravel()) + mask.sum() - inside
    evidence = _share(positive, mask) if positive.any() else 0.0
    return Values(evidence, mass, float(mask[highest].mean()), inside / union)


def gaussian(height: int, width: int) -> np.ndarray:
    """(H, W): highest in the middle of the picture."""
    rows, columns = (np.exp(-0.5 * (SPREAD * ((np.arange(side) + 0.5) / side - 0.5)) ** 2) for side in (height, width))
    return np.outer(rows, columns)


def centre_pixel(height: int, width: int) -> np.ndarray:
    """(H, W): 1 at the pixel in the middle, at the two or four where a side is even, 0 elsewhere."""
    rows, columns = (np.abs(np.arange(side) - (side - 1) / 2) < 1 for side in (height, width))
    return np.outer(rows, columns).astype(np.float64)


def _share(values: np.ndarray, mask: np.ndarray) -> float:
    return float(values[mask].sum() / values.sum())


def _at_or_above(steps: np.ndarray) -> np.ndarray:
    """(LEVELS,) how many are at or above each step."""
    return np.bincount(steps, minlength=LEVELS)[::-1].cumsum()[::-1]
