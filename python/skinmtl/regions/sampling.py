"""Drawing some of many: a pure function of an image's draw, so that either engine and a resumed run draw the same."""

from __future__ import annotations

import numpy as np

ANCHORS, ROIS = 1, 2  # what is drawn for: each has draws of its own


def generator(draw: np.ndarray, purpose: int) -> np.random.RandomState:
    """The generator of an image's draw (2), two whole numbers below 2^24 (what a float32 holds), for one purpose.

    A RandomState, whose numbers are the same in every numpy.
    """
    first, second = (int(number) for number in draw)
    return np.random.RandomState([first, second, purpose])


def some_of(indices: np.ndarray, count: int, random: np.random.RandomState) -> np.ndarray:
    """`count` of the indices (n), in the order in which they are drawn; all of them where there are no more."""
    if len(indices) <= count:
        return indices
    return indices[random.permutation(len(indices))[:count]]


def highest(scores: np.ndarray, count: int) -> np.ndarray:
    """Indices of the `count` highest scores (n), highest first; of equal ones the first index goes first."""
    if count < len(scores):
        least = np.partition(scores, len(scores) - count)[len(scores) - count]
        above, equal = np.flatnonzero(scores > least), np.flatnonzero(scores == least)
        candidates = np.sort(np.concatenate([above, equal[: count - len(above)]]))
    else:
        candidates = np.arange(len(scores))
    return candidates[np.argsort(-scores[candidates], kind="stable")]
