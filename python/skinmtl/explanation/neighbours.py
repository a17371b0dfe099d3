"""The nearest rows by Euclidean distance: exact, at the speed of one float32 matrix product."""

from __future__ import annotations

from typing import Iterator

import numpy as np

PRODUCTS = 4 << 20  # query-feature pairs at a time: 16 MB of float32
PART = 16  # features of whose distances the least is looked at
DIFFERENCES = 1 << 20  # float64 values at a time where distances are taken exactly: 8 MB
LARGEST = 1e15  # of which a sum of squares is far from float32's end
ROUNDING = 2.0**-24  # of one float32 operation


def nearest(features: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k features nearest to each query, nearest first: indices (M, k) int64 and distances (M, k) float64.

    features  (N, D) float32, at most LARGEST in size, no NaN
    queries   (M, D) float32, likewise

    Equal distances stand in the order of their indices. With k > N there are N columns. The same as distances in
    float64 of all pairs would give: the pairs' |b|^2 - 2ab comes from a float32 product, which is off by at most
    D roundings of |a||b|, and every pair that could be among the k within this bound is then taken exactly.

    Memory beside the arguments and the results: some 30 MB, or 8 bytes x N where that is more. Where very many features
    are equally near, all of them are taken exactly: slow, and up to ten times the memory.
    """
    features, queries = (np.ascontiguousarray(rows, np.float32) for rows in (features, queries))
    for rows in (features, queries):
        if rows.size and not max(rows.max(), -rows.min()) <= LARGEST:
            raise ValueError(f"there are values that are no number, or beyond {LARGEST:g}")
    count = min(k, len(features))
    indices = np.empty((len(queries), count), np.int64)
    distances = np.empty((len(queries), count))
    if not indices.size:
        return indices, distances
    bound = _Bound(features)
    step = max(1, PRODUCTS // len(features))
    for start in range(0, len(queries), step):
        block = queries[start : start + step]
        at, candidate = bound.candidates(block, count)
        exact = _squared_distances(features, block, at, candidate)
        order = np.lexsort((candidate, exact, at))
        first = np.searchsorted(at[order], np.arange(len(block)))
        chosen = order[first[:, None] + np.arange(count)]
        indices[start : start + step] = candidate[chosen]
        distances[start : start + step] = np.sqrt(exact[chosen])
    return indices, distances


class _Bound:
    """Bounds of |b|^2 - 2ab, the squared distance less |a|^2, for a query a and all features b.

    In float32 the product 2ab is off by at most D ROUNDING (|a|^2 + |b|^2), whatever the order of its sum, and the
    steps around it by a few more roundings; values too small for float32 by at most TINY each.
    """

    def __init__(self, features: np.ndarray) -> None:
        size = features.shape[1]
        self._features = features
        self._share = 1.01 * (size + 16) * ROUNDING
        norms = _squared_norms(features)
        self._largest = norms.max()
        self._lower = ((1 - self._share) * norms).astype(np.float32)
        self._smallest = 4 * (size + 16) * float(np.finfo(np.float32).tiny)

    def candidates(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Pairs (query, feature), in the queries' order, that have every query's k nearest among them."""
        lower = (-2 * queries) @ self._features.T
        lower += self._lower
        # the k smallest minima of any parts are k pairs: with the largest gap, no less than the k-th upper bound
        parts = max(k, len(self._features) // PART)
        whole = len(self._features) // parts * parts
        minima = lower[:, :whole].reshape(len(queries), -1, parts).min(axis=1)
        gap = 2 * self._share * (self._largest + _squared_norms(queries)) + self._smallest
        highest = np.partition(minima, k - 1, axis=1)[:, k - 1] + gap
        highest = np.nextafter(highest.astype(np.float32), np.float32(np.inf))
        return np.divmod(np.flatnonzero(lower <= highest[:, None]), len(self._features))


def _squared_norms(rows: np.ndarray) -> np.ndarray:
    return np.concatenate([np.einsum("nd,nd->n", part, part, dtype=np.float64) for part in _parts(rows)])


def _squared_distances(features: np.ndarray, queries: np.ndarray, at: np.ndarray, candidate: np.ndarray) -> np.ndarray:
    """(C,) float64, of the pairs queries[at], features[candidate]."""
    squared = np.empty(len(at))
    step = max(1, DIFFERENCES // max(1, features.shape[1]))
    for start in range(0, len(at), step):
        part = slice(start, start + step)
        difference = features[candidate[part]].astype(np.float64)
        difference -= queries[at[part]]
        squared[part] = np.einsum("nd,nd->n", difference, difference)
    return squared


def _parts(rows: np.ndarray) -> Iterator[np.ndarray]:
    step = max(1, DIFFERENCES // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]
