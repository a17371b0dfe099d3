"""Images that are there under a name that differs in case, accents or slashes alone: every message says so."""

from __future__ import annotations

import os

import numpy as np
import pytest

from caffe_files.errors import InputError
from skinmtl.data.bad_images import check_images_exist
from skinmtl.data.folds import read_folds
from skinmtl.data.manifest import Manifest, Row
from skinmtl.data.near_images import near_file, near_image
from skinmtl.scores.pairing import groups_of
from skinmtl.scores.scores_file import Scores


@pytest.fixture
def manifest(tmp_path):
    """A function that makes a manifest of images with these names."""

    def make(*images):
        rows = tuple(Row(n, image, ("a",), "x", image) for n, image in enumerate(images, 2))
        return Manifest(tmp_path / "manifest.csv", rows, ("a",), ("x",))

    return make


@pytest.mark.parametrize(
    "asked, there",
    [
        ("CASE7/01.JPG", "case7/01.jpg"),
        ("case7\\01.jpg", "case7/01.jpg"),
        ("e\u0301.jpg", "\u00e9.jpg"),
        ("\u00e9.jpg", "e\u0301.jpg"),
    ],
)
def test_a_file_is_found_by_what_its_name_means(tmp_path, manifest, asked, there):
    path = tmp_path / "images" / there
    path.parent.mkdir(parents=True)
    path.touch()
    assert near_file(tmp_path / "images", asked) == there
    assert near_file(tmp_path / "images", there) == ""
    with pytest.raises(InputError, match=r"there is .*: case, accents or slashes differ"):
        check_images_exist(manifest(asked), tmp_path / "images")
    with pytest.raises(InputError, match=r"has none of the 2 images .*there is .* correct the names"):
        check_images_exist(manifest(asked, "2.jpg"), tmp_path / "images")


def test_what_is_there_and_no_file_is_not_called_missing(tmp_path, manifest):
    os.mkfifo(str(tmp_path / "pipe.jpg"))
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "image.jpg").touch()
    with pytest.raises(InputError) as refused:
        check_images_exist(manifest("pipe.jpg", "folder.jpg", "image.jpg"), tmp_path)
    said = str(refused.value).splitlines()
    assert [line.split(": ")[-1].split(";")[0] for line in said] == ["it is a pipe, no file", "it is a folder, no file"]


def test_what_is_another_image_is_none(tmp_path):
    (tmp_path / "1.jpg").touch()
    assert near_file(tmp_path, "2.jpg") == near_file(tmp_path, "../1.JPG") == near_file(tmp_path / "no", "1.jpg") == ""
    assert near_image("1.jpg", ["1.jpg", "1.jpeg"]) == ""


def test_folds_and_scores_of_such_names_say_so(tmp_path, manifest):
    (tmp_path / "folds.csv").write_text("image,fold\nA.JPG,0\n")
    with pytest.raises(InputError, match=r"no fold for 'a.jpg' .*there is 'A.JPG'"):
        read_folds(tmp_path / "folds.csv", manifest("a.jpg"))
    scores = Scores(["A.JPG"], {}, np.zeros((1, 1), np.float32), np.zeros((1, 1)), ["a"])
    with pytest.raises(InputError, match=r"no line for image 'A.JPG' .*there is 'a.jpg'"):
        groups_of("s.npz", scores, manifest("a.jpg"))
