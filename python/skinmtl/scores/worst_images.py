"""The images that a net gets most wrong, lesion by lesion, and which lesions it scores above those that are there.

Which score calls a lesion is a choice (see `called`). Where thresholds are given, chosen on other images, a false
positive is an image without the lesion whose score is the threshold or higher, a false negative one with it whose score
is lower. Without them nothing is called: the highest scored images without the lesion stand for the one, the lowest
scored with it for the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from skinmtl.scores.reliability import are_probabilities

WITHOUT, WITH, UNCERTAIN = KINDS = ("highest_without", "lowest_with", "uncertain")
CALLED = {WITHOUT: "false_positive", WITH: "false_negative"}  # what they are at a threshold
MIDDLE = 0.5  # the probability at which a net says as much for a label as against it


class Worst(NamedTuple):
    """`rows` of the scores, the worst first, and of how many images (`among`) they are."""

    rows: np.ndarray
    among: int


@dataclass(frozen=True)
class LesionErrors:
    """What goes wrong with one lesion, number `index` of the scores' names.

    positives, images  how many images have it, and how many there are
    called             whether there are thresholds
    worst              kind of KINDS -> images; without UNCERTAIN where scores are no probabilities
    not_first          images with it on which a lesion that they have not is scored as high or higher
    above              (P,) for each lesion, on how many images with this one and without that it is scored so
    """

    name: str
    index: int
    positives: int
    images: int
    called: bool
    worst: dict[str, Worst]
    not_first: int
    above: np.ndarray


def lesion_errors(
    names: list[str], labels: np.ndarray, scores: np.ndarray, each: int, thresholds: np.ndarray | None = None
) -> list[LesionErrors]:
    """For each of P lesions, at most `each` images of a kind.

    labels      (N, P), 0 or 1
    scores      (N, P); ties are ranked in the images' order
    thresholds  (N, P), for images may be of several nets, each with its own; nan: that lesion is not called
    """
    there, probable = np.asarray(labels) != 0, are_probabilities(scores)
    found = []
    for p, name in enumerate(names):
        own = None if thresholds is None or np.isnan(thresholds[:, p]).any() else thresholds[:, p]
        has, values = there[:, p], scores[:, p].astype(np.float64)
        worst = {
            WITHOUT: _first(values, ~has if own is None else ~has & (values >= own), each),
            WITH: _first(-values, has if own is None else has & (values < own), each),
        }
        if probable:
            from_middle = np.abs(values - (MIDDLE if own is None else own))
            worst[UNCERTAIN] = _first(-from_middle, np.ones(len(values), bool), each)
        rivals = (scores[has] >= scores[has, p][:, None]) & ~there[has]
        found.append(
            LesionErrors(
                name, p, int(has.sum()), len(values), own is not None, worst,
                int(rivals.any(axis=1).sum()), rivals.sum(axis=0),
            )
        )  # fmt: skip
    return found


def _first(values: np.ndarray, among: np.ndarray, each: int) -> Worst:
    """The images with the highest values of those that count."""
    rows = np.flatnonzero(among)
    return Worst(rows[np.argsort(-values[rows], kind="stable")[:each]], len(rows))
