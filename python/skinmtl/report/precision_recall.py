"""Precision-recall curves, thinned to what a figure can show."""

from __future__ import annotations

import numpy as np

POINTS = 300  # of a curve at most: a small panel shows no more


def precision_recall(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(recall, precision) (K,) of one ranking of N entries at its thresholds, best score first; tied entries share one.

    Only thresholds that find a positive are kept: in between recall stands still. That is the sum of average precision,
    drawn: the area of the steps is the AP. Empty where there is no positive.
    """
    labels = np.asarray(labels) != 0
    order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    ranked, values = labels[order], np.asarray(scores)[order]
    found = np.cumsum(ranked)
    last_of_tie = np.append(values[1:] != values[:-1], True)
    at = np.flatnonzero(last_of_tie)
    at = at[np.diff(np.concatenate([[0], found[at]])) > 0]
    return found[at] / max(int(labels.sum()), 1), found[at] / (at + 1.0)


def thinned(recall: np.ndarray, precision: np.ndarray, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """At most about `points` of them, evenly spread over the curve, first and last included."""
    if len(recall) <= points:
        return recall, precision
    kept = np.unique(np.linspace(0, len(recall) - 1, points).round().astype(np.int64))
    return recall[kept], precision[kept]
