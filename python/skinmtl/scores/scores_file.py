"""The saved scores of one forward pass over a set of images: one .npz file, checked on the way in and on the way out.

A file that can be read here is whole: every array is there with the right shape, every score is a finite number, every
lesion label is 0 or 1, every location label names a location, every box lies in its image, and no image is in it twice.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from caffe_files.errors import InputError
from caffe_files.outputs import new_file
from skinmtl.common.npz_file import protocol, read_arrays
from skinmtl.scores.array_checks import REMEDY, checked_indices, checked_marks, checked_names, checked_scores
from skinmtl.scores.regions_file import REGIONS, TYPES, checked_regions

HEADS = ("lesion", "location")
PARTS = ("scores", "labels", "names")
ARRAYS = ("image", "protocol", *(f"{head}_{part}" for head in HEADS for part in PARTS), *REGIONS)
OF_OTHER_DATA = "lesion_data_names"  # in a file whose labels are not the net's: see external_file


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores and labels of N images, for P lesions, Q locations, regions of K classes, or several of these.

    image            N names, no two alike
    lesion_scores    (N, P) float32, finite; the higher, the likelier
    lesion_labels    (N, P) uint8, 0 or 1
    lesion_names     P names
    location_scores  (N, Q) float32, finite
    location_labels  (N,) int64, in [0, Q)
    location_names   Q names
    protocol         how the scores were made; any JSON object

    Of a net that draws the one lesion of each image (see regions_file):

    class_scores      (N, K) float32, each class's share of the lesion classes
    class_labels      (N,) int64, in [0, K)
    class_names       K names
    detected          (N,) bool; where not, box and mask are those of the likeliest place
    detection_scores  (N,) float32, finite; how sure the net is of the box
    boxes             (N, 4) float32 x1, y1, x2, y2 in pixels of the original image, x2 and y2 exclusive
    true_boxes        (N, 4) float32; NaN where there is no true mask, or nothing in it
    mask_counts       (N, 4) int64, pixels of the original image: true positive, false positive, false negative, true
                      negative; four zeros where there is no true mask
    image_sizes       (N, 2) int64, height and width

    What a model has no head for is None.
    """

    image: list[str]
    protocol: dict[str, Any]
    lesion_scores: np.ndarray | None = None
    lesion_labels: np.ndarray | None = None
    lesion_names: list[str] | None = None
    location_scores: np.ndarray | None = None
    location_labels: np.ndarray | None = None
    location_names: list[str] | None = None
    class_scores: np.ndarray | None = None
    class_labels: np.ndarray | None = None
    class_names: list[str] | None = None
    detected: np.ndarray | None = None
    detection_scores: np.ndarray | None = None
    boxes: np.ndarray | None = None
    true_boxes: np.ndarray | None = None
    mask_counts: np.ndarray | None = None
    image_sizes: np.ndarray | None = None

    @property
    def has_regions(self) -> bool:
        """Whether there are boxes, with or without classes and masks."""
        return self.boxes is not None


def read_scores(path: Path) -> Scores:
    """Reads and checks a scores file. InputError names the file, the array and the record at fault."""
    path = Path(path)
    try:
        arrays = read_arrays(path, (*ARRAYS, OF_OTHER_DATA), REMEDY)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); name a file of tools/score.py") from None
    if OF_OTHER_DATA in arrays:
        raise InputError(
            f"{path}: its labels are named as in other data than the net's (score.py --external); evaluate.py "
            "takes it as the scores to evaluate, with --label-map"
        )
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
    for name in REGIONS:
        values = getattr(scores, name)
        if values is not None:
            arrays[name] = np.asarray(values, dtype=TYPES.get(name))
    return arrays


def _checked(path: Path, arrays: dict[str, np.ndarray]) -> Scores:
    for name in ("image", "protocol"):
        if name not in arrays:
            raise InputError(f"{path}: array {name} is missing; {REMEDY}")
    image = checked_names(path, "image", arrays["image"])
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
        class_names = checked_names(path, f"{head}_names", names)
        fields[f"{head}_scores"] = checked_scores(path, f"{head}_scores", scores, image, class_names)
        if head == "lesion":
            fields["lesion_labels"] = checked_marks(path, "lesion_labels", labels, image, class_names)
        else:
            n = len(class_names)
            fields["location_labels"] = checked_indices(path, "location_labels", labels, image, n, "locations")
        fields[f"{head}_names"] = class_names
    fields.update(checked_regions(path, arrays, image))
    if len(fields) == 2:
        raise InputError(f"{path}: neither lesion_scores nor location_scores nor boxes is there; {REMEDY}")
    return Scores(**fields)
