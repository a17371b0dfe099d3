"""What given folds leak: test images with a sibling in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

import numpy as np

from skinmtl.splits.near_duplicates import Pair


@dataclass(frozen=True)
class Leakage:
    """What each fold, as the test fold, has in common with all others.

    numbers     (K,) int64: the fold numbers
    test        (K,) int64: the images of each fold
    siblings    (K,) int64: those of them with an image of the same group in another fold
    duplicates  (K,) int64: those with a near-duplicate of another group in another fold; None where none were sought
    either      (K,) int64: those with one or the other
    groups      the names of the groups that straddle folds, sorted
    pairs       the near-duplicates that straddle folds
    """

    numbers: np.ndarray
    test: np.ndarray
    siblings: np.ndarray
    duplicates: np.ndarray | None
    either: np.ndarray
    groups: tuple[str, ...]
    pairs: tuple[Pair, ...]


def leakage(groups: Sequence[str], folds: np.ndarray, pairs: Sequence[Pair] | None) -> Leakage:
    """Of the groups (N,) and folds (N,) of every image, and near-duplicates where they were sought."""
    numbers, fold = np.unique(folds, return_inverse=True)
    fold = fold.reshape(-1)
    names, group = np.unique(groups, return_inverse=True)
    group = group.reshape(-1)
    lowest = np.full(len(names), len(numbers))
    np.minimum.at(lowest, group, fold)
    highest = np.zeros(len(names), np.int64)
    np.maximum.at(highest, group, fold)
    straddles = lowest != highest
    sibling = straddles[group]
    across = tuple(pair for pair in pairs or () if fold[pair.a] != fold[pair.b])
    duplicate = np.zeros(len(fold), bool)
    duplicate[[row for pair in across for row in (pair.a, pair.b)]] = True

    def by_fold(images: np.ndarray) -> np.ndarray:
        return np.bincount(fold[images], minlength=len(numbers))

    return Leakage(
        numbers,
        by_fold(np.ones(len(fold), bool)),
        by_fold(sibling),
        None if pairs is None else by_fold(duplicate),
        by_fold(sibling | duplicate),
        tuple(names[straddles].tolist()),
        across,
    )
