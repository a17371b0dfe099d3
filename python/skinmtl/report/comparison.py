"""MTL against ResNet on the same images: paired bootstrap over groups, and whether correlated lesions gain more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skinmtl.report.experiment import LOCATION, MTL, RESNET, Experiment
from skinmtl.report.paper import MAP_CLASS, MAP_IMAGE
from skinmtl.report.table1 import chance_of
from skinmtl.scores.bootstrap import (
    FEWEST,
    ends_of,
    enough_by_column,
    indexed,
    resampled_lesions,
    resampled_locations,
)
from skinmtl.scores.metrics import average_precision, evaluate, in_top_k
from skinmtl.scores.pairing import aligned
from skinmtl.scores.scores_file import Scores

FEW = 15  # below so many lesions a rank correlation says little
TOO_FEW, ALWAYS_THE_SAME = "too few", "always the same"


@dataclass(frozen=True)
class Measured:
    """A value and the ends of its 95 % interval; nan where there is none, as `bootstrap.ends_of` decides. `enough` is
    False where too few groups have what the figure needs; else it has no interval where all resamples agree."""

    value: float
    low: float
    high: float
    enough: bool = True

    @property
    def excludes_zero(self) -> bool:
        return bool(self.low > 0 or self.high < 0)

    @property
    def without(self) -> str:
        """Why a value has no interval; "" where it has one, and where there is no value."""
        if np.isnan(self.value) or not np.isnan(self.low):
            return ""
        return ALWAYS_THE_SAME if self.enough else TOO_FEW


@dataclass(frozen=True)
class Gain:
    """What MTL has more than ResNet, and what either would have without looking at an image (nan without a positive);
    `undefined` counts the resamples without a positive, left out of the interval."""

    name: str
    positives: int | None
    resnet: float
    mtl: float
    gain: Measured
    undefined: int
    chance: float


@dataclass(frozen=True)
class LesionComparison:
    """`lesions` (P) and the two mAPs, over the images of the folds that both models have."""

    folds: tuple[int, ...]
    n_images: int
    n_groups: int
    lesions: tuple[Gain, ...]
    map_class: Gain
    map_image: Gain


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rho of n pairs, and how often a random pairing has one as far from 0; nan where it is undefined."""

    rho: float
    p_value: float
    n: int


@dataclass(frozen=True)
class LocationComparison:
    """Top-1 and top-3 of the model trained on location only, of MTL, and the difference, on the folds of both; and what
    the most frequent locations as the answer to every image have."""

    folds: tuple[int, ...]
    n_images: int
    n_groups: int
    resnet: dict[str, Measured]
    mtl: dict[str, Measured]
    gain: dict[str, Measured]
    chance: dict[str, float]


def compare_lesions(experiment: Experiment, resamples: int, seed: int) -> LesionComparison | None:
    """None where the two models have no fold in common."""
    folds = experiment.folds_of(RESNET, MTL)
    if not folds:
        return None
    resnet, mtl = _pair(experiment, (RESNET, MTL), folds, "lesion")
    labels, groups = resnet.lesion_labels, experiment.groups(resnet.image)
    of_class = [average_precision(labels.T, each.lesion_scores.T) for each in (resnet, mtl)]
    drawn = [resampled_lesions(labels, each.lesion_scores, groups, resamples, seed) for each in (resnet, mtl)]
    by_class = drawn[1].average_precision - drawn[0].average_precision
    support, n_groups = labels.sum(axis=0, dtype=np.int64), len(set(groups))
    figures = evaluate(resnet)
    chance = {name: chance_of(figures, name) for name in (*resnet.lesion_names, MAP_CLASS, MAP_IMAGE)}
    enough, of_lesion = n_groups >= FEWEST, enough_by_column(indexed(groups, len(labels))[0], labels)
    lesions = tuple(
        _gain(name, int(support[p]), of_class[0][p], of_class[1][p], by_class[:, p], of_lesion[p], chance[name])
        for p, name in enumerate(resnet.lesion_names)
    )
    of_image = [average_precision(labels, each.lesion_scores) for each in (resnet, mtl)]
    by_mean = [drawn[1].map_class - drawn[0].map_class, drawn[1].map_image - drawn[0].map_image]
    map_class = _gain(MAP_CLASS, None, *map(_mean, of_class), by_mean[0], enough, chance[MAP_CLASS])
    map_image = _gain(MAP_IMAGE, None, *map(_mean, of_image), by_mean[1], enough, chance[MAP_IMAGE])
    return LesionComparison(folds, len(labels), n_groups, lesions, map_class, map_image)


def compare_locations(experiment: Experiment, resamples: int, seed: int) -> LocationComparison | None:
    """None where the two models have no fold in common."""
    folds = experiment.folds_of(LOCATION, MTL)
    if not folds:
        return None
    pair = _pair(experiment, (LOCATION, MTL), folds, "location")
    labels, groups = pair[0].location_labels, experiment.groups(pair[0].image)
    values = [{f"top{k}": in_top_k(labels, each.location_scores, k).mean() for k in (1, 3)} for each in pair]
    drawn = [resampled_locations(labels, each.location_scores, groups, resamples, seed) for each in pair]
    n_groups = len(set(groups))
    enough = n_groups >= FEWEST
    resnet, mtl, gain = {}, {}, {}
    for name in ("top1", "top3"):
        of_resnet, of_mtl = (getattr(each, name) for each in drawn)
        resnet[name] = measured(values[0][name], of_resnet, enough)
        mtl[name] = measured(values[1][name], of_mtl, enough)
        gain[name] = measured(values[1][name] - values[0][name], of_mtl - of_resnet, enough)
    figures = evaluate(pair[0])
    chance = {name: figures[f"chance_location_{name}"] for name in gain}
    return LocationComparison(folds, len(labels), n_groups, resnet, mtl, gain, chance)


def confusion(scores: Scores) -> np.ndarray:
    """(Q, Q) int64: the images of location i that the model takes for location j.

    Where the true location is tied with another for the first place the other is the answer, as in top-1, so that the
    diagonal's share is top-1.
    """
    labels, answers = scores.location_labels, scores.location_scores.astype(np.float64)
    n_images, n_locations = answers.shape
    rows = np.arange(n_images)
    true = answers[rows, labels]
    answers[rows, labels] = -np.inf
    others = answers.argmax(axis=1)
    answer = np.where(true > answers[rows, others], labels, others) if n_locations > 1 else labels
    counts = np.zeros((n_locations, n_locations), np.int64)
    np.add.at(counts, (labels, answer), 1)
    return counts


def rank_correlation(x: np.ndarray, y: np.ndarray, permutations: int, seed: int) -> RankCorrelation:
    """Spearman's rho of the pairs that have both numbers, ties with their mean rank, and its two-sided p value.

    The p value is the share of `permutations` random pairings (and the pairs as they are) with a rho at least as far
    from 0; it needs no distribution and holds for few pairs. rho is nan below three pairs, or where all are tied.
    """
    both = np.isfinite(x) & np.isfinite(y)
    ranks = [_ranks(values[both]) for values in (x, y)]
    n = int(both.sum())
    a, b = (each - each.mean() if n else each for each in ranks)
    scale = np.sqrt((a**2).sum() * (b**2).sum())
    if n < 3 or not scale:
        return RankCorrelation(np.nan, np.nan, n)
    rho = float(a @ b / scale)
    random = np.random.RandomState(seed)
    shuffled = np.array([random.permutation(b) @ a for _ in range(permutations)]) / scale
    as_far = int((np.abs(shuffled) >= abs(rho) - 1e-12).sum())
    return RankCorrelation(rho, (1 + as_far) / (1 + permutations), n)


def _ranks(values: np.ndarray) -> np.ndarray:
    """From 1; tied values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place.reshape(-1)]


def _pair(experiment: Experiment, models: tuple[str, str], folds: tuple[int, ...], head: str) -> list[Scores]:
    return aligned([(model, experiment.pooled(model, folds)) for model in models], [head])


def _gain(
    name: str,
    positives: int | None,
    resnet: float,
    mtl: float,
    drawn: np.ndarray,
    enough: bool,
    chance: float | None,
) -> Gain:
    gain, without = measured(mtl - resnet, drawn, enough), np.nan if chance is None else chance
    return Gain(name, positives, float(resnet), float(mtl), gain, int(np.isnan(drawn).sum()), without)


def measured(value: float, drawn: np.ndarray, enough: bool) -> Measured:
    """A value with the interval of its resamples (B,), where there is `enough` to draw from and they differ."""
    low, high = ends_of(drawn, 0.95, enough) or (np.nan, np.nan)
    return Measured(float(value), low, high, enough)


def _mean(values: np.ndarray) -> float:
    """Over what has a positive; nan where nothing has."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else np.nan
