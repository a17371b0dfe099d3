"""Non-maximum suppression: of boxes that show the same, the one with the highest score is kept."""

from __future__ import annotations

import numpy as np

from skinmtl.regions.boxes import areas

BLOCK = 256  # boxes at a time: a block's overlaps with as many others, 256 kB, stay in the cache


def nms(boxes: np.ndarray, threshold: float, most: int | None = None) -> np.ndarray:
    """Indices (K) of the boxes (N, 4) float32, best first, that are kept; they rise. At most `most` are.

    A box is dropped where its IoU with one that was kept is above the threshold. Same as a loop over all boxes; but
    here whole blocks are compared with all that were kept before, and a loop runs inside a block alone, over bits.
    """
    boxes = np.ascontiguousarray(boxes, np.float32)
    sizes = areas(boxes)
    corners = np.ascontiguousarray(boxes.T)
    most = len(boxes) if most is None else most
    kept = np.zeros(0, np.intp)
    for start in range(0, len(boxes), BLOCK):
        block = np.arange(start, min(start + BLOCK, len(boxes)))
        for first in range(0, len(kept), BLOCK):
            before = kept[first : first + BLOCK]
            block = block[~_overlap(corners, sizes, before, block, threshold).any(axis=0)]
        chosen = _greedy(_overlap(corners, sizes, block, block, threshold))
        kept = np.concatenate([kept, block[chosen]])
        if len(kept) >= most:
            return kept[:most]
    return kept


def _overlap(
    corners: np.ndarray, sizes: np.ndarray, some: np.ndarray, others: np.ndarray, threshold: float
) -> np.ndarray:
    """bool (len(some), len(others)): whose IoU is above the threshold."""
    x1, y1, x2, y2 = corners[:, some, None]
    others_x1, others_y1, others_x2, others_y2 = corners[:, None, others]
    width = np.minimum(x2, others_x2)
    width -= np.maximum(x1, others_x1)
    np.maximum(width, 0, out=width)
    shared = np.minimum(y2, others_y2)
    shared -= np.maximum(y1, others_y1)
    np.maximum(shared, 0, out=shared)
    shared *= width
    union = np.add(sizes[some, None], sizes[others], out=width)
    union -= shared
    np.maximum(union, np.finfo(np.float32).tiny, out=union)  # two boxes without an area: 0, not 0 / 0
    shared /= union
    return shared > np.float32(threshold)


def _greedy(over: np.ndarray) -> list[int]:
    """Which of a block are kept, in order: each that none before it, itself kept, is over. over: bool (n, n)."""
    count = len(over)
    rows = np.packbits(over, axis=1)  # of a row the first box is the highest bit
    last = 8 * rows.shape[1] - 1
    dropped, chosen = 0, []
    for index in range(count):
        if not dropped >> (last - index) & 1:
            chosen.append(index)
            dropped |= int.from_bytes(rows[index].tobytes(), "big")
    return chosen
