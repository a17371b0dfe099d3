"""How well anchors fit the lesions of a data set: said before a training, since a poor fit shows only in its result."""

from __future__ import annotations

from typing import Sequence

import numpy as np

LEVELS = (0.7, 0.5, 0.3)  # IoU from which the paper calls an anchor positive, that of a hit, that of background


def best_overlaps(
    boxes: np.ndarray, side: int, scales: Sequence[float], ratios: Sequence[float], strides: Sequence[int]
) -> np.ndarray:
    """The IoU (N) of each box (N, 4) with the anchor that fits it best. The boxes must have an area.

    Of anchors of one size the one whose centre is nearest along both axes overlaps most, so that it is enough to look
    at one a size.
    """
    boxes = boxes.astype(np.float64)
    centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    best = np.zeros(len(boxes))
    for scale, stride in zip(scales, strides):
        nearest = np.clip(np.rint(centres / stride), 0, side // stride - 1) * stride
        for ratio in ratios:
            own = np.array([scale * np.sqrt(ratio), scale / np.sqrt(ratio)])
            low = np.maximum(centres - sides / 2, nearest - own / 2)
            shared = np.maximum(np.minimum(centres + sides / 2, nearest + own / 2) - low, 0).prod(axis=1)
            best = np.maximum(best, shared / (sides.prod(axis=1) + own.prod() - shared))
    return best


def shares_reached(overlaps: np.ndarray) -> dict[float, float]:
    """The share of boxes whose IoU (N) with their best anchor reaches 0.7, 0.5 and 0.3; N is at least 1."""
    return {level: float(np.mean(overlaps >= level)) for level in LEVELS}


def told(shares: dict[float, float]) -> str:
    """The shares in a line for the user.

    >>> told({0.7: 0.35, 0.5: 0.76, 0.3: 1.0})
    'the best anchor reaches an IoU of 0.7 for 35 %, 0.5 for 76 %, 0.3 for 100 % of the lesions'
    """
    parts = ", ".join(f"{level:g} for {100 * share:.0f} %" for level, share in shares.items())
    return f"the best anchor reaches an IoU of {parts} of the lesions"
