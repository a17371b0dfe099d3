"""Which images are of which subgroup: words, numbers, what means nothing, and too many values."""

from __future__ import annotations

import numpy as np
import pytest

from caffe_files.errors import InputError
from skinmtl.data.manifest import read_manifest
from skinmtl.data.subgroups import BANDS, MOST, NO_VALUE, subgroups_of


@pytest.fixture
def made(tmp_path):
    """The subgroups of images 0, 1, 2 ... by a column with these cells, as {name: numbers of the images}."""

    def make(cells, column="sex"):
        rows = [f"{number}.jpg,nevus,arm,{cell}" for number, cell in enumerate(cells)]
        (tmp_path / "m.csv").write_text("\n".join(["image,lesions,location,sex", *rows]) + "\n")
        images = [f"{number}.jpg" for number in range(len(cells))]
        found = subgroups_of(read_manifest(tmp_path / "m.csv"), column, images)
        members = {name: np.flatnonzero(inside).tolist() for name, inside in zip(found.names, found.members)}
        return members, list(found.told)

    return make


def test_words_are_subgroups_in_their_one_spelling_and_what_means_nothing_is_its_own(made):
    assert made(["female", "male", "NA", " female ", "", "unknown"]) == (
        {"female": [0, 3], "male": [1], NO_VALUE: [2, 4, 5]},
        [],
    )


def test_few_numbers_such_as_skin_types_are_values(made):
    assert list(made([1, 2, 3, 4, 5, 6, 1])[0]) == ["1", "2", "3", "4", "5", "6"]


def test_more_numbers_are_bands_with_about_as_many_images_each_and_that_is_told(made):
    ages = np.random.RandomState(0).permutation(np.arange(20, 100))
    members, told = made([*ages, ""])
    assert told == ["sex: numbers, in 4 bands by quantile, with about as many images each"]
    assert list(members) == ["20 to 39", "40 to 59", "60 to 79", "80 to 99", NO_VALUE]
    assert [len(each) for each in members.values()] == [20, 20, 20, 20, 1]
    for name, inside in list(members.items())[:BANDS]:
        low, high = map(int, name.split(" to "))
        assert all(low <= ages[number] <= high for number in inside)


def test_equal_numbers_are_in_one_band(made):
    members, _ = made([0] * 60 + [1, 2, 3, 4, 5, 6, 7])
    assert {name: len(inside) for name, inside in members.items()} == {"0": 60, "1 to 7": 7}


def test_a_number_that_is_none_makes_words_of_all(made):
    assert len(made([*range(10), "inf"])[0]) == 11


def test_of_many_values_the_largest_are_shown_and_the_others_counted(made):
    cells = [f"device {number:03}" for number in range(500) for _ in range(2 if number >= 490 else 1)]
    members, told = made(cells)
    assert len(members) == MOST and {f"device {number}" for number in range(490, 500)} <= set(members)
    assert told == ["sex: 500 values; the 20 with the most images are shown, 480 with 480 images are not"]


def test_columns_that_every_manifest_has_can_be_named_too(made):
    with pytest.raises(InputError, match=r"m\.csv: column 'location': all images have 'arm'"):
        made(["f", "m"], "location")


@pytest.mark.parametrize(
    "cells, column, words",
    [
        (["f", "m"], "age", r"no column 'age' to tell subgroups by; it has location, sex$"),
        (["f", "m"], "split", r"no column 'split' to tell subgroups by; it has location, sex$"),
        (["f", "m"], "group", r"no column 'group' to tell subgroups by; it has location, sex$"),
        (["f", "m"], "lesions", r"column 'lesions' tells no subgroups; name another: it has location, sex$"),
        (["f", "f"], "sex", "all images have 'f'"),
        (["", "NA"], "sex", "all images have 'no value'"),
    ],
)
def test_a_column_that_tells_nothing_apart_is_refused(made, cells, column, words):
    with pytest.raises(InputError, match=words):
        made(cells, column)


@pytest.fixture
def whole(tmp_path):
    """A manifest with every column that the library knows, and two more."""
    rows = ["0.jpg,nevus,arm,P1,0.png,train,a", "1.jpg,nevus,leg,,1.png,test,b", "2.jpg,wart,arm,P2,,,a"]
    (tmp_path / "m.csv").write_text("\n".join(["image,lesions,location,group,mask,split,site", *rows]) + "\n")
    return tmp_path / "m.csv"


@pytest.mark.parametrize(
    "column, group_column, names",
    [
        ("location", None, ("arm", "leg")),
        ("split", None, ("test", "train", NO_VALUE)),
        ("group", None, ("P1", "P2", NO_VALUE)),
        ("group", "site", ("P1", "P2", NO_VALUE)),
        ("site", "site", ("a", "b")),
    ],
)
def test_a_known_column_is_read_as_the_file_has_it(whole, column, group_column, names):
    manifest = read_manifest(whole, group_column)
    assert subgroups_of(manifest, column, ["0.jpg", "1.jpg", "2.jpg"]).names == names


@pytest.mark.parametrize("column", ["mask", "image", "lesions"])
def test_names_of_files_and_the_labels_themselves_are_no_subgroups(whole, column):
    words = f"m.csv: column '{column}' tells no subgroups; name another: it has group, location, site, split$"
    with pytest.raises(InputError, match=words):
        subgroups_of(read_manifest(whole), column, ["0.jpg", "1.jpg"])


def test_values_that_differ_in_case_or_spaces_alone_are_told(made):
    members, told = made(["F", "f", "m", "site a", "site_a"])
    assert list(members) == ["F", "f", "m", "site a", "site_a"]
    assert told == [
        "sex: 2 sets of subgroup names that may be one subgroup: 'F', 'f'; 'site a', 'site_a'; write them alike "
        "in the manifest if they are"
    ]
    assert made(["<50", ">50", "50", "I-II", "III", "HIV+", "HIV-"])[1] == [], "signs mean something"
