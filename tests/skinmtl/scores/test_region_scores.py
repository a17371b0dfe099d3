"""The arrays of regions in a scores file: written and read back the same, alone or beside others; faults are named."""

from __future__ import annotations

import json
import tempfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_regions import BOTH, BY_HAND, drawn_regions

from caffe_files.errors import InputError
from skinmtl.scores.regions_file import CLASS, MASK
from skinmtl.scores.scores_file import read_scores, write_scores

REPRODUCIBLE = {"derandomize": True, "deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


def without(scores, names):
    return replace(scores, **dict.fromkeys(names))


def same(one, other):
    for field in fields(one):
        expected, found = getattr(one, field.name), getattr(other, field.name)
        assert type(found) is type(expected), field.name
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "scores",
    [BY_HAND, BOTH, without(BY_HAND, CLASS), without(BY_HAND, MASK), without(BY_HAND, (*CLASS, *MASK))],
    ids=["regions", "beside lesions and locations", "no class", "no mask", "boxes alone"],
)
def test_what_is_written_is_read_back(tmp_path, scores):
    write_scores(tmp_path / "s.npz", scores)
    same(scores, read_scores(tmp_path / "s.npz"))


@settings(max_examples=60, **REPRODUCIBLE)
@given(st.integers(1, 30), st.integers(1, 4), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 1.0]))
def test_any_regions_are_read_back(n, n_classes, seed, share):
    scores = drawn_regions(n, n_classes, seed, without=share)
    with tempfile.TemporaryDirectory() as folder:
        write_scores(Path(folder) / "s.npz", scores)
        same(scores, read_scores(Path(folder) / "s.npz"))


def changed(name, row, value):
    values = getattr(BY_HAND, name).copy()
    values[row] = value
    return {name: values}


BAD = [
    ("a share above 1", changed("class_scores", (1, 0), 1.5), ["class_scores, row 1, image '2.jpg'", "1.5"]),
    ("a share of nan", changed("class_scores", (1, 0), np.nan), ["class_scores, row 1", "'benign'", "nan"]),
    ("a class too many", changed("class_labels", 2, 2), ["class_labels, row 2", "2 is none of the 2 classes"]),
    ("detected as number", {"detected": np.ones(4)}, ["detected is float64", "bool"]),
    ("a score of nan", changed("detection_scores", 3, np.nan), ["detection_scores, row 3", "nan"]),
    ("scores twice", {"detection_scores": np.ones((4, 2), "f4")}, ["detection_scores has shape (4, 2)", "(4,)"]),
    ("boxes in float64", {"boxes": np.zeros((4, 4))}, ["boxes is float64", "float32"]),
    ("a box outside", changed("boxes", (0, 2), 11), ["boxes, row 0, image '1.jpg'", "no box in an image of 10 x 10"]),
    ("a box turned round", changed("boxes", (0, 0), 10.5), ["boxes, row 0", "no box"]),
    ("a box of nan", changed("boxes", 2, np.nan), ["boxes, row 2", "nan"]),
    ("half a true box", changed("true_boxes", (3, 0), 1), ["true_boxes, row 3", "nan"]),
    ("pixels missing", changed("mask_counts", (1, 3), 49), ["mask_counts, row 1", "are not the 100 pixels"]),
    ("pixels below 0", changed("mask_counts", 1, [-1, 0, 0, 101]), ["mask_counts, row 1", "are not the 100 pixels"]),
    ("counts as float", {"mask_counts": np.zeros((4, 4))}, ["mask_counts is float64", "integers"]),
    ("a side of 0", changed("image_sizes", (2, 1), 0), ["image_sizes, row 2", "a side of 0"]),
    ("three sides", {"image_sizes": np.ones((4, 3), int)}, ["image_sizes has shape (4, 3)", "(4, 2)"]),
    ("a class without a name", {"class_names": np.array(["", "b"])}, ["class_names, row 0: the name is empty"]),
    ("a name in two lines", {"class_names": np.array(["a\nb", "c"])}, ["class_names, row 0: 'a\\nb'"]),
]


def written(path, change, leave_out=()):
    """A file as another program might write it."""
    arrays = {field.name: getattr(BY_HAND, field.name) for field in fields(BY_HAND)}
    arrays = {name: np.asarray(values) for name, values in arrays.items() if values is not None}
    arrays.update(protocol=np.array(json.dumps({})), **change)
    np.savez(str(path), **{name: values for name, values in arrays.items() if name not in leave_out})
    return path


@pytest.mark.parametrize("change, words", [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_fault_is_named_with_file_array_and_record(tmp_path, change, words):
    path = written(tmp_path / "s.npz", change)
    with pytest.raises(InputError) as caught:
        read_scores(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    assert [word for word in words if word not in message] == [], message


@pytest.mark.parametrize(
    "name", ["boxes", "true_boxes", "image_sizes", "detected", "detection_scores", "class_labels", "class_names"]
)
def test_a_missing_array_is_named(tmp_path, name):
    with pytest.raises(InputError, match=f"array {name} is missing while"):
        read_scores(written(tmp_path / "s.npz", {}, [name]))


def test_bad_regions_are_not_written(tmp_path):
    with pytest.raises(InputError, match="no box in an image"):
        write_scores(tmp_path / "s.npz", replace(BY_HAND, **changed("boxes", (0, 2), 11)))
    assert not list(tmp_path.iterdir())
