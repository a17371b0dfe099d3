"""A file under several names is told of where the names are in several folds, or have other labels."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest

from skinmtl.data.manifest import read_manifest
from skinmtl.data.same_bytes import notes_on_same_bytes, same_bytes


@pytest.fixture
def twice(make_dataset):
    """Six images of three groups; the second, fourth and last are one file, of other labels than the first."""
    data = make_dataset(6)
    noise = np.random.RandomState(1).randint(0, 256, (8, 8, 3)).astype(np.uint8)
    cv2.imwrite(str(data.images / "image 1.jpg"), cv2.resize(noise, (60, 50)))
    for number in (3, 5):
        shutil.copyfile(str(data.images / "image 1.jpg"), str(data.images / f"image {number}.jpg"))
    return data


def test_sets_are_of_equal_bytes_not_of_equal_sizes(twice):
    (twice.images / "image 0.jpg").write_bytes(b"x" * (twice.images / "image 1.jpg").stat().st_size)
    (twice.images / "image 4.jpg").unlink()
    assert same_bytes(read_manifest(twice.manifest), twice.images) == [[1, 3, 5]]


def test_several_folds_and_several_labels_are_told_with_the_names(twice):
    manifest = read_manifest(twice.manifest)
    folds, labels = notes_on_same_bytes(manifest, twice.images, np.array([0, 1, 0, 0, 1, 1]))
    assert "1 file of several names is in several folds" in folds
    assert "image 1.jpg (fold 1), image 3.jpg (fold 0) and 1 more" in folds
    assert "1 file of several names has different labels" in labels
    assert "image 1.jpg (melanoma, leg), image 3.jpg (naevus, leg) and 1 more" in labels


def test_nothing_is_said_of_one_fold_and_equal_labels_or_of_other_images(twice):
    text = twice.manifest.read_text().replace('image 3.jpg",naevus', 'image 3.jpg",melanoma')
    twice.manifest.write_text(text.replace('image 5.jpg",naevus;melanoma', 'image 5.jpg",melanoma'))
    manifest = read_manifest(twice.manifest)
    assert notes_on_same_bytes(manifest, twice.images, np.ones(6, int)) == []
    assert notes_on_same_bytes(manifest, twice.images, np.arange(6), ["image 0.jpg"]) == []
    assert len(notes_on_same_bytes(manifest, twice.images, np.arange(6), ["image 3.jpg"])) == 1


def test_make_folds_and_make_lmdb_tell_it(twice, tool, tmp_path):
    folds = ("--manifest", twice.manifest, "--images", twice.images, "--n-folds", 3, "--out", tmp_path / "folds.csv")
    done = tool("make_folds.py", *folds)
    assert done.returncode == 0, done.stderr
    assert "note: 1 file of several names is in several folds" in done.stdout
    assert "note: 1 file of several names has different labels" in done.stdout
    part = ("--folds", tmp_path / "folds.csv", "--fold", 0, "--subset", "train", "--short-side", 48, "--workers", 1)
    done = tool("make_lmdb.py", *folds[:4], *part, "--out", tmp_path / "train")
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "note: 1 file of several names" in line]
    assert len(said) == 2 and "several folds" in said[0]


def test_folds_that_keep_the_copies_together_say_nothing_of_them(twice, tool, tmp_path):
    merged = ("--near-duplicates", 0, "--merge-near-duplicates", tmp_path / "merged", "--n-folds", 2, "--workers", 1)
    where = ("--manifest", twice.manifest, "--images", twice.images, "--out", tmp_path / "folds.csv")
    done = tool("make_folds.py", *where, *merged)
    assert done.returncode in (0, 1), done.stderr
    assert "several folds" not in done.stdout + done.stderr


def test_a_label_of_any_length_leaves_the_table_of_folds_narrow(make_dataset, tool, tmp_path):
    data = make_dataset(6)
    long = "a diagnosis that somebody has described in far more words than a column of a table has room for " * 2
    data.manifest.write_text(data.manifest.read_text().replace("melanoma", long.strip()))
    done = tool("make_folds.py", "--manifest", data.manifest, "--n-folds", 3, "--out", tmp_path / "folds.csv")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    header = next(number for number, line in enumerate(lines) if line.startswith("label "))
    assert len({len(line) for line in lines[header : header + 5]}) == 1
    assert len(lines[header]) < 100 and long[:60] not in done.stdout
    assert long.strip() in (tmp_path / "folds.json").read_text()
