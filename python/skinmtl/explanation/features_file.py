"""The saved features of a set of images with their labels: one .npz file, checked on the way in and on the way out.

A file that can be read here is whole: every array is there with the right shape and kind of value, every feature is a
number, every label has its name, and no image is in it twice.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import numpy as np

from caffe_files.errors import InputError
from caffe_files.outputs import new_file
from skinmtl.common.npz_file import is_names, protocol, read_arrays
from skinmtl.data.names import name_fault, spelled
from skinmtl.explanation.neighbours import LARGEST

REMEDY = "make the file again with tools/extract_features.py"


@dataclass(frozen=True, eq=False)
class Features:
    """Features and labels of N images.

    image            N names, no two alike
    features         (N, D) float32
    lesion_labels    (N, P) uint8, 0 or 1
    lesion_names     P names
    location_labels  (N,) int64, in [0, Q)
    location_names   Q names
    protocol         how the features were made; a JSON object
    """

    image: list[str]
    features: np.ndarray
    lesion_labels: np.ndarray
    lesion_names: list[str]
    location_labels: np.ndarray
    location_names: list[str]
    protocol: dict[str, Any]


def write_features(path: Path, features: Features) -> None:
    """Checks and writes a features file, whole or not at all; the same features give the same bytes."""
    arrays = {
        "image": np.asarray(features.image, np.str_),
        "features": np.asarray(features.features, np.float32),
        "lesion_labels": np.asarray(features.lesion_labels),
        "lesion_names": np.asarray(features.lesion_names, np.str_),
        "location_labels": np.asarray(features.location_labels),
        "location_names": np.asarray(features.location_names, np.str_),
        "protocol": np.asarray(json.dumps(features.protocol, sort_keys=True)),
    }
    _checked(path, arrays)
    with new_file(path) as partial, open(str(partial), "wb") as file:  # a name would have ".npz" added to it
        np.savez(file, **arrays)  # features hardly compress


def read_features(path: Path) -> Features:
    """Reads and checks a features file. InputError names the file, the array and the row at fault."""
    try:
        arrays = read_arrays(path, tuple(Features.__dataclass_fields__), REMEDY)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{path}: cannot be read ({reason}); name a file of tools/extract_features.py") from None
    return _checked(path, arrays)


def _checked(path: Path, arrays: dict[str, np.ndarray]) -> Features:
    for name in Features.__dataclass_fields__:
        if name not in arrays:
            raise InputError(f"{path}: array {name} is missing; {REMEDY}")
    image = _names(path, "image", arrays)
    lesions, locations = (_names(path, name, arrays) for name in ("lesion_names", "location_names"))
    features = arrays["features"]
    if features.dtype != np.float32 or features.ndim != 2 or not features.shape[1]:
        raise InputError(
            f"{path}: features is {features.shape} {features.dtype}, where (N, D) float32 is wanted; {REMEDY}"
        )
    _check_rows(path, "features", features, features.shape[1:], image, lambda rows: np.abs(rows) <= LARGEST)
    _check_rows(
        path, "lesion_labels", arrays["lesion_labels"], (len(lesions),), image, lambda rows: (rows == 0) | (rows == 1)
    )
    within = range(len(locations))
    _check_rows(path, "location_labels", arrays["location_labels"], (), image, lambda rows: np.isin(rows, within))
    return Features(
        image=image,
        features=features,
        lesion_labels=arrays["lesion_labels"].astype(np.uint8),
        lesion_names=lesions,
        location_labels=arrays["location_labels"].astype(np.int64),
        location_names=locations,
        protocol=protocol(path, arrays["protocol"], REMEDY),
    )


def _check_rows(
    path: Path,
    name: str,
    values: np.ndarray,
    row_shape: tuple[int, ...],
    image: list[str],
    allowed: Callable[[np.ndarray], np.ndarray],
) -> None:
    wanted = (len(image), *row_shape)
    if values.dtype.kind not in "buif" or values.shape != wanted:
        raise InputError(
            f"{path}: {name} is {values.shape} {values.dtype}, where {wanted} numbers are wanted; {REMEDY}"
        )
    wrong = np.argwhere(~allowed(values))
    if len(wrong):
        value = values[tuple(wrong[0])]
        raise InputError(
            f"{path}: {name}, row {wrong[0][0]}, image {image[wrong[0][0]]!r}: {value:g} cannot be; {REMEDY}"
        )


def _names(path: Path, array: str, arrays: dict[str, np.ndarray]) -> list[str]:
    names = arrays[array]
    if not is_names(names) or not len(names):
        raise InputError(f"{path}: {array} is {names.shape} {names.dtype}, where names are wanted; {REMEDY}")
    listed = names.tolist()
    seen: set[str] = set()
    if array != "image":  # as in a manifest
        listed = list(map(spelled, listed))
    for name in listed:
        fault = name_fault(name) if array != "image" else ""
        if fault:
            raise InputError(f"{path}: {array}: {fault} in {name!r}; {REMEDY}")
        if name in seen:
            raise InputError(f"{path}: {array}: {name!r} is there twice; {REMEDY}")
        seen.add(name)
    return listed
