"""Regions of the same images by several models, row by row; and regions of several folds as one set.

As `pairing` has it for labels: nothing is matched by guess, and the first difference is named. What a model has no head
for, such as a mask, is None; what the models have in common must be of the same truth.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from caffe_files.errors import InputError
from skinmtl.scores.pairing import Named, check_images, check_names, only_once
from skinmtl.scores.regions_file import CLASS, REGIONS
from skinmtl.scores.scores_file import Scores

TRUTH = {"image_sizes": "another size", "true_boxes": "another true box", "class_labels": "another class"}


def aligned_regions(named: Named) -> list[Scores]:
    """The regions of all files with their rows in the first one's order.

    InputError names the first file without regions, and the first difference from the first file: an image, a class's
    name, or an image's size, class or true box.
    """
    first_file, first = named[0]
    result = []
    for file, scores in named:
        _require_regions(file, scores)
        check_images(first_file, first, file, scores)
        row_of = {image: row for row, image in enumerate(scores.image)}
        rows = np.array([row_of[image] for image in first.image])
        ordered = Scores(first.image, scores.protocol, **_rows(scores, rows))
        _check_truth(first_file, first, file, ordered)
        result.append(ordered)
    return result


def pooled_regions(named: Named) -> Scores:
    """The regions of several test folds as one set, one fold after the other: every image is there once.

    InputError where an image is in two files, and where the parts or the classes' names differ.
    """
    first_file, first = named[0]
    image = only_once(named)
    for file, scores in named:
        _require_regions(file, scores)
        for name in REGIONS:
            if (getattr(first, name) is None) != (getattr(scores, name) is None):
                one, other = (file, first_file) if getattr(scores, name) is None else (first_file, file)
                raise InputError(f"{one}: has no {name}, {other} has; pool folds of one model")
        if first.class_names is not None:
            check_names(first_file, first, file, scores, "class")
    parts = [_rows(scores, slice(None)) for _, scores in named]
    fields = {
        name: values if name == "class_names" else np.concatenate([part[name] for part in parts])
        for name, values in parts[0].items()
    }
    return Scores(image, {"pooled": [{"file": file, "protocol": scores.protocol} for file, scores in named]}, **fields)


def _require_regions(file: str, scores: Scores) -> None:
    if not scores.has_regions:
        raise InputError(f"{file}: has no boxes of lesions; name files of nets that draw them")


def _rows(scores: Scores, rows: Any) -> dict[str, Any]:
    """The arrays of regions that there are, with these rows."""
    there = {name: getattr(scores, name) for name in REGIONS if getattr(scores, name) is not None}
    return {name: values if name == "class_names" else values[rows] for name, values in there.items()}


def _check_truth(first_file: str, first: Scores, file: str, ordered: Scores) -> None:
    if first.class_names is not None and ordered.class_names is not None:
        check_names(first_file, first, file, ordered, "class")
    for name, what in TRUTH.items():
        one, other = getattr(first, name), getattr(ordered, name)
        if name in CLASS and (one is None or other is None):
            continue
        one, other = (
            np.nan_to_num(values.astype(np.float64), nan=-1).reshape(len(values), -1) for values in (one, other)
        )
        wrong = np.flatnonzero((one != other).any(axis=1))
        if len(wrong):
            raise InputError(
                f"{file}: image {first.image[wrong[0]]!r} has {what} than in {first_file} (images that differ: "
                f"{len(wrong)}); score both with the same manifest and masks"
            )
