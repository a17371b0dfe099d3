"""Decision curves: what it is worth to call images by a label's probability, against calling all of them, or none.

An image is called where its probability is the threshold p or more. The net benefit of that is

    TP / N - FP / N x p / (1 - p)

(Vickers and Elkin 2006, "Decision curve analysis: a novel method for evaluating prediction models"). p stands for what
a reader holds a false alarm against: one who calls from 0.2 on takes four false alarms for one image that is found.
Calling none is worth 0 and calling all prevalence - (1 - prevalence) x p / (1 - p), which is 0 where p is the
prevalence. Calling by a net is of use where it is worth more than both. Probabilities are taken at their word, so that
they must be calibrated.

A label that no image has, or that all have, has no curve: None, never 0.
"""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from skinmtl.scores.bootstrap import SAME, blocks, enough_with, indexed, per_group, weighted
from skinmtl.scores.label_figures import Head
from skinmtl.scores.segmented_ranking import counted

THRESHOLDS = np.arange(1, 100) / 100  # our choice: each per cent; at 1 no false alarm may be
LABELS_AT_ONCE = 8  # our choice: 10,000 resamples of as many curves take 63 MB


def net_benefit(labels: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray = THRESHOLDS) -> np.ndarray:
    """(T,) at the thresholds (T,), rising and below 1, of labels (N,) bool and probabilities (N,)."""
    found, wrong = (
        np.bincount(_called_at(probabilities[which], thresholds), minlength=len(thresholds) + 1)
        for which in (labels, ~labels)
    )
    return _worth(_from_the_end(found[1:]), _from_the_end(wrong[1:]), thresholds, len(labels))


def of_calling_all(prevalence: np.ndarray | float, thresholds: np.ndarray = THRESHOLDS) -> np.ndarray:
    """(T,), or of prevalences (B,) (T, B): the net benefit of calling every image."""
    odds = thresholds / (1 - thresholds)
    return prevalence - np.multiply.outer(odds, 1 - np.asarray(prevalence))


def decision_curves(
    head: Head, resampling: tuple[Sequence[str], int, int, float] | None = None
) -> dict[str, dict[str, list[Any]] | None]:
    """By label, ready for JSON, at THRESHOLDS: `net_benefit`, `call_all`, and `over_all`, the first less the second.

    With resamples (groups, number, seed, level) also `intervals`, of the net benefit, and `over_all_intervals`, paired;
    None where there is too little to draw from, as `bootstrap` has it. `head` has probabilities.
    """
    curves: dict[str, dict[str, list[Any]] | None] = {}
    for name, labels, scores in zip(head.names, head.labels.T, head.scores.T):
        curves[name] = None
        if 0 < labels.sum() < len(labels):
            benefit, of_all = net_benefit(labels, scores), of_calling_all(labels.mean())
            over_all = benefit - of_all
            parts = {"net_benefit": benefit, "call_all": of_all, "over_all": over_all}
            curves[name] = {part: values.tolist() for part, values in parts.items()}
    if resampling is not None:
        for start in range(0, len(head.names), LABELS_AT_ONCE):
            _add_intervals(curves, _slice(head, slice(start, start + LABELS_AT_ONCE)), *resampling)
    return curves


def resampled_net_benefit(
    head: Head, groups: Sequence[str], resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(P, T, B), the net benefit at THRESHOLDS in each resample, and (P, B), the prevalence there."""
    index, sizes = indexed(groups, len(head.labels))
    p, t = len(head.names), len(THRESHOLDS)
    called = _called_at(head.scores, THRESHOLDS)
    found, wrong = (_per_last_threshold(called, which, index, len(sizes)) for which in (head.labels, ~head.labels))
    positives = per_group(index, len(sizes), *head.labels.T)
    worth, prevalence = np.empty((p, t, resamples)), np.empty((p, resamples))
    start = 0
    for counts in blocks(sizes, resamples, seed, "decision curves"):
        here = slice(start, min(start + counts.shape[1], resamples))
        images = np.einsum("g,gb->b", sizes, counts, dtype=np.float64)
        words = counts.view(np.uint64)
        sums = (
            _from_the_end((each @ words).reshape(p, t, -1), axis=1).view(counts.dtype).astype(np.float64)
            for each in (found, wrong)
        )
        worth[:, :, here] = _worth(*sums, THRESHOLDS[:, None], images)[:, :, : here.stop - here.start]
        prevalence[:, here] = (weighted(positives, counts) / images)[:, : here.stop - here.start]
        start = here.stop
    return worth, prevalence


def _add_intervals(
    curves: dict[str, Any], head: Head, groups: Sequence[str], resamples: int, seed: int, level: float
) -> None:
    index, _ = indexed(groups, len(head.labels))
    worth, prevalence = resampled_net_benefit(head, groups, resamples, seed)
    for name, labels, drawn, shares in zip(head.names, head.labels.T, worth, prevalence):
        if curves[name] is not None:
            enough = enough_with(index, labels, ~labels)
            curves[name]["intervals"] = _ends(drawn, level, enough)
            curves[name]["over_all_intervals"] = _ends(drawn - of_calling_all(shares), level, enough)


def _ends(drawn: np.ndarray, level: float, enough: bool) -> list[list[float] | None]:
    """[low, high] at each threshold of (T, B); None where all resamples have one value but for rounding."""
    if not enough:
        return [None] * len(drawn)
    low, high = np.percentile(drawn, [50 * (1 - level), 50 * (1 + level)], axis=1)
    return [[a, b] if b - a > SAME else None for a, b in zip(low.tolist(), high.tolist())]


def _called_at(probabilities: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """At how many of the thresholds each is called: the first ones. Compared as the scores are stored, so that 0.7
    is called at 0.7 in float32 too."""
    return np.searchsorted(thresholds.astype(probabilities.dtype), probabilities, side="right")


def _per_last_threshold(called: np.ndarray, which: np.ndarray, index: np.ndarray, n_groups: int) -> Any:
    """(P x T, G): of the images (N, P) in `which`, how many of each group are called up to each threshold and not at
    the next."""
    images, labels = np.nonzero(which & (called > 0))
    t = len(THRESHOLDS)
    return counted(labels * t + called[images, labels] - 1, index[images], (called.shape[1] * t, n_groups))


def _from_the_end(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Sums of each place and all after it: what is called up to a threshold is called at all before it."""
    return np.ascontiguousarray(np.flip(np.cumsum(np.flip(values, axis), axis=axis), axis))


def _worth(found: np.ndarray, wrong: np.ndarray, thresholds: np.ndarray, images: Any) -> np.ndarray:
    return (found - wrong * (thresholds / (1 - thresholds))) / images


def _slice(head: Head, part: slice) -> Head:
    return Head(head.labels[:, part], head.scores[:, part], head.names[part], head.probable)
