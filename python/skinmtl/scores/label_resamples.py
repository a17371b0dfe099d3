"""The figures of `label_figures` in every resample of the groups: `bootstrap` draws them, this reads them fast.

Rankings are read by `segmented_ranking`. The calls at a threshold are sums of whole numbers over the groups, the Brier
score and the excess of each interval of probabilities sums of fractions: a sparse matrix each, times the counts.
"""

from __future__ import annotations

from typing import Sequence

import numpy as np
from scipy import sparse

from skinmtl.scores.bootstrap import blocks, indexed, per_group, weighted
from skinmtl.scores.called import called_figures
from skinmtl.scores.label_figures import LEAST_SENSITIVITY, RANKING, Head, Thresholds
from skinmtl.scores.reliability import BINS, bins_of
from skinmtl.scores.segmented_ranking import SegmentedRanking, counted
from skinmtl.scores.weighted_ranking import ratio


class LabelResampler:
    """The figures of a head's P labels, ready to be read under counts of its groups.

    group    (N,) each image's group, in [0, len(sizes)); sizes (G,) how many images each group has
    """

    def __init__(self, head: Head, group: np.ndarray, sizes: np.ndarray, thresholds: Thresholds | None) -> None:
        self.sizes, self.n = sizes, len(head.names)
        columns = list(zip(head.labels.T, head.scores.T))
        self._rankings = [SegmentedRanking(*column, group, len(sizes)) for column in columns]
        self._excess = _excess(head, group, len(sizes)) if head.probable else None
        self._calls = None
        if thresholds is not None:
            chosen = [thresholds[name] for name in head.names]
            self._without = np.array([each is None for each in chosen])
            called = head.scores >= [np.inf if each is None else each for each in chosen]
            self._calls = _calls(head.labels, called, group, len(sizes))

    def under(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """The figures that there are, (P, B) each, for the counts (G, B); nan where a resample has none."""
        drawn = np.einsum("g,gb->b", self.sizes, counts, dtype=np.float64)
        read = [ranking.figures(counts, drawn, LEAST_SENSITIVITY) for ranking in self._rankings]
        found = {name: np.stack(values) for name, values in zip(RANKING, zip(*read))}
        if self._excess is not None:
            sums = self._excess @ counts.astype(np.float64)
            found["brier"] = ratio(sums[: self.n], drawn)
            found["ece"] = ratio(np.abs(sums[self.n :]).reshape(self.n, BINS, -1).sum(axis=1), drawn)
        if self._calls is not None:
            of_calls = (self._calls @ counts.view(np.uint64)).view(counts.dtype).astype(np.float64)
            right, called, positives = of_calls.reshape(3, self.n, -1)
            for name, values in called_figures(right, called, positives, drawn).items():
                values[self._without] = np.nan
                found[name] = values
        return found


def resampled_head(
    head: Head,
    groups: Sequence[str],
    resamples: int,
    seed: int,
    what: str,
    thresholds: Thresholds | None = None,
    also: Sequence[np.ndarray] = (),
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Every figure that the head has in each of B resamples, (B, P); and the sums of `also` over the images of each.

    groups    N names; what has the same name is drawn together
    seed      from 0, below 2**32
    what      is resampled, for the progress bar
    also      K arrays (N,) of numbers, whose sums (K, B) are wanted too
    """
    index, sizes = indexed(groups, len(head.labels))
    resampler = LabelResampler(head, index, sizes, thresholds)
    sums = per_group(index, len(sizes), *(also or [np.ones(len(index))]))
    parts, of_also = [], []
    for counts in blocks(sizes, resamples, seed, what):
        parts.append(resampler.under(counts))
        of_also.append(weighted(sums, counts))
    return joined(parts, resamples), np.concatenate(of_also, axis=1)[:, :resamples]


def joined(parts: Sequence[dict[str, np.ndarray]], resamples: int) -> dict[str, np.ndarray]:
    """The figures (P, B) of all blocks as (resamples, P)."""
    return {name: np.concatenate([part[name] for part in parts], axis=1)[:, :resamples].T for name in parts[0]}


def mean_over_labels(values: np.ndarray) -> np.ndarray:
    """(B,): the mean of (B, P) over the labels that have a figure; nan where none has."""
    there = ~np.isnan(values)
    return ratio(np.where(there, values, 0).sum(axis=1), there.sum(axis=1))


def _excess(head: Head, group: np.ndarray, n_groups: int) -> sparse.csr_matrix:
    """(P + P x BINS, G): the sums over each group of (p - y)^2 of each label, and of p - y of each of its intervals."""
    n, p = head.scores.shape
    off = (head.scores.astype(np.float64) - head.labels).T  # (P, N)
    rows = np.repeat(np.arange(p), n)
    of_bins = p + rows * BINS + bins_of(head.scores.T.ravel())
    columns = np.tile(group, p)
    values = np.concatenate([off.ravel() ** 2, off.ravel()])
    places = (np.concatenate([rows, of_bins]), np.concatenate([columns, columns]))
    return sparse.coo_matrix((values, places), shape=(p + p * BINS, n_groups)).tocsr()


def _calls(labels: np.ndarray, called: np.ndarray, group: np.ndarray, n_groups: int) -> sparse.csr_matrix:
    """(3 P, G): how many images of each group are positive and called, called, and positive, of each label."""
    rows, images = np.nonzero(np.concatenate([(called & labels).T, called.T, labels.T]))
    return counted(rows, group[images], (3 * labels.shape[1], n_groups))
