"""How many labels a figure shows: a limit, beyond which those with the most images are shown, and it is said."""

from __future__ import annotations

from typing import Sequence

import numpy as np

MOST = 120  # of a side of a heat map, or lines of a chart: some 6,000 pixels, which viewers show (our choice)
MOST_PANELS = 60


def most_frequent(images: Sequence[int] | np.ndarray, at_most: int = MOST) -> np.ndarray:
    """Indices of the labels with the most images, the most frequent first."""
    return np.argsort(-np.asarray(images), kind="stable")[:at_most]


def shown(images: Sequence[int] | np.ndarray, at_most: int = MOST) -> np.ndarray:
    """Indices of the same labels, as listed."""
    return np.sort(most_frequent(images, at_most))


def said(n_shown: int, n_all: int, what: str = "") -> str:
    """What a title says of it, as a line of its own; nothing where all are shown."""
    return "" if n_shown == n_all else f"\nthe {n_shown:,} most frequent of {n_all:,}{' ' if what else ''}{what}"
