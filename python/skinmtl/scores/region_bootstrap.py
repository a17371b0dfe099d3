"""How far the figures of regions would move with other patients: the paired bootstrap of `bootstrap`, same draws.

A resample counts every image as often as its group was drawn; `RegionFigures.under` reads the figures at those counts.
What has no figure in a resample, such as the AUC of a class without a positive there, leaves the interval.
"""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from skinmtl.scores.bootstrap import FEWEST, blocks, ends_of, enough_with, indexed
from skinmtl.scores.region_metrics import OF_CLASS, REGION_FIGURES, RegionFigures
from skinmtl.scores.scores_file import Scores


def resampled_regions(
    scores: Scores, positive: str | None, groups: Sequence[str], resamples: int, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, dict[str, np.ndarray]]]:
    """The figures of each resample: by name (B,) float64, and by class and name; nan where there is none.

    groups  N names; what has the same name is drawn together
    seed    from 0, below 2**32; the same groups and seed give every model the same resamples
    """
    index, sizes = indexed(groups, len(scores.image))
    of = RegionFigures(scores, positive)
    parts = [of.under(counts[index].astype(np.float64)) for counts in blocks(sizes, resamples, seed, "regions")]
    figures, by_class = parts[0]
    return (
        {name: _joined([part[0][name] for part in parts], resamples) for name in figures},
        {
            label: {name: _joined([part[1][label][name] for part in parts], resamples) for name in of_class}
            for label, of_class in by_class.items()
        },
    )


def region_intervals(
    scores: Scores, positive: str | None, groups: Sequence[str], resamples: int, seed: int, level: float
) -> dict[str, Any]:
    """[low, high] of every figure by the names of `evaluate_regions`, `by_class` too, ready for JSON; null where there
    is no such figure in any of the resamples, or too little to draw from."""
    figures, by_class = resampled_regions(scores, positive, groups, resamples, seed)
    enough, of_class = enough_regions(scores, positive, groups)
    ends: dict[str, Any] = dict.fromkeys(REGION_FIGURES)
    ends.update({name: ends_of(values, level, enough[name]) for name, values in figures.items()})
    ends["by_class"] = None
    if by_class:
        ends["by_class"] = {
            label: {name: ends_of(values, level, of_class[label]) for name, values in of_label.items()}
            for label, of_label in by_class.items()
        }
    return ends


def enough_regions(
    scores: Scores, positive: str | None, groups: Sequence[str]
) -> tuple[dict[str, bool], dict[str, bool]]:
    """Whether enough groups have what a figure divides by, of each figure and of each class."""
    index, sizes = indexed(groups, len(scores.image))
    enough = len(sizes) >= FEWEST
    of_class = {
        label: enough_with(index, scores.class_labels == number, scores.class_labels != number)
        for number, label in enumerate(scores.class_names or ())
    }
    of_positive = dict.fromkeys((f"class_{name}" for name in OF_CLASS), of_class.get(positive, enough))
    return {**dict.fromkeys(REGION_FIGURES, enough), **of_positive}, of_class


def _joined(values: list[np.ndarray], resamples: int) -> np.ndarray:
    return np.concatenate(values)[:resamples]
