"""What the region proposal net shall answer: a label and deltas for each anchor (Ren et al. 2015, section 3.1.2)."""

from __future__ import annotations

from typing import NamedTuple, Sequence

import numpy as np

from skinmtl.regions.anchors import anchors, cells
from skinmtl.regions.boxes import check_lesions, encode, iou
from skinmtl.regions.sampling import ANCHORS, generator, some_of

TIE = 1e-6  # anchors whose IoU is this near the best one, as a share of it, tie: rounding must not part them


class AnchorTargets(NamedTuple):
    """labels   (N, M) float32: 1 lesion, 0 background, -1 not drawn or neither
    targets  (N, 4, M) float32: the deltas where the label is 1, else 0
    weights  (N, 4, M) float32: 1 / normaliser where the label is 1, else 0
    """

    labels: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


class AnchorRules(NamedTuple):
    """How anchors are labelled. The layer's AnchorTargetsSettings, which have these fields, serve as well."""

    side: int
    scales: Sequence[float]
    ratios: Sequence[float]
    strides: Sequence[int]
    positive: float
    negative: float
    sample: int
    share: float
    std: Sequence[float]
    normaliser: str


def anchor_targets(rules: AnchorRules, boxes: np.ndarray, classes: np.ndarray, draws: np.ndarray) -> AnchorTargets:
    """Of boxes (N, 4), class labels (N), 0 where there is no lesion, and draws (N, 2).

    InputError where a lesion's box has no area.
    """
    check_lesions(boxes, classes)
    all_anchors = anchors(rules.side, rules.scales, rules.ratios, rules.strides)
    labels = np.empty((len(boxes), len(all_anchors)), np.float32)
    targets = np.zeros((len(boxes), 4, len(all_anchors)), np.float32)
    weights = np.zeros_like(targets)
    for number, (box, label, draw) in enumerate(zip(boxes, classes, draws)):
        overlaps = iou(all_anchors.astype(np.float64), box[None].astype(np.float64))[:, 0] if label > 0 else None
        candidates = labels_of(overlaps, len(all_anchors), rules.positive, rules.negative)
        labels[number] = sampled(candidates, rules.sample, rules.share, generator(draw, ANCHORS))
        positives = np.flatnonzero(labels[number] == 1)
        targets[number][:, positives] = encode(box, all_anchors[positives], rules.std).T
        weights[number][:, positives] = 1
    weights /= _normaliser(rules, labels)
    return AnchorTargets(labels, targets, weights)


def labels_of(overlaps: np.ndarray | None, count: int, positive: float, negative: float) -> np.ndarray:
    """Labels (M) int8 by the IoU (M) of each anchor with the lesion's box; None where there is no lesion.

    1 from `positive` on, 0 below `negative`, else -1; and 1 for all anchors that tie for the best, whatever their IoU:
    a large or long lesion may have no other.
    """
    if overlaps is None:
        return np.zeros(count, np.int8)
    labels = np.full(count, -1, np.int8)
    labels[overlaps < negative] = 0
    labels[overlaps >= positive] = 1
    best = overlaps.max()
    if best > 0:
        labels[overlaps >= best * (1 - TIE)] = 1
    return labels


def sampled(labels: np.ndarray, sample: int, share: float, random: np.random.RandomState) -> np.ndarray:
    """Labels (M) of which at most `sample` are left that are not -1, and of these at most that share positive."""
    positives = some_of(np.flatnonzero(labels == 1), int(sample * share), random)
    negatives = some_of(np.flatnonzero(labels == 0), sample - len(positives), random)
    left = np.full_like(labels, -1)
    left[negatives] = 0
    left[positives] = 1
    return left


def _normaliser(rules: AnchorRules, labels: np.ndarray) -> float:
    """N_reg of the batch, at least 1."""
    if rules.normaliser == "locations":
        return len(labels) * cells(rules.side, rules.strides)
    counted = labels == 1 if rules.normaliser == "positives" else labels >= 0
    return max(int(np.count_nonzero(counted)), 1)
