"""Whether probabilities are what they say: the Brier score, the expected calibration error, the reliability diagram.

Of one label against the rest. The Brier score is the mean of (p - y)^2. For the calibration error the probabilities are
put into BINS intervals of equal width, closed above (Guo and others 2017, "On Calibration of Modern Neural Networks");
it is the mean, over the images, of how far the mean probability of their interval is from its share of positives.

Even a net whose probabilities are right has an error above 0, since shares of few images scatter. That error is told
beside it: the mean of |sum of (p - y)| over sets of labels that are drawn with the probabilities, by the normal
approximation, the square root of 2 / pi times the sum of p (1 - p) in each interval.
"""

from __future__ import annotations

from typing import Any

import numpy as np

BINS = 10  # Guo and others have 15 for sets of 10,000 images; our choice for smaller ones: as many as a reader can read
_EDGES = np.arange(1, BINS) / BINS


def are_probabilities(scores: np.ndarray) -> bool:
    """Whether all are from 0 to 1."""
    return bool((scores >= 0).all() and (scores <= 1).all())


def bins_of(probabilities: np.ndarray) -> np.ndarray:
    """The interval of each, from 0; what lies on an edge is of the lower one."""
    return np.searchsorted(_EDGES, np.asarray(probabilities, np.float64), side="left")


def brier_score(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Of labels and probabilities (N,)."""
    return float(np.mean((np.asarray(probabilities, np.float64) - labels) ** 2))


def calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The expected calibration error of labels and probabilities (N,)."""
    return float(np.abs(_per_bin(probabilities, np.asarray(probabilities, np.float64) - labels)).sum() / len(labels))


def error_if_calibrated(probabilities: np.ndarray) -> float:
    """What a net whose probabilities (N,) are right has on as many images."""
    p = np.asarray(probabilities, np.float64)
    return float(np.sqrt(2 / np.pi * _per_bin(p, p * (1 - p))).sum() / len(p))


def diagram(labels: np.ndarray, probabilities: np.ndarray) -> list[dict[str, Any]]:
    """The points of a reliability diagram: of each interval that has images, their number, their mean probability and
    the share of them that is positive."""
    n = np.bincount(bins_of(probabilities), minlength=BINS)
    of_bin = zip(n, _per_bin(probabilities, probabilities), _per_bin(probabilities, labels))
    return [
        {"n": int(count), "mean_probability": float(total / count), "share_positive": float(found / count)}
        for count, total, found in of_bin
        if count
    ]


def _per_bin(probabilities: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.bincount(bins_of(probabilities), weights=np.asarray(values, np.float64), minlength=BINS)
