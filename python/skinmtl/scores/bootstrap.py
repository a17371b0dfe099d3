"""How far the figures would move with other patients: the paired bootstrap over groups.

A resample draws as many groups as there are, with replacement; the images of a group come and go together, since those
of one patient are no independent observations. Resample b is drawn with the random numbers of (seed, b) alone: the same
groups, resamples and seed give the same resamples for every model, so that the differences of two models are paired.

A group that is drawn k times counts k times. Its copies have equal scores and share one threshold, as all ties do
(`metrics.average_precision`); they never rank above or below each other. It is the AP of the rows really repeated, and
that of scikit-learn with `sample_weight` k. A class without a positive in a resample has no AP there, nan, and leaves
the mAP-class of that resample alone; a mean over nothing is nan.
`segmented_ranking` says how it is fast.

An interval needs something that could have come out otherwise. Where fewer than FEWEST groups have what a figure
divides by (positives and others; for predictive values what is called and what is not), or where all resamples have the
same value but for rounding, such as a perfect 1.000, there is no interval (`ends_of`), and the tables say "too few".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, Sequence

import numpy as np
from tqdm import tqdm

from skinmtl.scores.metrics import average_precision, in_top_k
from skinmtl.scores.segmented_ranking import SegmentedRanking
from skinmtl.scores.weighted_ranking import ratio

BLOCK = 128  # resamples at once: the counts of 20,000 groups take 5 MB, which stay near the processor

# Our choice. Of ten groups hardly a resample has none: one of 20,000 (e^-10). Of five it is one of 150, so that the
# ends of a 95 % interval are those of sets that all but miss what they are to measure.
FEWEST = 10
SAME = 1e-9  # our choice: values that are nearer differ by the rounding of sums alone, and show the same three digits


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
    classes = [SegmentedRanking(*column, index, len(sizes)) for column in zip(labels.T, scores.T)]
    by_image = average_precision(labels, scores)
    with_lesion = labels.any(axis=1)
    sums = per_group(index, len(sizes), np.where(with_lesion, by_image, 0), with_lesion)
    by_class, map_image = [], []
    for counts in blocks(sizes, resamples, seed, "lesions"):
        by_class.append(np.stack([ranking.average_precision(counts) for ranking in classes], axis=1))
        map_image.append(ratio(*weighted(sums, counts)))
    by_class = np.concatenate(by_class)[:resamples]
    used = ~np.isnan(by_class)
    map_class = ratio(np.where(used, by_class, 0).sum(axis=1), used.sum(axis=1))
    return LesionResamples(map_class, np.concatenate(map_image)[:resamples], by_class)


def resampled_locations(
    labels: np.ndarray, scores: np.ndarray, groups: Sequence[str], resamples: int, seed: int
) -> LocationResamples:
    """Top-1 and top-3 accuracy in each resample. labels (N,) in [0, Q), scores (N, Q), the rest as for lesions."""
    index, sizes = indexed(groups, len(labels))
    sums = per_group(index, len(sizes), in_top_k(labels, scores, 1), in_top_k(labels, scores, 3), np.ones(len(index)))
    drawn_blocks = blocks(sizes, resamples, seed, "locations")
    hits1, hits3, drawn = np.concatenate([weighted(sums, counts) for counts in drawn_blocks], axis=1)[:, :resamples]
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


def pair(low: float, high: float) -> list[float] | None:
    """An interval for JSON; None for nan."""
    return None if np.isnan(low) else [float(low), float(high)]


def ends_of(values: np.ndarray, level: float, enough: bool) -> list[float] | None:
    """The interval of resampled values (B,) for JSON; None unless there is `enough`, and some resamples differ."""
    ends = pair(*interval(values, level)) if enough else None
    return ends if ends and ends[1] - ends[0] > SAME else None


def enough_with(index: np.ndarray, *each: np.ndarray) -> bool:
    """Whether FEWEST groups or more have an image of each (N,) bool; `index` (N,) is the group of each image."""
    return all(len(np.unique(index[which])) >= FEWEST for which in each)


def enough_by_column(index: np.ndarray, labels: np.ndarray) -> list[bool]:
    """Of each label of (N, P), whether FEWEST groups or more have it, and whether as many have images without it."""
    return [enough_with(index, column, ~column) for column in (np.asarray(labels) != 0).T]


def indexed(groups: Sequence[str], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Each image's group (N,), numbered by name, and the sizes of the groups."""
    if len(groups) != n:
        raise ValueError(f"{len(groups)} groups for {n} images")
    _, index, sizes = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True, return_counts=True)
    return index.reshape(-1), sizes


def per_group(group: np.ndarray, n_groups: int, *values: np.ndarray) -> np.ndarray:
    """(len(values), G) float64: the sum of each (N,) over every group."""
    return np.stack([np.bincount(group, weights=each, minlength=n_groups) for each in values])


def weighted(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
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
