"""The arrays of a scores file that come from a net of regions: class, box and mask of the one lesion in each image.

They are there beside lesion and location scores or without them. A net without a head for classes, or without one for
masks, leaves those arrays out; the arrays of BOX are there with every such net.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping

import numpy as np

from caffe_files.errors import InputError
from skinmtl.scores.array_checks import (
    REMEDY,
    check_float32,
    check_shape,
    checked_indices,
    checked_names,
    checked_scores,
    where,
)

CLASS = ("class_scores", "class_labels", "class_names")
BOX = ("detected", "detection_scores", "boxes", "true_boxes", "image_sizes")
MASK = ("mask_counts",)
REGIONS = (*BOX, *CLASS, *MASK)
TYPES = {
    **{name: np.float32 for name in ("class_scores", "detection_scores", "boxes", "true_boxes")},
    "class_names": np.str_,
}  # of what is written; the others keep theirs, so that a 0.5 is found before it is rounded


def checked_regions(path: Path, arrays: Mapping[str, np.ndarray], image: list[str]) -> dict[str, Any]:
    """The fields of Scores by name; nothing where the file has none of them. InputError names the first fault."""
    there = [name for name in REGIONS if name in arrays]
    if not there:
        return {}
    for wanted in (BOX, CLASS if any(name in CLASS for name in there) else ()):
        for name in wanted:
            if name not in arrays:
                raise InputError(f"{path}: array {name} is missing while {there[0]} is there; {REMEDY}")
    sizes = _sizes(path, arrays["image_sizes"], image)
    fields: dict[str, Any] = {
        "image_sizes": sizes,
        "detected": _detected(path, arrays["detected"], image),
        "detection_scores": _of_detections(path, arrays["detection_scores"], image),
        "boxes": _boxes(path, "boxes", arrays["boxes"], image, sizes),
        "true_boxes": _boxes(path, "true_boxes", arrays["true_boxes"], image, sizes, missing=True),
    }
    if "class_names" in arrays:
        names = checked_names(path, "class_names", arrays["class_names"])
        fields["class_names"] = names
        fields["class_scores"] = _shares(path, arrays["class_scores"], image, names)
        fields["class_labels"] = checked_indices(
            path, "class_labels", arrays["class_labels"], image, len(names), "classes"
        )
    if "mask_counts" in arrays:
        fields["mask_counts"] = _counts(path, arrays["mask_counts"], image, sizes)
    return fields


def _sizes(path: Path, sizes: np.ndarray, image: list[str]) -> np.ndarray:
    check_shape(path, "image_sizes", sizes, (len(image), 2))
    if sizes.dtype.kind not in "ui":
        raise InputError(f"{path}: image_sizes is {sizes.dtype}, where integers are wanted; {REMEDY}")
    wrong = np.argwhere(sizes < 1)
    if len(wrong):
        row, column = wrong[0]
        raise InputError(f"{where(path, 'image_sizes', image, row)}: a side of {sizes[row, column]}; {REMEDY}")
    return sizes.astype(np.int64)


def _detected(path: Path, detected: np.ndarray, image: list[str]) -> np.ndarray:
    check_shape(path, "detected", detected, (len(image),))
    if detected.dtype.kind != "b":
        raise InputError(f"{path}: detected is {detected.dtype}, where bool is wanted; {REMEDY}")
    return detected.astype(bool)


def _of_detections(path: Path, scores: np.ndarray, image: list[str]) -> np.ndarray:
    check_shape(path, "detection_scores", scores, (len(image),))
    return checked_scores(path, "detection_scores", scores[:, None], image, ["lesion"])[:, 0]


def _boxes(
    path: Path, array: str, boxes: np.ndarray, image: list[str], sizes: np.ndarray, missing: bool = False
) -> np.ndarray:
    """(images, 4) float32 x1, y1, x2, y2 inside their images; where `missing` may be, a row of NaN is none."""
    check_shape(path, array, boxes, (len(image), 4))
    check_float32(path, array, boxes)
    left, top, right, bottom = boxes.astype(np.float64).T
    height, width = sizes.T
    with np.errstate(invalid="ignore"):
        sound = (left >= 0) & (left <= right) & (right <= width) & (top >= 0) & (top <= bottom) & (bottom <= height)
    if missing:
        sound |= np.isnan(boxes).all(axis=1)
    wrong = np.flatnonzero(~sound)
    if len(wrong):
        row = wrong[0]
        raise InputError(
            f"{where(path, array, image, row)}: {boxes[row].tolist()} is no box in an image of {width[row]} x "
            f"{height[row]} pixels; {REMEDY}"
        )
    return boxes.astype(np.float32)


def _shares(path: Path, scores: np.ndarray, image: list[str], names: list[str]) -> np.ndarray:
    scores = checked_scores(path, "class_scores", scores, image, names)
    wrong = np.argwhere((scores < 0) | (scores > 1))
    if len(wrong):
        row, column = wrong[0]
        place = where(path, "class_scores", image, row)
        raise InputError(f"{place}, class {names[column]!r}: {scores[row, column]} is no share from 0 to 1; {REMEDY}")
    return scores


def _counts(path: Path, counts: np.ndarray, image: list[str], sizes: np.ndarray) -> np.ndarray:
    """(images, 4) int64: all pixels of the image, or none where there is no true mask."""
    check_shape(path, "mask_counts", counts, (len(image), 4))
    if counts.dtype.kind not in "ui":
        raise InputError(f"{path}: mask_counts is {counts.dtype}, where integers are wanted; {REMEDY}")
    counts, pixels = counts.astype(np.int64), sizes.prod(axis=1)
    total = counts.sum(axis=1)
    wrong = np.flatnonzero((counts < 0).any(axis=1) | ((total != pixels) & (counts != 0).any(axis=1)))
    if len(wrong):
        row = wrong[0]
        place = where(path, "mask_counts", image, row)
        raise InputError(f"{place}: {counts[row].tolist()} are not the {pixels[row]} pixels of the image; {REMEDY}")
    return counts
