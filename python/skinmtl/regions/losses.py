"""Losses of Song et al. (2020), each its value and its gradient: focal loss, smooth L1, Jaccard distance.

What a blob holds that does not count (labels of -1, weights of 0, padding) is not read, and its gradient is 0.
"""

from __future__ import annotations

import numpy as np

from caffe_files.errors import InputError

LEAST_UNION = 1e-12  # pixels: where smooth is 0, nothing is there and nothing answered, the loss is still a number


def focal_loss(scores: np.ndarray, labels: np.ndarray, alpha: float, beta: float) -> tuple[float, np.ndarray]:
    """Mean over the labels (N, M) or (R,) that are not -1, at least 1, of -a (1 - p)^beta log p, and its gradient.

    p is the softmax, over axis 1 of the scores (N, C, M) or (R, C), at the label; a is alpha for the classes from 1
    on, 1 - alpha for the background 0 (Lin et al. 2017, equation 5; the paper has it for two classes). InputError for
    a label of C or more.
    """
    gradient = np.zeros_like(scores)
    counted = np.nonzero(labels >= 0)
    if not len(counted[0]):
        return 0.0, gradient
    true = labels[counted].astype(np.intp)
    if true.max() >= scores.shape[1]:
        raise InputError(f"a label is {true.max()}, but there are scores of {scores.shape[1]} classes; correct the net")
    by_place = np.moveaxis(scores, 1, -1)  # (N, M, C) or (R, C), the same memory
    logits = by_place[counted].astype(np.float64)  # (n, C)
    logits -= logits.max(axis=1, keepdims=True)
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    each = np.arange(len(true))
    log = logs[each, true]
    p, rest = np.exp(log), -np.expm1(log)  # rest is 1 - p, exact also where p is near 1
    weight = np.where(true > 0, alpha, 1 - alpha) / len(true)
    power = rest**beta
    # d/dlog p of -(1 - p)^beta log p; log p / (1 - p) goes to -1 where p goes to 1
    slope = weight * power * (beta * p * np.divide(log, rest, out=np.full_like(log, -1), where=rest > 0) - 1)
    along = -np.exp(logs)
    along[each, true] += 1
    np.moveaxis(gradient, 1, -1)[counted] = slope[:, None] * along
    return float(-(weight * power * log).sum()), gradient


def smooth_l1_loss(
    prediction: np.ndarray, target: np.ndarray, weight: np.ndarray, sigma: float
) -> tuple[float, np.ndarray]:
    """Sum of weight times s^2 x^2 / 2 where |x| < 1 / s^2, else |x| - 1 / (2 s^2), and its gradient.

    x = prediction - target, of any one shape; s = sigma, which the paper has as 1.
    """
    gradient = np.zeros_like(prediction)
    counted = np.nonzero(weight)
    x, weights = prediction[counted].astype(np.float64) - target[counted], weight[counted]
    bend = 1 / sigma**2
    size = np.abs(x)
    values = np.where(size < bend, 0.5 * x**2 / bend, size - 0.5 * bend)
    gradient[counted] = weights * np.clip(x / bend, -1, 1)
    return float((weights * values).sum()), gradient


def jaccard_loss(scores: np.ndarray, targets: np.ndarray, smooth: float, weight: float) -> tuple[float, np.ndarray]:
    """Mean over the masks of weight (1 - (I + smooth) / (U + smooth)), and its gradient with respect to the scores.

    Scores before the sigmoid m, and targets y of 0/1, both (F, C, h, w); -1 does not count, and a mask that is all -1
    neither. I = sum of y m, U = sum of y + sum of m - I, over what counts of one mask. See JaccardLossSettings for the
    paper's delta.
    """
    gradient = np.zeros_like(scores)
    counted = targets >= 0
    masks = np.flatnonzero(counted.reshape(len(targets), -1).any(axis=1))
    if not len(masks):
        return 0.0, gradient
    counted = counted[masks]
    m = np.where(counted, _sigmoid(scores[masks].astype(np.float64)), 0)
    y = np.where(counted, targets[masks], 0)
    axes = (1, 2, 3)
    shared = (y * m).sum(axis=axes, keepdims=True)
    union = y.sum(axis=axes, keepdims=True) + m.sum(axis=axes, keepdims=True) - shared + smooth
    union = np.maximum(union, LEAST_UNION)
    shared = shared + smooth
    scale = weight / len(masks)
    slope = -scale * (y * union - shared * (1 - y)) / union**2
    gradient[masks] = np.where(counted, slope * m * (1 - m), 0)
    return float(scale * (1 - shared / union).sum()), gradient


def _sigmoid(scores: np.ndarray) -> np.ndarray:
    """1 / (1 + e^-x) without an overflow."""
    small = np.exp(-np.abs(scores))
    return np.where(scores >= 0, 1, small) / (1 + small)
