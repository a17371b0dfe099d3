"""Calling an image positive from a threshold on: the figures of that, and how a threshold is chosen.

One rule for all of them: an image is called where its score is the threshold or higher, so that images with one score
are called together. Thresholds are scores that images have. Of two that are equally good the higher one is taken, which
calls fewer images.

sensitivity=S   the highest threshold whose sensitivity is S or more; the nets of boxes and masks are read so too
youden          the largest sensitivity + specificity - 1 (Youden 1950)
f1              the largest F1, the harmonic mean of positive predictive value and sensitivity
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from skinmtl.scores.weighted_ranking import WeightedRanking, ratio

CALLED = ("sensitivity", "specificity", "ppv", "npv")
YOUDEN, F1, SENSITIVITY = "youden", "f1", "sensitivity"


def called_figures(found: Any, called: Any, positives: Any, images: Any) -> dict[str, np.ndarray]:
    """The four figures of CALLED, nan where nothing is there to be divided by.

    found      how many positives are called; called, positives, images: how many there are. Numbers or arrays alike.
    """
    negatives, others = np.subtract(images, positives), np.subtract(images, called)
    spared = others - np.subtract(positives, found)  # negatives that are not called
    return {
        "sensitivity": ratio(found, positives),
        "specificity": ratio(spared, negatives),
        "ppv": ratio(found, called),
        "npv": ratio(spared, others),
    }


@dataclass(frozen=True)
class Rule:
    """How a threshold is chosen: a rule's name, and the sensitivity of the first."""

    name: str
    least: float = 0.0

    @classmethod
    def of(cls, text: str) -> Rule:
        """What a user writes. ValueError says what is wrong with it."""
        name, equals, number = text.partition("=")
        if name in (YOUDEN, F1) and not equals:
            return cls(name)
        with suppress(ValueError):
            if name == SENSITIVITY and 0 < float(number) <= 1:
                return cls(name, float(number))
        raise ValueError(f"{text!r} is neither {SENSITIVITY}=S (above 0, at most 1) nor {YOUDEN} nor {F1}")

    def __str__(self) -> str:
        return f"{self.name}={self.least:g}" if self.name == SENSITIVITY else self.name


def threshold_by(rule: Rule, labels: np.ndarray, scores: np.ndarray) -> float | None:
    """The threshold of a rule for labels and scores (N,); None where there is no positive or no negative."""
    ranking = WeightedRanking(labels, scores, np.ones((len(labels), 1)))
    found, wrong = ranking.found[:, 0], ranking.wrong[:, 0]
    positives, negatives = ranking.positives[0], ranking.negatives[0]
    if not positives or not negatives:
        return None
    if rule.name == SENSITIVITY:
        chosen = int(ranking.first_with(rule.least)[0])
    elif rule.name == YOUDEN:
        chosen = int((found * negatives - wrong * positives).argmax())  # whole numbers: equals stay equal
    else:
        chosen = int((found / (found + wrong + positives)).argmax())
    return float(ranking.thresholds[chosen])
