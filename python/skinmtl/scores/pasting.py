"""A mask of a box's own grid laid onto the image that the box is in."""

from __future__ import annotations

import numpy as np

THRESHOLD = 0.5  # of a mask's probability, from which on a pixel is lesion: matterport and Detectron
ROWS = 512  # at once: what is not yet a yes or no takes 4 bytes a pixel, for photographs of 50 million of them


def pasted(mask: np.ndarray, box: np.ndarray, height: int, width: int) -> np.ndarray:
    """(height, width) bool: where a mask (m, m) of probabilities, stretched over a box, is THRESHOLD or more.

    The box is (x1, y1, x2, y2) in pixels of the image, not rounded. A pixel counts if its middle lies in the box; its
    value is bilinear between the middles of the mask's cells, and beyond the outermost ones it is theirs.
    """
    columns, across = _weights(box[0], box[2], mask.shape[1], width)
    rows, down = _weights(box[1], box[3], mask.shape[0], height)
    image = np.zeros((height, width), bool)
    stretched = np.asarray(mask, np.float32) @ across.T
    for first in range(0, len(down), ROWS):
        part = slice(rows.start + first, min(rows.start + first + ROWS, rows.stop))
        image[part, columns] = down[first : first + ROWS] @ stretched >= THRESHOLD
    return image


def _weights(low: float, high: float, cells: int, length: int) -> tuple[slice, np.ndarray]:
    """The pixels of `length` with their middle between two edges, and each one's share of each cell (pixels, cells)."""
    low, high = float(low), float(high)
    first, end = (int(np.clip(np.ceil(edge - 0.5), 0, length)) for edge in (low, high))
    if end <= first:
        return slice(0, 0), np.zeros((0, cells), np.float32)
    places = (np.arange(first, end) + 0.5 - low) / (high - low) * cells - 0.5
    places = np.clip(places, 0, cells - 1)
    left = np.minimum(places.astype(int), max(cells - 2, 0))
    shares = np.zeros((end - first, cells), np.float32)
    each = np.arange(end - first)
    shares[each, left] = 1 - (places - left)
    if cells > 1:
        shares[each, left + 1] = places - left
    return slice(first, end), shares
