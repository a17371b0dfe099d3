"""How well a validation set can tell: the interval of the watched error by chance, before there is a net.

The interval is of a guess that knows how frequent labels are and sees no image: its error on an image is then known
for each label, and so is how far the mean of as many images moves from one drawn set to the next. A trained net errs
less, and its interval is narrower by about the root of that; the order of magnitude is what is told. Images of one
patient count as one.
"""

from __future__ import annotations

import math
from typing import Sequence

import numpy as np

NORMAL = 1.96  # standard errors on either side, for 95 %


def half_width(
    watch: str, counts: dict[str, Sequence[int]], n_images: int, n_groups: int | None
) -> tuple[float, float]:
    """(error, half of its 95 % interval) of the guess, for what --watch names.

    `counts` are the validation images of each label, by head ("lesion", "location").
    """
    independent = max(1, n_images if n_groups is None else n_groups)
    # one image more, of all labels alike: a label that all of a few images have is not certain
    shares = {head: (np.asarray(each, float) + 1 / len(each)) / (n_images + 1) for head, each in counts.items()}
    parts = [_PARTS[name](shares[head]) for name, head in _named(watch, counts) if head in shares]
    error, deviation = (sum(values) for values in zip(*parts))  # of parts that err together: the most
    if watch == "error":
        error, deviation = error / len(parts), deviation / len(parts)
    if watch in ("map_class", "balanced_accuracy"):
        deviation = _of_classes(np.asarray(counts["lesion"], float)) * math.sqrt(n_images)
    return error, NORMAL * deviation / math.sqrt(independent)


def _named(watch: str, heads: dict[str, Sequence[int]]) -> list[tuple[str, str]]:
    if watch in ("error", "loss"):
        of_head = {"lesion": "map_image", "location": "location_top1"} if watch == "error" else {}
        return [(of_head.get(head, f"{head}_loss"), head) for head in heads]
    return [(watch, "location" if watch.startswith("location") else "lesion")]


def _top1(shares: np.ndarray) -> tuple[float, float]:
    most = float(shares.max(initial=0.0))
    return 1 - most, math.sqrt(most * (1 - most))


def _map_image(shares: np.ndarray) -> tuple[float, float]:
    """Labels by frequency: the precision of the one at rank r is 1/r, where an image has one lesion."""
    weights = -np.sort(-shares)
    weights = weights / max(weights.sum(), 1e-12)
    precision = 1 / np.arange(1, len(weights) + 1)
    mean = float(weights @ precision)
    return 1 - mean, math.sqrt(max(0.0, float(weights @ precision**2) - mean**2))


def _map_class(shares: np.ndarray) -> tuple[float, float]:
    return 1 - float(shares[shares > 0].mean()) if (shares > 0).any() else 1.0, 0.0


def _balanced(shares: np.ndarray) -> tuple[float, float]:
    """Whatever is answered: of one label all images, of the others none."""
    return 1 - 1 / max(1, int((shares > 0).sum())), 0.0


def _of_classes(positives: np.ndarray) -> float:
    """The standard error of mAP-class and of balanced accuracy is at most this: of a share of the positives, in each
    class."""
    there = positives[positives > 0]
    return math.sqrt((0.25 / there).sum()) / len(there) if len(there) else 0.5


def _lesion_loss(shares: np.ndarray) -> tuple[float, float]:
    some = shares[(shares > 0) & (shares < 1)]
    loss = -(some * np.log(some) + (1 - some) * np.log(1 - some)).sum()
    return float(loss), float((np.sqrt(some * (1 - some)) * np.abs(np.log(some / (1 - some)))).sum())


def _location_loss(shares: np.ndarray) -> tuple[float, float]:
    some = shares[shares > 0]
    loss = float(-(some * np.log(some)).sum())
    return loss, math.sqrt(max(0.0, float((some * np.log(some) ** 2).sum()) - loss**2))


_PARTS = {
    "map_image": _map_image,
    "map_class": _map_class,
    "balanced_accuracy": _balanced,
    "location_top1": _top1,
    "lesion_loss": _lesion_loss,
    "location_loss": _location_loss,
}
