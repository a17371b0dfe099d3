"""The saved scores of one forward pass over a set of images: one .npz file, checked on the way in and on the way out.

A file that can be read here is whole: every array is there with the right shape, every score is a finite number, every
lesion label is 0 or 1, every location label names a location, and no image is in it twice.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from caffe_files.errors import InputError
from caffe_files.outputs import new_file
from skinmtl.common.npz_file import is_names, protocol, read_arrays
from skinmtl.data.names import name_fault, spelled

HEADS = ("lesion", "location")
PARTS = ("scores", "labels", "names")
ARRAYS = ("image", "protocol", *(f"{head}_{part}" for head in HEADS for part in PARTS))
REMEDY = "make the file again with tools/score.py"


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores and labels of N images, for P lesions, Q locations or both.

    image            N names, no two alike
    lesion_scores    (N, P) float32, finite; the higher, the likelier
    lesion_labels    (N, P) uint8, 0 or 1
    lesion_names     P names
    location_scores  (N, Q) float32, finite
    location_labels  (N,) int64, in [0, Q)
    location_names   Q names
    protocol         how the scores were made; any JSON object

    A model with one head has None in the three places of the other.
    """

    image: list[str]
    protocol: dict[str, Any]
    lesion_scores: np.ndarray | None = None
    lesion_labels: np.ndarray | None = None
    lesion_names: list[str] | None = None
    location_scores: np.ndarray | None = None
    location_labels: np.ndarray | None = None
    location_names: list[str] | None = None


def read_scores(path: Path) -> Scores:
    """Reads and checks a scores file. InputError names the file, the array and the record at fault."""
    path = Path(path)
    try:
        arrays = read_arrays(path, ARRAYS, REMEDY)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); name a file of tools/score.py") from None
    return _checked(path, arrays)


def write_scores(path: Path, scores: Scores) -> None:
    """Checks and writes a scores file, whole or not at all; the same scores give the same bytes.

    InputError where `read_scores` would refuse the file, such as scores with NaN of a net that diverged.
    """
    arrays = _arrays(_checked(path, _arrays(scores)))
    with new_file(path) as partial, open(str(partial), "wb") as file:  # a name would have ".npz" added to it
        np.savez_compressed(file, **arrays)


def _arrays(scores: Scores) -> dict[str, np.ndarray]:
    """The arrays of the file. Labels keep their type here, so that a 0.5 is found before it is rounded."""
    arrays = {
        "image": np.asarray(scores.image, dtype=np.str_),
        "protocol": np.asarray(json.dumps(scores.protocol, sort_keys=True)),
    }
    for head in HEADS:
        for part, dtype in zip(PARTS, (np.float32, None, np.str_)):
            values = getattr(scores, f"{head}_{part}")
            if values is not None:
                arrays[f"{head}_{part}"] = np.asarray(values, dtype=dtype)
    return arrays


def _checked(path: Path, arrays: dict[str, np.ndarray]) -> Scores:
    for name in ("image", "protocol"):
        if name not in arrays:
            raise InputError(f"{path}: array {name} is missing; {REMEDY}")
    image = _names(path, "image", arrays["image"])
    fields: dict[str, Any] = {"image": image, "protocol": protocol(path, arrays["protocol"], REMEDY)}
    for head in HEADS:
        wanted = [f"{head}_{part}" for part in PARTS]
        missing = [name for name in wanted if name not in arrays]
        if len(missing) == len(PARTS):
            continue
        if missing:
            there = next(name for name in wanted if name in arrays)
            raise InputError(f"{path}: array {missing[0]} is missing while {there} is there; {REMEDY}")
        scores, labels, names = (arrays[name] for name in wanted)
        class_names = _names(path, f"{head}_names", names)
        check_labels = _lesion_labels if head == "lesion" else _location_labels
        fields[f"{head}_scores"] = _scores(path, f"{head}_scores", scores, image, class_names)
        fields[f"{head}_labels"] = check_labels(path, labels, image, class_names)
        fields[f"{head}_names"] = class_names
    if len(fields) == 2:
        raise InputError(f"{path}: neither lesion_scores nor location_scores is there; {REMEDY}")
    return Scores(**fields)


def _names(path: Path, array: str, names: np.ndarray) -> list[str]:
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


def _scores(path: Path, array: str, scores: np.ndarray, image: list[str], names: list[str]) -> np.ndarray:
    _check_shape(path, array, scores, (len(image), len(names)))
    if scores.dtype.kind != "f" or scores.dtype.itemsize != 4:
        raise InputError(f"{path}: {array} is {scores.dtype}, where float32 is wanted; save it with astype('float32')")
    wrong = np.argwhere(~np.isfinite(scores))
    if len(wrong):
        row, column = wrong[0]
        where = _where(path, array, image, row)
        raise InputError(
            f"{where}, class {names[column]!r}: the score is {scores[row, column]} ({len(wrong)} such in the file); "
            "check that training did not diverge, and score again"
        )
    return scores.astype(np.float32)


def _lesion_labels(path: Path, labels: np.ndarray, image: list[str], names: list[str]) -> np.ndarray:
    _check_shape(path, "lesion_labels", labels, (len(image), len(names)))
    if labels.dtype.kind not in "buif":
        raise InputError(f"{path}: lesion_labels is {labels.dtype}, where 0 and 1 are wanted; {REMEDY}")
    wrong = np.argwhere((labels != 0) & (labels != 1))
    if len(wrong):
        row, column = wrong[0]
        where = _where(path, "lesion_labels", image, row)
        raise InputError(f"{where}, class {names[column]!r}: {labels[row, column]} is neither 0 nor 1; {REMEDY}")
    return labels.astype(np.uint8)


def _location_labels(path: Path, labels: np.ndarray, image: list[str], names: list[str]) -> np.ndarray:
    _check_shape(path, "location_labels", labels, (len(image),))
    if labels.dtype.kind not in "ui":
        raise InputError(f"{path}: location_labels is {labels.dtype}, where integers are wanted; {REMEDY}")
    wrong = np.flatnonzero((labels < 0) | (labels >= len(names)))
    if len(wrong):
        where = _where(path, "location_labels", image, wrong[0])
        raise InputError(
            f"{where}: {labels[wrong[0]]} is none of the {len(names)} locations (0 is the first); {REMEDY}"
        )
    return labels.astype(np.int64)


def _check_shape(path: Path, array: str, values: np.ndarray, wanted: tuple[int, ...]) -> None:
    if values.shape != wanted:
        raise InputError(f"{path}: {array} has shape {values.shape}, where images and names make {wanted}; {REMEDY}")


def _where(path: Path, array: str, image: list[str], row: int) -> str:
    return f"{path}: {array}, row {row}, image {image[row]!r}"
