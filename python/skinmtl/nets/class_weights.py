"""Weights of labels that training images rarely have, from how many have them."""

from __future__ import annotations

from typing import Sequence

import numpy as np

WEIGHTINGS = ("none", "inverse", "effective")
BETA = (
    0.999  # of 0.9, 0.99, 0.999 and 0.9999, which Cui et al. (2019) tried: our choice, for hundreds of images a lesion
)
SIGNIFICANT_DIGITS = 6  # what a float32 written as text keeps: the weights in a net are those that are computed with


def effective_number(count: np.ndarray, beta: float) -> np.ndarray:
    """(1 - beta^n) / (1 - beta): Cui et al. (2019), equation 2. From 1 at n = 1 to 1 / (1 - beta).

    >>> effective_number(np.array([1, 2, 1000000]), 0.5).tolist()
    [1.0, 1.5, 2.0]
    """
    return -np.expm1(count * np.log(beta)) / (1 - beta)


def positive_weights(weighting: str, images: int, counts: Sequence[int], beta: float = BETA) -> tuple[float, ...]:
    """What a label's positives weigh in a sigmoid's loss, where its negatives weigh 1; `counts` of `images` have each.

    inverse    negatives / positives, so that both weigh the same
    effective  the same of their effective numbers: our reading of Cui et al. for an image with several labels, where
               each label is a question of its own; near 1 for a small beta, near inverse for one near 1

    A label that no training image has, or all have, has the weight 1: nothing is there to be weighed.
    """
    positives = np.asarray(counts, float)
    negatives = images - positives
    weighed = (positives > 0) & (negatives > 0)
    sizes = [np.where(weighed, each, 1.0) for each in (negatives, positives)]
    if weighting == "effective":
        sizes = [effective_number(each, beta) for each in sizes]
    return _rounded(np.where(weighed, sizes[0] / sizes[1], 1.0))


def softmax_weights(weighting: str, counts: Sequence[int], beta: float = BETA) -> tuple[float, ...]:
    """What the label of an image weighs in a softmax's loss, where each image has one; `counts` images have each.

    inverse    1 / n
    effective  1 / effective number of n: Cui et al. (2019), equation 3

    times what makes the mean over the training images 1, as scikit-learn's "balanced" does, so that the learning rate
    needs no other value; Cui et al. make the sum over the labels their number. A label without an image has 1.
    """
    counted = np.asarray(counts, float)
    weighed = counted > 0
    sizes = np.where(weighed, counted, 1.0)
    weights = 1 / (effective_number(sizes, beta) if weighting == "effective" else sizes)
    weights = weights * counted.sum() / (weights * counted).sum()
    return _rounded(np.where(weighed, weights, 1.0))


def _rounded(weights: np.ndarray) -> tuple[float, ...]:
    return tuple(float(f"{weight:.{SIGNIFICANT_DIGITS}g}") for weight in weights)
