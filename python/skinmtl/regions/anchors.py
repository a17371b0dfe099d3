"""Anchors: the boxes that the region proposal net starts from, one scale a level, some ratios at each cell."""

from __future__ import annotations

from functools import lru_cache
from typing import Sequence

import numpy as np


def anchors(side: int, scales: Sequence[float], ratios: Sequence[float], strides: Sequence[int]) -> np.ndarray:
    """All anchors (M, 4) float32 of an input of `side` pixels, read-only, in the order (level, ratio, row, column).

    One with the scale s and the ratio r is s sqrt(r) wide and s / sqrt(r) high, so that its area is s^2 whatever the
    ratio; its centre is (column, row) times the stride, without a shift by half a cell (matterport). None is left out
    for crossing the border: many lesions touch it.

    >>> len(anchors(1024, (32, 64, 128, 256, 512), (0.5, 1, 2), (4, 8, 16, 32, 64)))
    261888
    """
    return _cached(side, tuple(scales), tuple(ratios), tuple(strides))


def cells(side: int, strides: Sequence[int]) -> int:
    """Cells of all levels.

    >>> cells(1024, (4, 8, 16, 32, 64))
    87296
    """
    return sum((side // stride) ** 2 for stride in strides)


@lru_cache(maxsize=8)
def _cached(side: int, scales: tuple[float, ...], ratios: tuple[float, ...], strides: tuple[int, ...]) -> np.ndarray:
    levels = []
    for scale, stride in zip(scales, strides):
        root = np.sqrt(np.array(ratios, np.float64))
        half = np.stack([scale * root, scale / root], axis=1) / 2  # (A, 2)
        line = np.arange(side // stride) * stride
        centres = np.stack(np.meshgrid(line, line), axis=-1).reshape(1, -1, 2)  # x of a column, y of a row
        levels.append(np.concatenate([centres - half[:, None], centres + half[:, None]], axis=2).reshape(-1, 4))
    made = np.concatenate(levels).astype(np.float32)
    made.flags.writeable = False
    return made
