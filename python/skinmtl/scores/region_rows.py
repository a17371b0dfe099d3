"""What is kept of each image while a mask net scores many: one row of float32, and the arrays of all rows."""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from skinmtl.layers.lesion_data import box_of
from skinmtl.scores.mask_net import Answer, MaskNet

HALF = 4096  # a count of pixels is kept as two whole numbers, since float32 holds them up to 2**24 alone


def row_width(net: MaskNet, others: int) -> int:
    """Numbers a row, for a net with that many outputs beside its regions."""
    return 3 + 2 + 4 + 4 + 8 + net.classes + others


def row_of(answer: Answer, size: tuple[int, int], truth: np.ndarray | None, others: np.ndarray) -> np.ndarray:
    """(width,) float32 of an answer, the image's (height, width), its true mask (H, W) if any, and other outputs."""
    true_box = np.full(4, np.nan, np.float32)
    if truth is not None and truth.any():
        true_box = box_of(truth)
    counts = np.zeros(4, np.int64)
    if truth is not None and answer.mask is not None:
        counts[:] = mask_counts(answer.mask, truth)
    told = [answer.detected, answer.score, answer.dead]
    parts = [told, size, answer.box, true_box, *divmod(counts, HALF), answer.shares, others]
    return np.concatenate([np.asarray(part, np.float32).reshape(-1) for part in parts])


def arrays_of(rows: Sequence[np.ndarray], net: MaskNet) -> tuple[dict[str, Any], int, np.ndarray]:
    """The arrays of Scores that the rows hold, in how many the proposals are dead, and the outputs beside them
    (N, others)."""
    told, size, box, true_box, high, low, rest = np.split(np.stack(rows), np.cumsum([3, 2, 4, 4, 4, 4]), axis=1)
    arrays = {
        "detected": told[:, 0] != 0,
        "detection_scores": told[:, 1],
        "boxes": box,
        "true_boxes": true_box,
        "image_sizes": size.astype(np.int64),
    }
    if net.has_class:
        arrays["class_scores"] = rest[:, : net.classes]
    if net.has_mask:
        arrays["mask_counts"] = high.astype(np.int64) * HALF + low.astype(np.int64)
    return arrays, int(told[:, 2].sum()), rest[:, net.classes :]


def mask_counts(answer: np.ndarray, truth: np.ndarray) -> tuple[int, int, int, int]:
    """Pixels that are true positive, false positive, false negative and true negative, of masks (H, W) bool."""
    both, told, true = (int(np.count_nonzero(each)) for each in (answer & truth, answer, truth))
    return both, told - both, true - both, truth.size - told - true + both
