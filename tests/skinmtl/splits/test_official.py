"""Folds of a data set's own split: which images train, validate and test by them, and what is refused."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from caffe_files.errors import InputError
from skinmtl.data.folds import read_folds, select
from skinmtl.data.manifest import read_manifest

ROWS = [  # image, lesion, group, split
    *[(f"t{n}", "ab"[n % 2], f"p{n}", "test") for n in range(4)],
    *[(f"v{n}", "ab"[n % 2], f"q{n}", "validation") for n in range(3)],
    *[(f"r{n}", "ab"[n % 2], f"r{n // 2}", "train") for n in range(8)],
]


@pytest.fixture
def make(tool, tmp_path):
    """Runs make_folds.py on a manifest of rows; returns what became of it."""

    def make(rows=ROWS, column="split", *flags, header="split"):
        lines = [f"image,lesions,group,{header}", *map(",".join, rows)]
        (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
        where = ("--manifest", tmp_path / "manifest.csv", "--out", tmp_path / "folds.csv")
        return tool("make_folds.py", *where, "--split-column", column, *flags)

    return make


def images(tmp_path, *how):
    chosen = select(read_manifest(tmp_path / "manifest.csv"), tmp_path / "folds.csv", *how)
    return sorted(row.image for row in chosen.rows)


def of(split):
    return sorted(row[0] for row in ROWS if row[3] == split)


def test_train_validation_and_test_are_those_of_the_split(make, tmp_path):
    done = make()
    assert done.returncode == 0, done.stderr
    assert images(tmp_path, 0, "test") == of("test")
    assert images(tmp_path, 0, "validation", 0.0, 1) == of("validation")
    assert images(tmp_path, 0, "train", 0.0, 1) == of("train")
    assert images(tmp_path, 0, "train") == sorted(of("train") + of("validation"))
    assert done.stdout.splitlines()[:5] == [
        "fold 0: test, 4 images",
        "fold 1: validation, 3 images",
        "fold 2: train, 8 images",
        "to train by it: --fold 0 --validation-fold 1 --subset train; to test: --fold 0 --subset test",
        "to validate: --fold 0 --validation-fold 1 --subset validation",
    ]


def test_without_validation_images_training_is_fold_1(make, tmp_path):
    rows = [row for row in ROWS if row[3] != "validation"]
    done = make(rows)
    assert "fold 1: train, 8 images" in done.stdout
    assert "to train by it: --fold 0 --subset train; to test: --fold 0 --subset test" in done.stdout
    assert images(tmp_path, 0, "train") == of("train")


def test_without_test_images_the_validation_images_are_the_test(make, tmp_path):
    done = make([row for row in ROWS if row[3] != "test"])
    assert "fold 0: validation, 3 images" in done.stdout
    assert images(tmp_path, 0, "test") == of("validation")


def test_the_report(make, tmp_path):
    make()
    record = json.loads((tmp_path / "folds.json").read_text())
    assert record["split_of_fold"] == {"0": "test", "1": "validation", "2": "train"}
    assert record["fold_sizes"] == [4, 3, 8]
    assert record["labels"]["lesion 'a'"]["images_by_fold"] == [2, 2, 4]
    assert record["groups_in_several_splits"] == {}
    folds = read_folds(tmp_path / "folds.csv", read_manifest(tmp_path / "manifest.csv"))
    assert Counter(folds.tolist()) == {0: 4, 1: 3, 2: 8}


def test_groups_that_the_split_parts_are_told(make, tmp_path):
    done = make([*ROWS, ("x", "a", "p1", "train")])
    assert done.returncode == 0
    assert "1 groups are in several splits, such as 'p1' in test and train: so it is in the data set's" in done.stdout
    assert json.loads((tmp_path / "folds.json").read_text())["groups_in_several_splits"] == {"p1": ["test", "train"]}


def test_a_column_of_another_name(make, tmp_path):
    assert make(ROWS, "official", header="official").returncode == 0
    assert images(tmp_path, 0, "test") == of("test")


@pytest.mark.parametrize(
    ("rows", "header", "column", "words"),
    [
        ([(*ROWS[0][:3], ""), *ROWS[1:]], "split", "split", ":2: 1 of 15 images, such as 't0', have nothing in the"),
        ([(*ROWS[0][:3], "val"), *ROWS[1:]], "part", "part", ":2: 1 of 15 images, such as 't0', have 'val' in the"),
        (ROWS, "part", "split", ": no column 'split' with train, validation or test; name the column"),
        (ROWS, "part", "parts", ": no column 'parts' with train, validation or test; it has part"),
        (ROWS[:7], "split", "split", ": no image is of split train by the column 'split'"),
        (ROWS[7:], "split", "split", ": no image is of split test or validation by the column 'split'"),
    ],
)
def test_what_cannot_be_a_split_is_refused(make, refused, tmp_path, rows, header, column, words):
    refused(make(rows, column, header=header), f"{tmp_path / 'manifest.csv'}{words}")
    assert not (tmp_path / "folds.csv").exists()


@pytest.mark.parametrize(
    "flags",
    [["--n-folds", 3], ["--by", "group"], ["--balance", "none"], ["--near-duplicates", "--images", "."]],
)
def test_what_deals_folds_does_not_go_with_it(make, flags):
    done = make(ROWS, "split", *flags)
    assert done.returncode == 2
    assert f"--split-column: the folds are the data set's own; leave {flags[0]} out" in done.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--subset", "test", "--validation-fold", 1], "--validation-fold goes with --subset train or validation"),
        (["--subset", "train", "--validation-fold", 0], "--validation-fold 0: is the test fold; name another"),
        (["--subset", "train", "--validation-fold", 1, "--validation", 0.1], "give one of them"),
        (["--subset", "validation"], "needs --validation SHARE, or --validation-fold K"),
    ],
)
def test_flags_that_contradict_each_other(tool, make, tmp_path, flags, words):
    make()
    where = ("--manifest", tmp_path / "manifest.csv", "--images", tmp_path, "--folds", tmp_path / "folds.csv")
    done = tool("make_lmdb.py", *where, "--fold", 0, *flags, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert words in done.stderr


def test_a_fold_that_is_not_there_cannot_be_set_aside(make, tmp_path):
    make()
    with pytest.raises(InputError, match=r"no image is in fold 7; the folds are \[0, 1, 2\]"):
        images(tmp_path, 0, "train", 0.0, 7)
    with pytest.raises(InputError, match="all images are in folds 0 and 1, none is left to train on"):
        make([row for row in ROWS if row[3] != "validation"], "split", "--overwrite")
        images(tmp_path, 0, "train", 0.0, 1)
