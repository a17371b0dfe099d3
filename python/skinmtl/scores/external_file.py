"""The saved scores of an external test: a net's outputs on another data set, whose labels have names of their own.

The file has the outputs as the net gave them, under the net's names, and the labels as the data have them, under the
data's. Which label means which is not in it: `common_labels` says that when it is evaluated.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping

import numpy as np

from caffe_files.errors import InputError
from caffe_files.outputs import new_file
from skinmtl.common.npz_file import protocol, read_arrays
from skinmtl.scores.array_checks import REMEDY, checked_indices, checked_marks, checked_names, checked_scores
from skinmtl.scores.scores_file import HEADS, OF_OTHER_DATA, read_scores

NET_PARTS, DATA_PARTS = ("scores", "names"), ("data_labels", "data_names")
ARRAYS = ("image", "protocol", *(f"{head}_{part}" for head in HEADS for part in (*NET_PARTS, *DATA_PARTS)))


@dataclass(frozen=True, eq=False)
class ExternalScores:
    """Scores of N images by a net of P lesions, Q locations or both; of the data R lesions, and S locations or none.

    image        N names, no two alike
    protocol     how the scores were made; any JSON object
    scores       head -> (N, P) or (N, Q) float32, finite
    names        head -> the net's P or Q names
    data_labels  "lesion" -> (N, R) uint8, 0 or 1; "location" -> (N,) int64, in [0, S)
    data_names   head -> the data's R or S names
    """

    image: list[str]
    protocol: dict[str, Any]
    scores: Mapping[str, np.ndarray]
    names: Mapping[str, list[str]]
    data_labels: Mapping[str, np.ndarray]
    data_names: Mapping[str, list[str]]


def read_external(path: Path) -> ExternalScores:
    """Reads and checks a file of score.py, with or without --external: without it the data's names are the net's.

    InputError names the file, the array and the record at fault, as `read_scores`; and a file of a net that draws
    lesions, or has no lesion head.
    """
    path = Path(path)
    try:
        arrays = read_arrays(path, ARRAYS, REMEDY)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); name a file of tools/score.py") from None
    if OF_OTHER_DATA in arrays:
        return _checked(path, arrays)
    scores = read_scores(path)
    if scores.has_regions:
        raise InputError(f"{path}: is of a net that draws lesions; score images with the net's own names of classes")
    if scores.lesion_scores is None:
        raise InputError(f"{path}: has no lesion head, which an external test is of; name scores of another net")
    names = {"lesion": list(scores.lesion_names)}
    return ExternalScores(
        scores.image, scores.protocol, {"lesion": scores.lesion_scores}, names, {"lesion": scores.lesion_labels}, names
    )


def write_external(path: Path, scores: ExternalScores) -> None:
    """Checks and writes the file, whole or not at all; the same scores give the same bytes."""
    arrays = _arrays(_checked(path, _arrays(scores)))
    with new_file(path) as partial, open(str(partial), "wb") as file:  # a name would have ".npz" added to it
        np.savez_compressed(file, **arrays)


def _arrays(scores: ExternalScores) -> dict[str, np.ndarray]:
    arrays = {
        "image": np.asarray(scores.image, dtype=np.str_),
        "protocol": np.asarray(json.dumps(scores.protocol, sort_keys=True)),
    }
    for head in HEADS:
        if head in scores.scores:
            arrays[f"{head}_scores"] = np.asarray(scores.scores[head], np.float32)
            arrays[f"{head}_names"] = np.asarray(scores.names[head], np.str_)
        if head in scores.data_names:
            arrays[f"{head}_data_labels"] = np.asarray(scores.data_labels[head])
            arrays[f"{head}_data_names"] = np.asarray(scores.data_names[head], np.str_)
    return arrays


def _checked(path: Path, arrays: dict[str, np.ndarray]) -> ExternalScores:
    needed = ["image", "protocol", *(f"lesion_{part}" for part in (*NET_PARTS, *DATA_PARTS))]
    for parts in (NET_PARTS, DATA_PARTS):  # of the location a file may have either alone, but whole
        names = [f"location_{part}" for part in parts]
        needed += names if any(name in arrays for name in names) else []
    for name in needed:
        if name not in arrays:
            raise InputError(f"{path}: array {name} is missing; {REMEDY}")
    image = checked_names(path, "image", arrays["image"])
    found = ExternalScores(image, protocol(path, arrays["protocol"], REMEDY), {}, {}, {}, {})
    for head in HEADS:
        if f"{head}_scores" in arrays:
            names = found.names[head] = checked_names(path, f"{head}_names", arrays[f"{head}_names"])
            found.scores[head] = checked_scores(path, f"{head}_scores", arrays[f"{head}_scores"], image, names)
        if f"{head}_data_names" in arrays:
            array, labels = f"{head}_data_labels", arrays[f"{head}_data_labels"]
            names = found.data_names[head] = checked_names(path, f"{head}_data_names", arrays[f"{head}_data_names"])
            if head == "lesion":
                found.data_labels[head] = checked_marks(path, array, labels, image, names)
            else:
                found.data_labels[head] = checked_indices(path, array, labels, image, len(names), "locations")
    return found
