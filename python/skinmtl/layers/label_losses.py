"""Losses of labels with weights, each its value and its gradient: sigmoid, also focal, and softmax.

Both divide by the number of images alone, as the paper's equations do, so that without weights they are its losses.
"""

from __future__ import annotations

from typing import Sequence

import numpy as np

from caffe_files.errors import InputError


def sigmoid_loss(
    scores: np.ndarray, labels: np.ndarray, positive: Sequence[float] = (), gamma: float = 0.0
) -> tuple[float, np.ndarray]:
    """(1/N) sum over images and labels of -a (1 - p)^gamma log p, and its gradient with respect to the scores (N, P).

    p is the sigmoid of the score where the label (N, P) is 1, else 1 minus that; a is the label's number of `positive`
    where it is 1 (none given: 1), else 1. With gamma 0 that is the cross-entropy with weights of the positives; with
    another the focal loss (Lin et al. 2017, equation 5, whose alpha weighs negatives too). InputError where a label is
    neither 0 nor 1.
    """
    is_one = _truth(scores, labels)
    sign = np.where(is_one, 1.0, -1.0)
    margin = sign * scores.astype(np.float64)
    log = -np.logaddexp(0, -margin)  # log p, without an overflow
    rest = np.exp(-np.logaddexp(0, margin))  # 1 - p, exact also where p is near 1
    weight = np.where(is_one, positive if len(positive) else 1.0, 1.0) / len(scores)
    power = rest**gamma
    slope = weight * power * (gamma * np.exp(log) * log - rest)
    return float(-(weight * power * log).sum()), (sign * slope).astype(scores.dtype)


def softmax_loss(scores: np.ndarray, labels: np.ndarray, weights: Sequence[float] = ()) -> tuple[float, np.ndarray]:
    """(1/N) sum over images of -w log p of the one label that each has, and its gradient with respect to the scores.

    Scores and labels (N, P), 0 or 1, or labels (N, 1), the number of each image's; p is the softmax's share, w the
    label's weight (none given: 1). It is divided by the images, not by their weights. InputError where an image has not
    just one label.
    """
    is_one = _numbered(scores, labels) if labels.size < scores.size else _truth(scores, labels)
    counts = is_one.sum(axis=1)
    if (counts != 1).any():
        raise InputError(
            f"an image has {counts[counts != 1][0]} labels, where a softmax is of one; make the net with --lesion-loss "
            "sigmoid"
        )
    logits = scores.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    weight = (np.asarray(weights)[is_one.argmax(axis=1)] if len(weights) else np.ones(len(scores))) / len(scores)
    gradient = weight[:, np.newaxis] * (np.exp(logs) - is_one)
    return float(-(weight * logs[is_one]).sum()), gradient.astype(scores.dtype)


def _numbered(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    numbers = np.arange(scores.shape[1]) == labels.reshape(len(scores), 1)
    if not numbers.any(axis=1).all():
        raise InputError(f"a label is none of the numbers from 0 to {scores.shape[1] - 1}; build the LMDBs again")
    return numbers


def _truth(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    labels = labels.reshape(scores.shape)
    if not np.isin(labels, (0, 1)).all():
        raise InputError("a label is neither 0 nor 1; build the LMDBs again")
    return labels == 1
