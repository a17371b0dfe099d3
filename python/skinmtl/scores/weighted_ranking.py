"""One ranking of images by a score, read under many weightings at once: the figures of a set, and of its resamples.

A weight is how often an image counts. With every weight 1 the figures are those of the set; with the counts of a
bootstrap's resample they are those of the images really repeated. Tied scores share one threshold, whatever their
weights; what has weight 0 changes nothing.
"""

from __future__ import annotations

import numpy as np


class WeightedRanking:
    """A ranking of N images, the highest score first, under B weightings.

    positive  (N,) bool
    scores    (N,) finite
    weights   (N, B), 0 or more

    `thresholds` (T,) are the scores, the highest first; `found` and `wrong` (T, B) float64 are the weights of the
    positives and of the others down to each of them.
    """

    def __init__(self, positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> None:
        order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
        ranked, hit = np.asarray(scores)[order], np.asarray(positive, bool)[order]
        last_of_tie = np.ones(len(ranked), bool)
        last_of_tie[:-1] = ranked[:-1] != ranked[1:]
        weights = np.asarray(weights, np.float64)[order]
        self.thresholds = ranked[last_of_tie]
        self.found = np.cumsum(weights * hit[:, None], axis=0)[last_of_tie]
        self.wrong = np.cumsum(weights * ~hit[:, None], axis=0)[last_of_tie]

    @property
    def positives(self) -> np.ndarray:
        """(B,), the weight of all positives."""
        return self.found[-1] if len(self.found) else np.zeros(self.found.shape[1])

    @property
    def negatives(self) -> np.ndarray:
        """(B,), the weight of all others."""
        return self.wrong[-1] if len(self.wrong) else np.zeros(self.wrong.shape[1])

    def average_precision(self) -> np.ndarray:
        """(B,), as `metrics.average_precision`: no interpolation. nan without a positive."""
        return ratio((self._precision() * self._gained()).sum(axis=0), self.positives)

    def interpolated_precision(self, wanted: np.ndarray) -> np.ndarray:
        """(B,): the area under precision over recall, where the precision of a recall is the highest of it or more.

        `wanted` (B,) is the weight of all that was to be found, also by none of these. nan where that is nothing. It is
        the area that PASCAL VOC has taken since 2010.
        """
        best_from_here = np.maximum.accumulate(self._precision()[::-1], axis=0)[::-1]
        return ratio((best_from_here * self._gained()).sum(axis=0), wanted)

    def area_under_roc(self) -> np.ndarray:
        """(B,): the share of pairs of a positive and another in which the positive has the higher score; ties count a
        half. nan without a positive, and where all are positives."""
        before = _shifted(self.found)
        area = ((before + self.found) / 2 * np.diff(self.wrong, axis=0, prepend=0)).sum(axis=0)
        return ratio(area, self.positives * self.negatives)

    def partial_area_under_roc(self, least: float) -> np.ndarray:
        """(B,), from 0 to 1 - least: the area below the ROC curve and above that sensitivity, ISIC 2024's with 0.8.

        It is the specificity, added up over the sensitivities from `least` to 1; between two thresholds the curve is a
        straight line. A random order of many has (1 - least)**2 / 2. nan as for the area under the ROC.
        """
        gained, before, before_wrong = self._gained(), _shifted(self.found), _shifted(self.wrong)
        lower = np.maximum(before, least * self.positives)
        part = np.divide(lower - before, gained, out=np.zeros_like(gained), where=gained > 0)
        wrong_at_lower = before_wrong + (self.wrong - before_wrong) * part
        spared = self.negatives - (wrong_at_lower + self.wrong) / 2
        area = (np.maximum(self.found - lower, 0) * spared).sum(axis=0)
        return ratio(area, self.positives * self.negatives)

    def specificity_at(self, sensitivity: float) -> np.ndarray:
        """(B,): at the highest threshold whose sensitivity is that or more. nan as for the area under the ROC."""
        if not len(self.found):
            return np.full(self.found.shape[1], np.nan)
        first, each = self.first_with(sensitivity), np.arange(self.wrong.shape[1])
        there = np.where(self.positives > 0, 1.0, np.nan)
        return there - ratio(self.wrong[first, each], self.negatives)

    def first_with(self, sensitivity: float) -> np.ndarray:
        """(B,): the number of the highest threshold whose sensitivity is that or more; T is at least 1. 0 without a
        positive."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return (self.found / self.positives >= sensitivity).argmax(axis=0)

    def _precision(self) -> np.ndarray:
        """(T, B); 0 before anything has weight."""
        ranked = self.found + self.wrong
        return np.divide(self.found, ranked, out=np.zeros_like(ranked), where=ranked > 0)

    def _gained(self) -> np.ndarray:
        return self.found - _shifted(self.found)


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """nan where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, np.float64), denominator)
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)


def _shifted(values: np.ndarray) -> np.ndarray:
    """One threshold further down; nothing is before the first."""
    before = np.zeros_like(values)
    before[1:] = values[:-1]
    return before
