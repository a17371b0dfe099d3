"""How unlike the training images an image is: the distance of its features to theirs, and from where on it is too far.

After Sun, Ming, Zhu and Li, "Out-of-distribution detection with deep nearest neighbors" (2022): features of length 1,
and the Euclidean distance to the k-th nearest training image. Training images are measured so too, each without
itself and the other images of its patient. The threshold is of images that were not trained on, since a net draws those
that it has seen closer together: with V validation images it is the distance of the one at rank (V + 1) keep, rounded
up, so that a new image of their kind is beyond it with a probability of at most 1 - keep (split conformal prediction).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Mapping, NamedTuple

import numpy as np

from caffe_files.errors import InputError
from skinmtl.explanation.neighbours import nearest
from skinmtl.scores.crops import CENTRE, CROPS

SAME = "the features of all images are the same"
ROUNDING = 2.0**-10  # a row of length 1 is no further from itself in float16
PAIRS = 1 << 21  # neighbours at a time: 34 MB


class Likeness(NamedTuple):
    """How far an image is from the training images. `above_training` and `above_validation` are the shares of these
    that are nearer; `spread` is the root mean square distance of its crops' features from their mean, in the unit of
    `distance`, and None of one crop."""

    distance: float
    threshold: float
    above_training: float
    above_validation: float
    spread: float | None

    @property
    def unlike(self) -> bool:
        """Whether it is beyond the threshold."""
        return self.distance > self.threshold


@dataclass(frozen=True, eq=False)
class Novelty:
    """What it takes to tell how unlike the training images an image is.

    reference   (M, D) float32 of length 1 or 0, rounded to float16: features of training images
    training    (N,) float32, ascending: how far each training image is from those of other groups
    validation  (V,) float32, ascending: the same of validation images
    k           which neighbour's distance it is
    keep        the share of images like the validation images that the threshold keeps
    protocol    how the features were made (see extracting.DECIDES)
    fitted_on   which part of the data set the validation images are of, in words
    made        what else is known, for the file
    """

    reference: np.ndarray
    training: np.ndarray
    validation: np.ndarray
    k: int
    keep: float
    protocol: Mapping[str, Any]
    fitted_on: str
    made: Mapping[str, Any] = field(default_factory=dict)

    @property
    def threshold(self) -> float:
        return float(self.validation[rank_of(self.keep, len(self.validation)) - 1])

    @property
    def refused(self) -> int:
        """How many validation images are beyond the threshold."""
        return int((self.validation > self.threshold).sum())

    @property
    def crops(self) -> int:
        """Of which the features are the mean; 1 is the centre."""
        return int(self.protocol["crops"])

    def words(self) -> str:
        """What is measured, for a person."""
        return (
            f"distance of the {self.protocol['blob']} features, at length 1, to the {ordinal(self.k)} nearest of "
            f"{len(self.reference)} training images"
        )

    def likeness(self, of_crops: np.ndarray) -> Likeness:
        """Of one image: the features (C, D) of its ten crops, or of the centre alone where `crops` is 1."""
        rows = of_crops[CENTRE : CENTRE + 1] if self.crops == 1 and len(of_crops) == CROPS else of_crops
        _, found = nearest(self.reference, unit_length(rows.mean(axis=0, keepdims=True)), self.k)
        distance = np.float32(found[0, -1])  # as those that it is held against
        directions = unit_length(of_crops)
        spread = math.sqrt(((directions - directions.mean(axis=0)) ** 2).sum(axis=1).mean())
        return Likeness(
            float(distance),
            self.threshold,
            *(float(np.searchsorted(those, distance) / len(those)) for those in (self.training, self.validation)),
            spread if len(of_crops) > 1 else None,
        )


def fit(
    training: np.ndarray,
    groups: np.ndarray,
    validation: np.ndarray,
    validation_groups: np.ndarray,
    kept: np.ndarray,
    k: int,
    keep: float,
    protocol: Mapping[str, Any],
    fitted_on: str,
    made: Mapping[str, Any],
) -> Novelty:
    """The Novelty of training (N, D) and validation (V, D) features, of which `kept` are the rows of the training
    images to keep. `groups` (N,) and `validation_groups` (V,) are numbers of patients.

    InputError where there are too few validation images for `keep`, too few patients for `k`, or nothing to tell.
    """
    least = least_images(keep)
    if len(validation) < least:
        raise InputError(
            f"{len(validation)} validation images: a threshold that keeps {100 * keep:g} % needs at least {least}; "
            "give more of them, or a smaller --keep"
        )
    training, validation = unit_length(training), unit_length(validation)
    reference = training[kept].astype(np.float16).astype(np.float32)
    own, others = (
        kth_distances(reference, groups[kept], rows, of_rows, k)
        for rows, of_rows in ((training, groups), (validation, validation_groups))
    )
    novelty = Novelty(reference, np.sort(own), np.sort(others), k, keep, protocol, fitted_on, made)
    if novelty.threshold < ROUNDING:
        raise InputError(f"{SAME}: the net tells no image from another; train it, or take another net")
    return novelty


def unit_length(rows: np.ndarray) -> np.ndarray:
    """(N, D) float32, each row divided by its length; zeros stay zeros."""
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))[:, None]
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def kth_distances(
    reference: np.ndarray, groups: np.ndarray, queries: np.ndarray, of_queries: np.ndarray, k: int
) -> np.ndarray:
    """(M,) float32: each query's distance to the k-th nearest of the reference (N, D) that is of another group than it.

    InputError where a query has fewer than k of these.
    """
    counts = dict(zip(*np.unique(groups, return_counts=True)))
    own = max((counts.get(group, 0) for group in of_queries), default=0)  # neighbours that may be the query's own
    distances = np.empty(len(queries), np.float32)
    step = max(1, PAIRS // (k + own))
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        found, far = nearest(reference, queries[part], k + own)
        far = np.where(groups[found] == of_queries[part, None], np.inf, far)
        far.sort(axis=1)
        if far.shape[1] < k or not np.isfinite(far[:, k - 1]).all():
            raise InputError(
                f"some images have fewer than {k} training images of other patients; give more, a larger --reference, "
                "or a smaller --k"
            )
        distances[part] = far[:, k - 1]
    return distances


def rank_of(keep: float, count: int) -> int:
    """The rank, from 1, of the validation image whose distance is the threshold; above `count` where these are few."""
    return max(1, math.ceil(keep * (count + 1) - 1e-9))  # 0.07 * 100 is 7.000000000000001


def least_images(keep: float) -> int:
    """How many validation images it takes."""
    return math.ceil(keep / (1 - keep) - 1e-9)


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, ... 11th."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number}{ending}"
