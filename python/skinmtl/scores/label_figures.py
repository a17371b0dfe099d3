"""The figures of each label of a head, as one against the rest: what a clinic and a referee ask for beside the mAPs.

average_precision  as `metrics` has it
auroc              the area under the ROC curve; ties count a half
partial_auc        the part of it above a sensitivity of 80 %, from 0 to 0.2 (ISIC 2024)
brier, ece         see `reliability`; of scores that are probabilities alone
sensitivity, specificity, ppv, npv   see `called`; where a threshold is given

A label that no image has has none of these figures, one that all have AP alone: None, never 0. Beside each stands what
it is without looking at the images: a random order, the prevalence as the probability of every image, or, at a
threshold, as many images called, at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence

import numpy as np

from skinmtl.scores.called import CALLED, called_figures
from skinmtl.scores.metrics import random_average_precision
from skinmtl.scores.reliability import are_probabilities, brier_score, calibration_error, diagram, error_if_calibrated
from skinmtl.scores.scores_file import HEADS, Scores
from skinmtl.scores.weighted_ranking import WeightedRanking

LEAST_SENSITIVITY = 0.8  # of the partial area: ISIC 2024
RANKING = ("average_precision", "auroc", "partial_auc")
PROBABILITY = ("brier", "ece")
FIGURES = (*RANKING, *PROBABILITY, *CALLED)
MEANS = {head: f"{head}_auroc" for head in HEADS}  # over the labels of a head
OF_HEAD = {head: f"of_{head}s" for head in HEADS}

Thresholds = Mapping[str, "float | None"]


@dataclass(frozen=True, eq=False)
class Head:
    """One head of saved scores: labels (N, P) bool, scores (N, P), P names; whether the scores are probabilities."""

    labels: np.ndarray
    scores: np.ndarray
    names: Sequence[str]
    probable: bool


def head_of(scores: Scores, name: str) -> Head:
    """The head "lesion" or "location"; of a location each image has one."""
    labels, values, names = (getattr(scores, f"{name}_{part}") for part in ("labels", "scores", "names"))
    labels = labels != 0 if labels.ndim == 2 else labels[:, None] == np.arange(len(names))
    return Head(labels, values, names, are_probabilities(values))


def label_figures(head: Head, thresholds: Thresholds | None = None) -> dict[str, dict[str, Any]]:
    """By label, ready for JSON: its numbers of images, FIGURES, `chance`, `ece_if_calibrated` and `reliability`.

    `thresholds` are by label; without them there are no figures of CALLED.
    """
    return {
        name: _of_label(head.labels[:, p], head.scores[:, p], head.probable, thresholds, name)
        for p, name in enumerate(head.names)
    }


def mean_auroc(by_label: Mapping[str, Mapping[str, Any]]) -> float | None:
    """The mean over the labels that have one; None where none has."""
    values = [figures["auroc"] for figures in by_label.values() if figures["auroc"] is not None]
    return float(np.mean(values)) if values else None


def random_partial_area(positives: int) -> float:
    """The expected partial area of a random order, for a number of positives (at least 1).

    Of R positives, k of them are found where a share of k / (R + 1) of the others is expected before. It tends to
    (1 - 0.8)^2 / 2 = 0.02, and is above it for few positives.
    """
    k = np.arange(1, positives + 1)
    lengths = np.maximum(k / positives - np.maximum((k - 1) / positives, LEAST_SENSITIVITY), 0)
    return float((lengths * (1 - k / (positives + 1))).sum())


def _of_label(
    labels: np.ndarray, scores: np.ndarray, probable: bool, thresholds: Thresholds | None, name: str
) -> dict[str, Any]:
    n, positives = len(labels), int(labels.sum())
    prevalence = positives / n
    of_label: dict[str, Any] = {"n_positive": positives, "n_negative": n - positives, "prevalence": prevalence}
    of_label.update(dict.fromkeys((*RANKING, *PROBABILITY, "ece_if_calibrated", "reliability")))
    chance: dict[str, Any] = dict.fromkeys((*RANKING, "brier"))
    ranking = WeightedRanking(labels, scores, np.ones((n, 1)))
    if positives:
        of_label["average_precision"] = float(ranking.average_precision()[0])
        chance["average_precision"] = float(random_average_precision(positives, n))
    if 0 < positives < n:
        of_label["auroc"] = float(ranking.area_under_roc()[0])
        of_label["partial_auc"] = float(ranking.partial_area_under_roc(LEAST_SENSITIVITY)[0])
        chance.update(auroc=0.5, partial_auc=random_partial_area(positives))
        if probable:
            of_label["brier"], chance["brier"] = brier_score(labels, scores), prevalence * (1 - prevalence)
            of_label["ece"] = calibration_error(labels, scores)
            of_label["ece_if_calibrated"] = error_if_calibrated(scores)
            of_label["reliability"] = diagram(labels, scores)
    if thresholds is not None:
        of_label["threshold"] = threshold = thresholds[name]
        of_label.update(dict.fromkeys(CALLED))
        chance.update(dict.fromkeys(CALLED))
        if threshold is not None and 0 < positives < n:
            called = scores >= threshold
            found = called_figures((called & labels).sum(), called.sum(), positives, n)
            of_label.update({figure: None if np.isnan(value) else float(value) for figure, value in found.items()})
            share = float(called.mean())
            chance.update(sensitivity=share, specificity=1 - share, ppv=prevalence, npv=1 - prevalence)
    of_label["chance"] = chance
    return of_label
