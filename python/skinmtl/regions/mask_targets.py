"""What the mask subnet shall answer: the lesion's mask, cropped to a ROI and resized to the size of the answer."""

from __future__ import annotations

import numpy as np


def mask_targets(mask: np.ndarray, boxes: np.ndarray, side: int) -> np.ndarray:
    """0/1 (R, side, side) float32: a mask (H, W) of 0/1 as boxes (R, 4) see it.

    The mask is read bilinearly in the middle of each cell of a box's grid, outside as at its border, and rounded (0.5
    is lesion): matterport's crop and resize, but with the middle of cells, where RoIAlign reads the features and where
    an answer is laid back on the image.
    """
    steps = (np.arange(side) + 0.5) / side
    rows = boxes[:, 1:2] + (boxes[:, 3:4] - boxes[:, 1:2]) * steps - 0.5  # a pixel's middle lies half a pixel in
    columns = boxes[:, 0:1] + (boxes[:, 2:3] - boxes[:, 0:1]) * steps - 0.5
    top, bottom, down = _around(rows, mask.shape[0])
    left, right, across = _around(columns, mask.shape[1])
    down, across = down[:, :, None], across[:, None, :]
    upper = mask[top[:, :, None], left[:, None]] * (1 - across) + mask[top[:, :, None], right[:, None]] * across
    lower = mask[bottom[:, :, None], left[:, None]] * (1 - across) + mask[bottom[:, :, None], right[:, None]] * across
    return (upper * (1 - down) + lower * down >= 0.5).astype(np.float32)


def _around(places: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pixels before and after places (R, side) of a line, and how far each lies from the first to the second."""
    places = np.clip(places, 0, length - 1)
    first = np.floor(places).astype(np.intp)
    return first, np.minimum(first + 1, length - 1), places - first
