"""Scores of an external test: a file is read as it was written, or refused in a line; no other tool takes it."""

from __future__ import annotations

import numpy as np
import pytest
from made_external import DATA, drawn_external
from made_regions import BY_HAND
from made_scores import LESIONS, drawn_scores

from caffe_files.errors import InputError
from skinmtl.scores.external_file import read_external, write_external
from skinmtl.scores.scores_file import read_scores, write_scores


@pytest.fixture
def file(tmp_path):
    write_external(tmp_path / "e.npz", drawn_external())
    return tmp_path / "e.npz"


def changed(file, **arrays):
    """The file with other arrays; None takes one out."""
    with np.load(str(file)) as there:
        arrays = {**there, **arrays}
    np.savez(str(file), **{name: array for name, array in arrays.items() if array is not None})
    return file


def test_a_file_has_the_outputs_by_the_nets_names_and_the_labels_by_the_datas(file):
    made, read = drawn_external(), read_external(file)
    assert (read.image, read.protocol) == (made.image, made.protocol)
    assert (read.names["lesion"], read.data_names["lesion"]) == (LESIONS, DATA)
    for part in ("scores", "data_labels"):
        for head in ("lesion", "location"):
            assert np.array_equal(getattr(read, part)[head], getattr(made, part)[head])
    contents = file.read_bytes()
    write_external(file, read)
    assert file.read_bytes() == contents


def test_of_a_file_whose_names_are_the_nets_the_datas_are_the_same(tmp_path):
    scores = drawn_scores(20)
    write_scores(tmp_path / "s.npz", scores)
    read = read_external(tmp_path / "s.npz")
    assert read.data_names["lesion"] == read.names["lesion"] == LESIONS
    assert np.array_equal(read.data_labels["lesion"], scores.lesion_labels)


@pytest.mark.parametrize(
    "arrays, words",
    [
        ({"lesion_data_labels": None}, "array lesion_data_labels is missing"),
        ({"lesion_names": None}, "array lesion_names is missing"),
        ({"location_data_names": None}, "array location_data_names is missing"),
        ({"lesion_data_labels": np.zeros((90, 4), np.uint8)}, r"lesion_data_labels has shape \(90, 4\)"),
        ({"lesion_data_labels": np.full((90, 5), 2, np.uint8)}, "class 'AK': 2 is neither 0 nor 1"),
        ({"lesion_data_names": np.array([*DATA[:4], "NV"])}, "'NV' is in row 3 already"),
        ({"location_data_labels": np.full(90, 2)}, "2 is none of the 2 locations"),
        ({"lesion_scores": np.full((90, 4), np.nan, np.float32)}, "the score is nan"),
    ],
)
def test_a_file_that_is_not_whole_is_refused(file, arrays, words):
    with pytest.raises(InputError, match=words):
        read_external(changed(file, **arrays))


def test_a_file_without_locations_is_whole(file):
    arrays = {f"location_{part}": None for part in ("scores", "names", "data_labels", "data_names")}
    assert set(read_external(changed(file, **arrays)).scores) == {"lesion"}


def test_nets_that_draw_lesions_and_nets_without_a_lesion_head_have_no_external_test(tmp_path):
    write_scores(tmp_path / "regions.npz", BY_HAND)
    with pytest.raises(InputError, match="of a net that draws lesions"):
        read_external(tmp_path / "regions.npz")


def test_what_reads_scores_says_what_the_file_is_for(file):
    with pytest.raises(
        InputError,
        match=r"named as in other data than the net's .*; evaluate.py takes it as the scores to evaluate",
    ):
        read_scores(file)
