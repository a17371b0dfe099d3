"""One class's ranking of the images, read under many resamples of their groups at once.

How it is fast: precision, recall and the ROC curve are read only where a class has positives. So the images of a class
are ranked once and cut there into segments; a sparse matrix (segments, groups) with the number of images of each group
in each segment, times the counts (groups, resamples), gives all the thresholds of a block of resamples. Counts have 16
bits where these hold the number of images of every resample, and are added four at a time, as words of 64 bits: no sum
of counts exceeds that number, so that none runs over into its neighbour.

The figures are those of `weighted_ranking`, where they are defined, and are held against them in the tests.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from skinmtl.scores.weighted_ranking import ratio


class SegmentedRanking:
    """The ranking, cut after every threshold that has positives; what follows the last one is lost to precision, and
    won by the ROC curve, whatever its order.

    labels    (N,) bool
    scores    (N,) finite
    group     (N,) each image's group, in [0, n_groups)
    """

    def __init__(self, labels: np.ndarray, scores: np.ndarray, group: np.ndarray, n_groups: int) -> None:
        thresholds = np.unique(scores[labels])  # rising, where the segments go down the ranking
        segment = len(thresholds) - np.searchsorted(thresholds, scores, side="right")
        kept = segment < len(thresholds)
        shape = max(1, len(thresholds)), n_groups  # without a positive, one segment of nothing
        self._all = counted(segment[kept], group[kept], shape)
        self._positive = counted(segment[labels], group[labels], shape)
        tied = kept & ~labels & np.isin(scores, thresholds)
        self._tied = counted(segment[tied], group[tied], shape) if tied.any() else None

    def average_precision(self, counts: np.ndarray) -> np.ndarray:
        """(B,) for the counts (G, B) of B resamples."""
        return _average_precision(*self._read(counts))

    def figures(self, counts: np.ndarray, drawn: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Average precision, area under the ROC curve, and the part of it above the sensitivity `least`, (B,) each.

        `drawn` (B,) is the number of images of each resample.
        """
        gained, found, ranked = self._read(counts)
        wrong = ranked - found
        tied = None if self._tied is None else (self._tied @ counts.view(np.uint64)).view(counts.dtype)
        positives = found[-1].astype(np.float64)
        negatives = drawn - positives
        pairs = positives * negatives
        lost = np.einsum("tb,tb->b", gained, wrong, dtype=np.float64)
        if tied is not None:
            lost -= np.einsum("tb,tb->b", gained, tied, dtype=np.float64) / 2
        area = ratio(pairs - lost, pairs)
        begin = int((found > least * positives).any(axis=1).argmax())  # nothing of the part is before it
        parts = [each[begin:].astype(np.float64) for each in (gained, found, wrong)]
        of_ties = None if tied is None else tied[begin:].astype(np.float64)
        part = ratio(_partial_area(*parts, of_ties, least * positives, negatives), pairs)
        return _average_precision(gained, found, ranked), area, part

    def _read(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(T, B) numbers: positives at each threshold, positives and images down to it."""
        words = counts.view(np.uint64)
        gained = self._positive @ words
        found = np.cumsum(gained, axis=0).view(counts.dtype)
        return gained.view(counts.dtype), found, np.cumsum(self._all @ words, axis=0).view(counts.dtype)


def counted(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> sparse.csr_matrix:
    """How often each (row, column) occurs."""
    return sparse.coo_matrix((np.ones(len(rows), np.uint64), (rows, columns)), shape=shape).tocsr()


def _average_precision(gained: np.ndarray, found: np.ndarray, ranked: np.ndarray) -> np.ndarray:
    precision = found / np.maximum(ranked, 1)  # 0 / 1 before the first image that was drawn
    return ratio(np.einsum("tb,tb->b", precision, gained), found[-1])


def _partial_area(
    gained: np.ndarray,
    found: np.ndarray,
    wrong: np.ndarray,
    tied: np.ndarray | None,
    least: np.ndarray,
    negatives: np.ndarray,
) -> np.ndarray:
    """(B,) as `WeightedRanking.partial_area_under_roc`, before it is divided; `tied` of the others, None where none
    is, `least` (B,) in positives."""
    before = found - gained
    lower = np.maximum(before, least)
    wrong_at_lower = wrong
    if tied is not None:
        wrong_at_lower = wrong - tied * (1 - (lower - before) / np.maximum(gained, 1))
    return (np.maximum(found - lower, 0) * (negatives - (wrong_at_lower + wrong) / 2)).sum(axis=0)
