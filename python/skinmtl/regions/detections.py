"""Detections: what the net says of an image, best first. Every image has an answer.

Nothing public says how the paper makes one answer of an image out of boxes. Here the first row is it: the best
detection of a lesion of any class; where none is left, the best proposal, marked as not detected; where there is no
proposal either, the window. A score of a class is its share of the classes that are lesions.
"""

from __future__ import annotations

from typing import NamedTuple, Sequence

import numpy as np

from caffe_files.errors import InputError
from skinmtl.regions.boxes import are_boxes, clip, decode
from skinmtl.regions.nms import nms

FIXED = 7  # columns before the shares: the box, class, score, whether detected


class DetectionRules(NamedTuple):
    """How detections are made. The layer's DetectionOutputSettings, which have these fields, serve as well."""

    classes: int
    std: Sequence[float]
    nms: float
    score: float
    detections: int


class Candidates(NamedTuple):
    """An image's proposals after the subnets, best proposal first.

    boxes   (P, 4): refined for `labels` and clipped, or as proposed where that left none
    labels  (P): the most probable lesion class, 1..K
    scores  (P): its probability, or the proposal's score where the net has no class subnet
    lesion  bool (P): whether nothing, the background neither, is more probable, and the refined box has an area
    shares  (P, K): P(k) / sum of P(1..K)
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    lesion: np.ndarray
    shares: np.ndarray


def detections(
    rules: DetectionRules,
    proposals: np.ndarray,
    windows: np.ndarray,
    class_prob: np.ndarray | None = None,
    box_deltas: np.ndarray | None = None,
) -> np.ndarray:
    """(N, D, 7 + K) float32: x1, y1, x2, y2, class 1..K, score, 1 if detected, K shares; rows of zeros behind.

    Of proposals (N, P, 5) and windows (N, 4); class_prob (N * P, K + 1) and box_deltas (N * P, 4 (K + 1)) where the
    net has these subnets. A net without the class subnet has boxes of one class: box_deltas may be (N * P, 8) there.
    """
    for name, blob in (("class_prob", class_prob), ("box_deltas", box_deltas)):
        if blob is not None and not np.isfinite(blob).all():
            raise InputError(f"{name} holds NaN or infinite numbers: the training diverged, or the weights are damaged")
    images, count = proposals.shape[:2]
    made = np.zeros((images, rules.detections, FIXED + rules.classes), np.float32)
    for number in range(images):
        of_image = slice(number * count, number * count + count)
        is_one = are_boxes(proposals[number])
        candidates = _candidates(
            rules,
            proposals[number][is_one],
            windows[number],
            None if class_prob is None else class_prob[of_image][is_one],
            None if box_deltas is None else box_deltas[of_image][is_one],
        )
        best = _best(rules, candidates)
        detected = bool(len(best))
        if not detected:
            best = np.arange(min(1, len(candidates.boxes)))
        rows = made[number][: max(len(best), 1)]
        rows[:, :4] = candidates.boxes[best] if len(best) else windows[number]
        rows[:, 4] = candidates.labels[best] if len(best) else 1
        rows[:, 5] = candidates.scores[best] if len(best) else 0
        rows[:, 6] = detected
        rows[:, FIXED:] = candidates.shares[best] if len(best) else 1 / rules.classes
    return made


def _candidates(
    rules: DetectionRules,
    proposals: np.ndarray,
    window: np.ndarray,
    class_prob: np.ndarray | None,
    box_deltas: np.ndarray | None,
) -> Candidates:
    each = np.arange(len(proposals))
    if class_prob is None:
        labels, scores = np.ones(len(proposals), int), proposals[:, 4]
        lesion = np.ones(len(proposals), bool)
        shares = np.full((len(proposals), rules.classes), 1 / rules.classes, np.float32)
    else:
        lesions = class_prob[:, 1:]
        labels = 1 + lesions.argmax(axis=1)
        scores = class_prob[each, labels]
        lesion = scores > class_prob[:, 0]
        sums = lesions.sum(axis=1, keepdims=True)
        shares = np.where(sums > 0, lesions / np.where(sums > 0, sums, 1), 1 / rules.classes)
    boxes = proposals[:, :4]
    if box_deltas is not None:
        deltas = box_deltas.reshape(len(boxes), box_deltas.shape[1] // 4, 4)[each, labels]
        refined = clip(decode(deltas, boxes, rules.std), window)
        has_area = are_boxes(refined)
        boxes, lesion = np.where(has_area[:, None], refined, boxes), lesion & has_area
    return Candidates(boxes, labels, scores, lesion, shares)


def _best(rules: DetectionRules, candidates: Candidates) -> np.ndarray:
    """The candidates that are detections, best first: those of a lesion, of a class each once."""
    found = np.flatnonzero(candidates.lesion & (candidates.scores >= rules.score))
    found = found[np.argsort(-candidates.scores[found], kind="stable")]
    kept = [np.zeros(0, int)]
    for label in np.unique(candidates.labels[found]):
        own = np.flatnonzero(candidates.labels[found] == label)
        kept.append(own[nms(candidates.boxes[found[own]], rules.nms, rules.detections)])
    return found[np.sort(np.concatenate(kept))[: rules.detections]]
