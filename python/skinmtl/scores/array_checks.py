"""Checks of the arrays of a scores file. Each InputError names the file, the array, and the record at fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from caffe_files.errors import InputError
from skinmtl.common.npz_file import is_names
from skinmtl.data.names import name_fault, spelled

REMEDY = "make the file again with tools/score.py"


def checked_names(path: Path, array: str, names: np.ndarray) -> list[str]:
    """Names, at least one and no two alike; of classes in their one spelling."""
    if not is_names(names):
        raise InputError(f"{path}: {array} is {names.shape} {names.dtype}, where unicode names are wanted; {REMEDY}")
    if not len(names):
        raise InputError(f"{path}: {array} is empty; score at least one image and one class")
    first_row: dict[str, int] = {}
    for row, name in enumerate(names.tolist()):
        if not name:
            raise InputError(f"{path}: {array}, row {row}: the name is empty; {REMEDY}")
        if array != "image":  # as in a manifest
            name = spelled(name)
            fault = name_fault(name)
            if fault:
                raise InputError(f"{path}: {array}, row {row}: {name!r} has {fault}; rename it")
        if name in first_row:
            earlier = first_row[name]
            raise InputError(f"{path}: {array}, row {row}: {name!r} is in row {earlier} already; keep one of the two")
        first_row[name] = row
    return list(first_row)


def checked_scores(path: Path, array: str, scores: np.ndarray, image: list[str], names: list[str]) -> np.ndarray:
    """(images, classes) float32, all finite."""
    check_shape(path, array, scores, (len(image), len(names)))
    check_float32(path, array, scores)
    wrong = np.argwhere(~np.isfinite(scores))
    if len(wrong):
        row, column = wrong[0]
        place = where(path, array, image, row)
        raise InputError(
            f"{place}, class {names[column]!r}: the score is {scores[row, column]} ({len(wrong)} such in the file); "
            "check that training did not diverge, and score again"
        )
    return scores.astype(np.float32)


def checked_marks(path: Path, array: str, labels: np.ndarray, image: list[str], names: list[str]) -> np.ndarray:
    """(images, classes) uint8, each 0 or 1."""
    check_shape(path, array, labels, (len(image), len(names)))
    if labels.dtype.kind not in "buif":
        raise InputError(f"{path}: {array} is {labels.dtype}, where 0 and 1 are wanted; {REMEDY}")
    wrong = np.argwhere((labels != 0) & (labels != 1))
    if len(wrong):
        row, column = wrong[0]
        place = where(path, array, image, row)
        raise InputError(f"{place}, class {names[column]!r}: {labels[row, column]} is neither 0 nor 1; {REMEDY}")
    return labels.astype(np.uint8)


def checked_indices(path: Path, array: str, labels: np.ndarray, image: list[str], n: int, of: str) -> np.ndarray:
    """(images,) int64, each the index of one of `n` names; `of` is what they name, in the plural."""
    check_shape(path, array, labels, (len(image),))
    if labels.dtype.kind not in "ui":
        raise InputError(f"{path}: {array} is {labels.dtype}, where integers are wanted; {REMEDY}")
    wrong = np.flatnonzero((labels < 0) | (labels >= n))
    if len(wrong):
        place = where(path, array, image, wrong[0])
        raise InputError(f"{place}: {labels[wrong[0]]} is none of the {n} {of} (0 is the first); {REMEDY}")
    return labels.astype(np.int64)


def check_shape(path: Path, array: str, values: np.ndarray, wanted: tuple[int, ...]) -> None:
    if values.shape != wanted:
        raise InputError(f"{path}: {array} has shape {values.shape}, where images and names make {wanted}; {REMEDY}")


def check_float32(path: Path, array: str, values: np.ndarray) -> None:
    if values.dtype.kind != "f" or values.dtype.itemsize != 4:
        raise InputError(f"{path}: {array} is {values.dtype}, where float32 is wanted; save it with astype('float32')")


def where(path: Path, array: str, image: list[str], row: Any) -> str:
    return f"{path}: {array}, row {row}, image {image[row]!r}"
