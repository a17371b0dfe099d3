"""Proposals: the boxes that the region proposal net takes for a lesion, best first."""

from __future__ import annotations

from typing import NamedTuple, Sequence

import numpy as np

from caffe_files.errors import InputError
from skinmtl.regions.anchors import anchors
from skinmtl.regions.boxes import are_boxes, clip, decode
from skinmtl.regions.nms import nms
from skinmtl.regions.sampling import highest


class ProposalRules(NamedTuple):
    """How proposals are made. The layer's ProposalsSettings, which have these fields, serve as well."""

    side: int
    scales: Sequence[float]
    ratios: Sequence[float]
    strides: Sequence[int]
    std: Sequence[float]
    before: int
    after: int
    nms: float
    smallest: float


def proposals(rules: ProposalRules, scores: np.ndarray, deltas: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """(N, after, 5) float32: x1, y1, x2, y2, score; best first, rows of zeros behind.

    Of foreground scores (N, M), deltas (N, 4, M) and windows (N, 4), the parts that hold the image. The `before`
    anchors of the highest scores, over all levels together, are moved by their deltas and clipped to the window; boxes
    that are too small, or are left without an area, go, then those that `nms` drops.
    """
    made = np.zeros((len(scores), rules.after, 5), np.float32)
    for rows, own_scores, own_deltas, window in zip(made, scores, deltas, windows):
        boxes, kept_scores = _of_image(rules, own_scores, own_deltas, window)
        rows[: len(boxes), :4] = boxes
        rows[: len(boxes), 4] = kept_scores
    return made


def numbered(boxes: np.ndarray) -> np.ndarray:
    """ROIs (N * P, 5) float32 of boxes (N, P, 4 or more): the image's number, then the box."""
    images = np.repeat(np.arange(len(boxes), dtype=np.float32), boxes.shape[1])
    return np.concatenate([images[:, None], boxes[:, :, :4].reshape(-1, 4)], axis=1)


def _of_image(
    rules: ProposalRules, scores: np.ndarray, deltas: np.ndarray, window: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    all_anchors = anchors(rules.side, rules.scales, rules.ratios, rules.strides)
    best = highest(scores, rules.before)
    moved = decode(deltas[:, best].T, all_anchors[best], rules.std)
    # of NaN neither the highest nor a box can be found; the sum is NaN where one of them is
    if not (np.isfinite(scores.sum()) and np.isfinite(moved).all()):
        raise InputError(
            "rpn_prob or rpn_deltas hold NaN or infinite numbers: the training diverged, or the weights are damaged; "
            "train with a lower base_lr or with clip_gradients"
        )
    boxes = clip(moved, window)
    sides = boxes[:, 2:] - boxes[:, :2]
    large = are_boxes(boxes) & (sides.min(axis=1) >= rules.smallest)
    boxes, scores = boxes[large], scores[best[large]]
    kept = nms(boxes, rules.nms, rules.after)
    return boxes[kept], scores[kept]
