"""Boxes (x1, y1, x2, y2) in pixels of the net's input, x2 and y2 exclusive: areas, overlap, deltas, clipping.

Deltas (dx, dy, dw, dh) say where a box is as seen from a reference: the way between their centres in widths and heights
of the reference, and the logarithms of the sides' ratios, each divided by its std (Girshick et al. 2014; the stds
0.1, 0.1, 0.2, 0.2 are those of Mask R-CNN).
"""

from __future__ import annotations

from typing import Sequence

import numpy as np

from caffe_files.errors import InputError

LARGEST_LOG = float(np.log(1000 / 16))  # of dw and dh times std: Detectron's bound against overflow


def areas(boxes: np.ndarray) -> np.ndarray:
    """Areas (...) of boxes (..., 4); 0 where one has no width or no height."""
    return np.maximum(boxes[..., 2] - boxes[..., 0], 0) * np.maximum(boxes[..., 3] - boxes[..., 1], 0)


def are_boxes(boxes: np.ndarray) -> np.ndarray:
    """bool (...): which boxes (..., 4) have an area. Rows of zeros, the padding, have none."""
    return (boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1])


def iou(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union (N, M) of boxes (N, 4) and (M, 4), in their type; 0 where both have no area."""
    left = np.maximum(some[:, None, :2], others[None, :, :2])
    right = np.minimum(some[:, None, 2:], others[None, :, 2:])
    sides = np.maximum(right - left, 0)
    shared = sides[..., 0] * sides[..., 1]
    union = areas(some)[:, None] + areas(others)[None] - shared
    return shared / np.where(union > 0, union, 1)


def encode(boxes: np.ndarray, references: np.ndarray, std: Sequence[float]) -> np.ndarray:
    """Deltas (..., 4) of boxes (..., 4) seen from references (..., 4); both must have an area."""
    centres, sides = _centres_and_sides(boxes)
    own_centres, own_sides = _centres_and_sides(references)
    deltas = np.concatenate([(centres - own_centres) / own_sides, np.log(sides / own_sides)], axis=-1)
    return deltas / np.asarray(std, deltas.dtype)


def decode(deltas: np.ndarray, references: np.ndarray, std: Sequence[float]) -> np.ndarray:
    """Boxes (..., 4) that have these deltas (..., 4) seen from references (..., 4): the inverse of `encode`."""
    deltas = deltas * np.asarray(std, deltas.dtype)
    centres, sides = _centres_and_sides(references)
    centres = centres + deltas[..., :2] * sides
    halves = np.exp(np.minimum(deltas[..., 2:], LARGEST_LOG)) * sides * 0.5
    return np.concatenate([centres - halves, centres + halves], axis=-1)


def clip(boxes: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Boxes (..., 4) cut off at a window (4); one that lies outside loses its area."""
    low, high = np.tile(window[:2], 2), np.tile(window[2:], 2)
    return np.minimum(np.maximum(boxes, low), high)


def check_lesions(boxes: np.ndarray, class_labels: np.ndarray) -> None:
    """InputError where an image has a lesion, a class label (N) above 0, but a box (N, 4) without an area."""
    for number in np.flatnonzero((class_labels > 0) & ~(are_boxes(boxes) & np.isfinite(boxes).all(axis=1))):
        box = ", ".join(f"{edge:g}" for edge in boxes[number])
        raise InputError(
            f"box {number} of the batch ({box}) has no area, but its class_label is {class_labels[number]:g}; "
            "an image without a lesion has the class_label 0"
        )


def _centres_and_sides(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sides = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + sides * 0.5, sides
