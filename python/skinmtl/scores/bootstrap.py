"""How far the figures would move with other patients: the paired bootstrap over groups.

A resample draws as many groups as there are, with replacement; the images of a group come and go together, since those
of one patient are no independent observations. Resample b is drawn with the random numbers of (seed, b) alone: the same
groups, resamples and seed give the same resamples for every model, so that the differences of two models are paired.

A group that is drawn k times counts k times. Its copies have equal scores and share one threshold, as all ties do
(`metrics.average_precision`); they never rank above or below each other. It is the AP of the rows really repeated, and
that of scikit-learn with `sample_weight` k. A class without a positive in a resample has no AP there, nan, and leaves
the mAP-class of that resample alone; a mean over nothing is nan.

How it is fast: precision and recall are read only where a class has positives. So the images of a class are ranked
once and cut there into segments; a sparse matrix (segments, groups) with the number of images of each group in each
segment, times the counts (groups, resamples), gives all the thresholds of a block of resamples. Counts have 16 bits
where these hold the number of images of every resample, and are added four at a time, as words of 64 bits: no sum of
counts exceeds that number, so that none runs over into its neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator, Sequence

import numpy as np
from scipy import sparse
from tqdm import tqdm

from skinmtl.scores.metrics import average_precision, in_top_k
from skinmtl.scores.scores_file import Scores

BLOCK = 128  # resamples at once: the counts of 20,000 groups take 5 MB, which stay near the processor


@dataclass(frozen=True, eq=False)
class LesionResamples:
    """The lesion figures of B resamples.

    map_class          (B,) float64; nan where no class has a positive in the resample
    map_image          (B,) float64; nan where no image of the resample has a lesion
    average_precision  (B, P) float64; nan where the class has no positive in the resample
    """

    map_class: np.ndarray
    map_image: np.ndarray
    average_precision: np.ndarray


@dataclass(frozen=True, eq=False)
class LocationResamples:
    """The location figures of B resamples: top1 (B,) and top3 (B,) float64."""

    top1: np.ndarray
    top3: np.ndarray


def resampled_lesions(
    labels: np.ndarray, scores: np.ndarray, groups: Sequence[str], resamples: int, seed: int
) -> LesionResamples:
    """AP of every class, mAP-class and mAP-image (equations 9 and 10) in each of `resamples` resamples.

    labels  (N, P), 0 or 1
    scores  (N, P), finite
    groups  N names; what has the same name is drawn together
    seed    from 0, below 2**32
    """
    labels, scores = np.asarray(labels) != 0, np.asarray(scores)
    index, sizes = indexed(groups, len(labels))
    classes = [_Ranking(*column, index, len(sizes)) for column in zip(labels.T, scores.T)]
    by_image = average_precision(labels, scores)
    with_lesion = labels.any(axis=1)
    sums = _per_group(index, len(sizes), np.where(with_lesion, by_image, 0), with_lesion)
    by_class, map_image = [], []
    for counts in blocks(sizes, resamples, seed, "lesions"):
        by_class.append(np.stack([ranking.average_precision(counts) for ranking in classes], axis=1))
        map_image.append(_ratio(*_weighted(sums, counts)))
    by_class = np.concatenate(by_class)[:resamples]
    used = ~np.isnan(by_class)
    map_class = _ratio(np.where(used, by_class, 0).sum(axis=1), used.sum(axis=1))
    return LesionResamples(map_class, np.concatenate(map_image)[:resamples], by_class)


def resampled_locations(
    labels: np.ndarray, scores: np.ndarray, groups: Sequence[str], resamples: int, seed: int
) -> LocationResamples:
    """Top-1 and top-3 accuracy in each resample. labels (N,) in [0, Q), scores (N, Q), the rest as for lesions."""
    index, sizes = indexed(groups, len(labels))
    sums = _per_group(index, len(sizes), in_top_k(labels, scores, 1), in_top_k(labels, scores, 3), np.ones(len(index)))
    drawn_blocks = blocks(sizes, resamples, seed, "locations")
    hits1, hits3, drawn = np.concatenate([_weighted(sums, counts) for counts in drawn_blocks], axis=1)[:, :resamples]
    return LocationResamples(hits1 / drawn, hits3 / drawn)


def interval(values: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """(low, high): the percentile interval of resampled values (B,) or (B, P), as () or (P,) float64.

    nan, a resample that has no such figure, is ignored; where all are nan, low and high are nan.
    """
    values = np.asarray(values, dtype=np.float64)
    percentages = [50 * (1 - level), 50 * (1 + level)]
    ends = np.full((2, *values.shape[1:]), np.nan)
    for column in np.ndindex(*values.shape[1:]):
        there = values[(slice(None), *column)]
        there = there[~np.isnan(there)]
        if len(there):
            ends[(slice(None), *column)] = np.percentile(there, percentages)
    return ends[0], ends[1]


def intervals(scores: Scores, groups: Sequence[str], resamples: int, seed: int, level: float) -> dict[str, Any]:
    """[low, high] of every figure, by the names of `metrics.evaluate`, and how they were made; ready for JSON.

    `intervals` has `average_precision` by class name; null where there is no such figure, in the scores or in any of
    the resamples. `bootstrap` counts for each class the resamples that had no positive of it.
    """
    ends: dict[str, Any] = dict.fromkeys(("map_class", "map_image", "average_precision"))
    without: dict[str, int] = {}
    if scores.lesion_scores is not None:
        lesions = resampled_lesions(scores.lesion_labels, scores.lesion_scores, groups, resamples, seed)
        by_class = zip(*interval(lesions.average_precision, level))
        ends["map_class"] = pair(*interval(lesions.map_class, level))
        ends["map_image"] = pair(*interval(lesions.map_image, level))
        ends["average_precision"] = {name: pair(*two) for name, two in zip(scores.lesion_names, by_class)}
        without = dict(zip(scores.lesion_names, np.isnan(lesions.average_precision).sum(axis=0).tolist()))
    ends.update(location_top1=None, location_top3=None)
    if scores.location_scores is not None:
        locations = resampled_locations(scores.location_labels, scores.location_scores, groups, resamples, seed)
        ends["location_top1"] = pair(*interval(locations.top1, level))
        ends["location_top3"] = pair(*interval(locations.top3, level))
    made = {"resamples": resamples, "seed": seed, "level": level, "n_groups": len(set(groups))}
    return {"intervals": ends, "bootstrap": {**made, "resamples_without_positive": without}}


def pair(low: float, high: float) -> list[float] | None:
    """An interval for JSON; None for nan."""
    return None if np.isnan(low) else [float(low), float(high)]


class _Ranking:
    """One class's ranking, cut after every threshold that has positives; what follows the last one cannot matter."""

    def __init__(self, labels: np.ndarray, scores: np.ndarray, group: np.ndarray, n_groups: int) -> None:
        thresholds = np.unique(scores[labels])  # rising, where the segments go down the ranking
        segment = len(thresholds) - np.searchsorted(thresholds, scores, side="right")
        kept = segment < len(thresholds)
        shape = max(1, len(thresholds)), n_groups  # without a positive, one segment of nothing
        self._all = _counted(segment[kept], group[kept], shape)
        self._positive = _counted(segment[labels], group[labels], shape)

    def average_precision(self, counts: np.ndarray) -> np.ndarray:
        """(B,) for the counts (G, B) of B resamples."""
        words = counts.view(np.uint64)
        gained = self._positive @ words
        found = np.cumsum(gained, axis=0).view(counts.dtype)
        ranked = np.cumsum(self._all @ words, axis=0).view(counts.dtype)
        precision = found / np.maximum(ranked, 1)  # 0 / 1 before the first image that was drawn
        return _ratio(np.einsum("tb,tb->b", precision, gained.view(counts.dtype)), found[-1])


def _counted(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> sparse.csr_matrix:
    """How often each (row, column) occurs."""
    return sparse.coo_matrix((np.ones(len(rows), np.uint64), (rows, columns)), shape=shape).tocsr()


def indexed(groups: Sequence[str], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Each image's group (N,), numbered by name, and the sizes of the groups."""
    if len(groups) != n:
        raise ValueError(f"{len(groups)} groups for {n} images")
    _, index, sizes = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True, return_counts=True)
    return index.reshape(-1), sizes


def _per_group(group: np.ndarray, n_groups: int, *values: np.ndarray) -> np.ndarray:
    """(len(values), G) float64: the sum of each (N,) over every group."""
    return np.stack([np.bincount(group, weights=each, minlength=n_groups) for each in values])


def _weighted(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(K, B): sums (K, G) times counts (G, B). Not by BLAS, whose threads wait for each other on a busy machine."""
    return np.einsum("kg,gb->kb", sums, counts)


def blocks(sizes: np.ndarray, resamples: int, seed: int, what: str) -> Iterator[np.ndarray]:
    """Yields how often each of BLOCK resamples has every group, (G, BLOCK) unsigned; the last has some too many."""
    random = np.random.RandomState()
    with tqdm(desc=f"resampling {what}", total=resamples, unit="resample", disable=None) as bar:
        for start in range(0, resamples, BLOCK):
            counts = np.empty((BLOCK, len(sizes)), np.int64)
            for number, row in enumerate(counts, start):
                random.seed([seed, number])
                row[:] = np.bincount(random.randint(0, len(sizes), len(sizes)), minlength=len(sizes))
            small = (counts @ sizes).max() < 1 << 16
            yield np.ascontiguousarray(counts.T, np.uint16 if small else np.uint32)
            bar.update(min(BLOCK, resamples - start))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """nan where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0)
