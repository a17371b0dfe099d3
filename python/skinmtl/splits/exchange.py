"""Evening out folds: groups exchanged between two folds while that spreads the labels better."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.sparse import csr_matrix

# Our choices: of the public group sizes, five folds need below 200 tries; hundreds of folds may end before the best.
CANDIDATES = 100
MOST_TRIES = 5000
UNIT = 2**20  # of the whole numbers that stand for shares: sums are exact, so every machine finds the same folds
A_LABEL_LACKING = 2**44  # more than any change of the spread


def even_out(folds: np.ndarray, sizes: np.ndarray, counts: csr_matrix, k: int) -> np.ndarray:
    """(G,) int64: `folds` (G,) with groups moved and exchanged between two folds at a time, the best exchange first.

    Better is, first, fewer folds that lack a label which is in k groups or more; then a smaller sum, over the labels,
    of the squares of its images in each fold, divided by its images. `sizes` (G,) and `counts` (G, L) are the images of
    each group. The spread of the fold sizes never grows, beyond the one image that cannot be helped.
    """
    table = _Table(folds, sizes, counts, k)
    pairs = list(combinations(range(k), 2))
    due, left = set(pairs), MOST_TRIES
    while due and left:
        for pair in pairs:
            while pair in due and left:
                left -= 1
                if table.exchange(*pair):
                    due.update(other for other in pairs if set(other) & set(pair))
                else:
                    due.remove(pair)
    return table.folds


class _Table:
    def __init__(self, folds: np.ndarray, sizes: np.ndarray, counts: csr_matrix, k: int) -> None:
        self.folds = folds.copy()
        self._sizes = sizes
        self._images = csr_matrix(counts, dtype=np.int64)
        self._has = self._images.copy()
        self._has.data[:] = 1
        total = np.asarray(self._images.sum(axis=0)).reshape(-1)
        self._weighted = self._images.copy()
        self._weighted.data *= (UNIT // np.maximum(total, 1))[self._images.indices]
        self._squares = np.asarray(self._images.multiply(self._weighted).sum(axis=1)).reshape(-1)
        self._could_be_everywhere = np.asarray(self._has.sum(axis=0)).reshape(-1) >= k
        members = csr_matrix((np.ones(len(folds), np.int64), (folds, np.arange(len(folds)))), shape=(k, len(folds)))
        self._images_in = (members @ self._images).toarray()  # (k, L)
        self._groups_in = (members @ self._has).toarray()  # (k, L)
        self._filled = members @ sizes
        self._least, self._most = int(sizes.sum()) // k, -(-int(sizes.sum()) // k)

    def exchange(self, a: int, b: int) -> bool:
        """Makes the best exchange between two folds of a group, or none, for a group, or none; False if none helps."""
        from_a, gain_a = self._candidates(a, b)
        from_b, gain_b = self._candidates(b, a)
        change = gain_a[:, None] + gain_b + self._both(a, b, from_a, from_b)
        moved = np.append(self._sizes[from_a], 0)[:, None] - np.append(self._sizes[from_b], 0)
        least = min(self._least, self._filled[a], self._filled[b])
        most = max(self._most, self._filled[a], self._filled[b])
        for after in (self._filled[a] - moved, self._filled[b] + moved):
            change[(after < least) | (after > most)] = 0
        i, j = np.unravel_index(int(change.argmin()), change.shape)
        if change[i, j] >= 0:
            return False
        for group in from_a[i : i + 1]:  # the place after the last stands for none
            self._move(group, a, b)
        for group in from_b[j : j + 1]:
            self._move(group, b, a)
        return True

    def _candidates(self, fold: int, other: int) -> tuple[np.ndarray, np.ndarray]:
        """The groups that it helps most to move to the other fold, and the change (none's, 0, after the last)."""
        groups = np.flatnonzero(self.folds == fold)
        lost, found = self._critical(fold), self._lacking(other)
        change = 2 * (self._weighted @ (self._images_in[other] - self._images_in[fold]) + self._squares)
        change = (change + A_LABEL_LACKING * (self._has @ (lost - found)))[groups]
        best = np.argsort(change, kind="stable")[:CANDIDATES]
        return groups[best], np.append(change[best], 0)

    def _both(self, a: int, b: int, from_a: np.ndarray, from_b: np.ndarray) -> np.ndarray:
        """What the change of an exchange differs by from the sum of the changes of its two moves."""
        has_a, has_b = self._has[from_a], self._has[from_b]
        both = np.zeros((len(from_a) + 1, len(from_b) + 1), np.int64)
        both[:-1, :-1] = -4 * (self._images[from_a] @ self._weighted[from_b].T).toarray()
        kept = has_a.multiply(self._critical(a) + self._critical(b))
        both[:-1, :-1] -= A_LABEL_LACKING * (csr_matrix(kept) @ has_b.T).toarray()
        return both

    def _critical(self, fold: int) -> np.ndarray:
        """(L,) 1 for a label that the fold has one group of, and could lack."""
        return ((self._groups_in[fold] == 1) & self._could_be_everywhere).astype(np.int64)

    def _lacking(self, fold: int) -> np.ndarray:
        """(L,) 1 for a label that the fold lacks and could have."""
        return ((self._groups_in[fold] == 0) & self._could_be_everywhere).astype(np.int64)

    def _move(self, group: int, fold: int, other: int) -> None:
        for held, of_group in ((self._images_in, self._images), (self._groups_in, self._has)):
            row = of_group[group]
            held[fold, row.indices] -= row.data
            held[other, row.indices] += row.data
        self._filled[fold] -= self._sizes[group]
        self._filled[other] += self._sizes[group]
        self.folds[group] = other
