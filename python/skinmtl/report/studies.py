"""The paper's two studies on one's own data: which losses, and all tasks against one alone; paired intervals.

Every comparison is of two variants on the same images of the folds that both have, with the same resamples of the
groups, so that its interval is of the difference itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, NamedTuple, Tuple

import numpy as np

from skinmtl.report.comparison import Measured, measured
from skinmtl.report.mask_experiment import (
    CLASS_ALONE,
    CROSS_ENTROPY,
    FOCAL,
    FULL,
    JACCARD,
    MASK_ALONE,
    MaskExperiment,
    title_of,
)
from skinmtl.scores.region_bootstrap import enough_regions, resampled_regions
from skinmtl.scores.region_metrics import RegionFigures, usual_positive
from skinmtl.scores.region_pairing import aligned_regions
from skinmtl.scores.scores_file import Scores

FIGURES = {
    "class_ac": "class AC",
    "class_ap": "class AP",
    "class_auc": "class AUC",
    "class_se": "class SE",
    "class_sp": "class SP",
    "mask_ja": "mask JA",
    "mask_di": "mask DI",
    "mask_ac": "mask AC",
    "mask_se": "mask SE",
    "mask_sp": "mask SP",
    "mask_ja65": "mask JA, 0 below 0.65",
    "box_ap50": "box AP at 0.5",
    "box_ap75": "box AP at 0.75",
    "detected": "detected",
}


class Study(NamedTuple):
    """A question, and the pairs (variant, the one it is held against) that answer it."""

    name: str
    title: str
    pairs: tuple[tuple[str, str], ...]


STUDIES = (
    Study("losses", "Losses", ((FOCAL, CROSS_ENTROPY), (JACCARD, CROSS_ENTROPY), (FULL, CROSS_ENTROPY))),
    Study("tasks", "Tasks", ((FULL, CLASS_ALONE), (FULL, MASK_ALONE))),
)


@dataclass(frozen=True)
class Column:
    """A variant's figures over the images of its folds together; `figures` has those that the net has parts for."""

    variant: str
    folds: tuple[int, ...]
    n_images: int
    figures: dict[str, Measured]


@dataclass(frozen=True)
class Comparison:
    """Of `variant` less `against`, on the folds of both, each figure that both have."""

    study: str
    variant: str
    against: str
    folds: tuple[int, ...]
    n_images: int
    differences: dict[str, Measured]

    @property
    def title(self) -> str:
        return f"{title_of(self.variant)} less {title_of(self.against)}"


@dataclass(frozen=True)
class Results:
    """All columns in the order of the variants, the comparisons of the studies, the positive class (None: the mean over
    the classes), and how many groups there are."""

    columns: tuple[Column, ...]
    comparisons: tuple[Comparison, ...]
    positive: str | None
    n_groups: int


def results(experiment: MaskExperiment, resamples: int, seed: int) -> Results:
    """InputError where two variants' truths differ."""
    names = next((scores.class_names for scores in experiment.scores.values() if scores.class_names), None)
    measure = _Measure(experiment, usual_positive(names or []), resamples, seed)
    columns = []
    for variant in experiment.variants:
        folds = experiment.folds_of(variant)
        scores = experiment.pooled(variant, folds)
        values, drawn, enough = measure(variant, folds, scores)
        figures = {name: measured(values[name], drawn[name], enough[name]) for name in FIGURES if name in values}
        columns.append(Column(variant, folds, len(scores.image), figures))
    comparisons = tuple(
        comparison
        for study in STUDIES
        for pair in study.pairs
        for comparison in [_compare(experiment, measure, study.name, *pair)]
        if comparison is not None
    )
    return Results(tuple(columns), comparisons, measure.positive, len({row.group for row in experiment.manifest.rows}))


def _compare(
    experiment: MaskExperiment, measure: _Measure, study: str, variant: str, against: str
) -> Comparison | None:
    folds = experiment.folds_of(variant, against)
    if not folds:
        return None
    pair = aligned_regions([(each, experiment.pooled(each, folds)) for each in (against, variant)])
    (low, of_low, enough), (high, of_high, _) = (
        measure(each, folds, scores) for each, scores in zip((against, variant), pair)
    )
    differences = {
        name: measured(high[name] - low[name], of_high[name] - of_low[name], enough[name])
        for name in FIGURES
        if name in high and name in low
    }
    return Comparison(study, variant, against, folds, len(pair[0].image), differences)


_Made = Tuple[Dict[str, float], Dict[str, np.ndarray], Dict[str, bool]]


class _Measure:
    """Figures of a variant on folds, and those of the resamples; each is computed once."""

    def __init__(self, experiment: MaskExperiment, positive: str | None, resamples: int, seed: int) -> None:
        self.positive = positive
        self._experiment, self._resamples, self._seed = experiment, resamples, seed
        self._made: dict[tuple[str, tuple[int, ...]], _Made] = {}

    def __call__(self, variant: str, folds: tuple[int, ...], scores: Scores) -> _Made:
        """(figure -> value, figure -> (B,) of the resamples, figure -> whether enough groups have it). The
        resamples depend on the groups alone, whose order is that of their names: they are the same for every variant
        on the same folds."""
        if (variant, folds) not in self._made:
            groups = self._experiment.groups(scores.image)
            found = RegionFigures(scores, self.positive).under(np.ones((len(scores.image), 1)))[0]
            drawn = resampled_regions(scores, self.positive, groups, self._resamples, self._seed)[0]
            values = {name: float(value[0]) for name, value in found.items()}
            self._made[variant, folds] = values, drawn, enough_regions(scores, self.positive, groups)[0]
        return self._made[variant, folds]


def by_fold(experiment: MaskExperiment, positive: str | None) -> list[list[str]]:
    """Variant, fold, images, then every figure of FIGURES, as CSV records; "" where the net has no such part."""
    records = []
    for variant in experiment.variants:
        for fold in experiment.folds_of(variant):
            scores = experiment.scores[variant, fold]
            found = RegionFigures(scores, positive).under(np.ones((len(scores.image), 1)))[0]
            cells = [
                f"{found[name][0]:.6f}" if name in found and not np.isnan(found[name][0]) else "" for name in FIGURES
            ]
            records.append([variant, str(fold), str(len(scores.image)), *cells])
    return records
