"""Dealing whole groups into folds: at random, or so that every label is spread evenly."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix


def deal_at_random(sizes: np.ndarray, k: int, seed: int) -> np.ndarray:
    """(G,) int64: the fold 0..k-1 of every group, given how many images each has (G,).

    The groups in a seeded random order, the largest first, each into the fold that has the fewest images yet: no two
    folds differ by more than the largest group.
    """
    order = _random_order(len(sizes), seed)
    order = order[np.argsort(-sizes[order], kind="stable")]
    folds = np.empty(len(sizes), np.int64)
    filled = [0] * k
    for group, size in zip(order.tolist(), sizes[order].tolist()):
        fold = filled.index(min(filled))
        folds[group] = fold
        filled[fold] += size
    return folds


def stratify(sizes: np.ndarray, counts: csr_matrix, k: int, seed: int) -> np.ndarray:
    """(G,) int64: the fold 0..k-1 of every group, each label spread evenly; `counts` (G, L) are its images by label.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-Label Data", 2011): the
    label that the fewest groups still wait with is dealt next, each of its groups into the fold that wants this label
    most. Ours, for groups: those with most images of the label come first; where several folds want the label equally,
    the one that the group's other labels suit best takes it (least sum of squares of each label's images over the
    folds, as shares of the label's images), then the one with fewest images, then the first.

    No fold takes more than its even share of the images while another can still take the group whole; where none can,
    the smallest takes it. So no two folds differ by more than the largest group: where no fold went over its share they
    differ by one image at most, and a fold went over only when it was the smallest.
    """
    counts = csr_matrix(counts)
    counts.sort_indices()  # the order of a sum is part of what a seed gives
    of_label = counts.tocsc()
    place = np.argsort(_random_order(len(sizes), seed))
    hand = _Hand(sizes, counts, k)
    waiting = np.diff(of_label.indptr)
    dealt = np.zeros(len(sizes), bool)
    while waiting.any():
        label = int(np.where(waiting > 0, waiting, len(sizes) + 1).argmin())
        span = slice(of_label.indptr[label], of_label.indptr[label + 1])
        groups, images = of_label.indices[span], of_label.data[span]
        groups, images = groups[~dealt[groups]], images[~dealt[groups]]
        for group in groups[np.lexsort((place[groups], -sizes[groups], -images))].tolist():
            hand.deal(group, label)
        dealt[groups] = True
        waiting = waiting - np.bincount(counts[groups].indices, minlength=len(waiting))
    return np.array(hand.folds, np.int64)


class _Hand:
    """What each fold holds while groups are dealt. Lists, not arrays: a step looks at a handful of numbers."""

    def __init__(self, sizes: np.ndarray, counts: csr_matrix, k: int) -> None:
        self.folds = [-1] * len(sizes)
        self._sizes: list[int] = sizes.tolist()
        starts, labels, images = counts.indptr.tolist(), counts.indices.tolist(), counts.data.tolist()
        self._labels_of = [list(zip(labels[a:b], images[a:b])) for a, b in zip(starts, starts[1:])]
        self._total = np.asarray(counts.sum(axis=0)).reshape(-1).tolist()
        self._held = [[0] * k for _ in self._total]  # images by label and fold
        self._filled = [0] * k
        self._share, self._over = divmod(sum(self._sizes), k)  # this many folds may have one image more

    def deal(self, group: int, label: int) -> None:
        size, labels = self._sizes[group], self._labels_of[group]
        room = self._share + (self._over > 0) - size
        able = [fold for fold, filled in enumerate(self._filled) if filled <= room]
        if not able:
            smallest = min(self._filled)
            able = [fold for fold, filled in enumerate(self._filled) if filled == smallest]
        held, total = self._held, self._total

        def unfitness(fold: int) -> tuple[int, float, int]:
            uneven = sum(images * (2 * held[each][fold] + images) / total[each] for each, images in labels)
            return held[label][fold], uneven, self._filled[fold]

        fold = min(able, key=unfitness)
        self.folds[group] = fold
        for each, images in labels:
            held[each][fold] += images
        self._filled[fold] += size
        self._over -= self._filled[fold] == self._share + 1


def _random_order(n: int, seed: int) -> np.ndarray:
    return np.random.RandomState(seed).permutation(n)
