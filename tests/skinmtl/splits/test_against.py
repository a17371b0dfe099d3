"""Images that stand in two sets: by id, by bytes, as near-duplicates; tools/leakage.py --against."""

from __future__ import annotations

import csv
import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_mask_sets import put

from caffe_files.errors import InputError
from skinmtl.data.manifest import Manifest, Row, read_manifest
from skinmtl.splits.against import BYTES, ID, NEAR, image_id, shared, without
from skinmtl.splits.near_duplicates import USUAL_CORRELATION, USUAL_DISTANCE, Search
from skinmtl.splits.near_report import LIMITS


def picture(seed):
    """A smooth photograph, another one for each seed, as a JPEG's bytes."""
    noise = np.random.RandomState(seed).randint(0, 255, (6, 8, 3)).astype(np.uint8)
    return cv2.resize(noise, (96, 72), interpolation=cv2.INTER_CUBIC)


def jpeg(pixels, quality=95):
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def set_of(folder, files, lesions="melanoma"):
    """Writes the images and their manifest; its path."""
    put(folder / "images", files)
    rows = "".join(f"{name},{lesions if n else 'nevus'},train\n" for n, name in enumerate(files))
    (folder / "manifest.csv").write_text(f"image,lesions,split\n{rows}")
    return folder / "manifest.csv"


@pytest.fixture
def sets(tmp_path):
    """A training set, as of ISIC 2017, and a test set, as of 2016, that share three photographs in three ways."""
    train = {
        "Training_Data/ISIC_0000001.jpg": jpeg(picture(1)),
        "Training_Data/ISIC_0000003.jpg": jpeg(picture(3)),
        "Training_Data/ISIC_0000004.jpg": jpeg(picture(4)),
        "Training_Data/ISIC_0000005.jpg": jpeg(picture(5)),
    }
    test = {
        "Test_Data/ISIC_0000003_downsampled.JPG": jpeg(picture(33)),  # the same id, whatever the file
        "Test_Data/ISIC_0000099.jpg": jpeg(picture(4)),  # the same bytes under another name
        "Test_Data/ISIC_0000098.jpg": jpeg(cv2.resize(picture(5), (64, 48))[:, ::-1], 60),  # saved anew, mirrored
        "Test_Data/ISIC_0000097.jpg": jpeg(picture(97)),
    }
    return set_of(tmp_path / "train", train), set_of(tmp_path / "test", test)


@pytest.mark.parametrize(
    "name, known",
    [
        ("ISIC_0000003.jpg", "isic_0000003"),
        ("a/b/isic_0000003_downsampled.JPEG", "isic_0000003"),
        ("a\\ISIC0000003.png", "isic_0000003"),
        ("IMD003.bmp", "imd003"),
        ("ISIC_00000031.jpg", "isic_00000031"),  # eight digits are another number
        ("case.7/photo", "photo"),
    ],
)
def test_the_id_in_a_name(name, known):
    assert image_id(name) == known


def of_names(*names):
    rows = tuple(Row(n, name, ("a",), "", name) for n, name in enumerate(names, 2))
    return Manifest(None, rows, ("a",), ())


@settings(max_examples=60, derandomize=True, deadline=None)
@given(*[st.lists(st.integers(0, 8), unique=True, min_size=1, max_size=8)] * 2)
def test_ids_are_those_that_a_loop_finds(first, others):
    found = shared(of_names(*(f"x/p{n}.jpg" for n in first)), of_names(*(f"P{n}.PNG" for n in others)))
    expected = [(a, b) for a, one in enumerate(first) for b, other in enumerate(others) if one == other]
    assert [(each.a, each.b) for each in found.meetings] == expected
    assert found.rows(BYTES) == found.rows(NEAR) == []


def test_a_name_that_several_images_have_and_a_number_are_no_ids():
    first = of_names("case1/front.jpg", "case2/front.jpg", "b.jpg", "00017.jpg")
    found = shared(first, of_names("other/front.jpg", "b.jpg", "00017.jpg"))
    assert [(each.a, each.b) for each in found.meetings] == [(2, 1)]
    assert found.no_ids == 4


def test_each_way_finds_its_image(sets):
    train, test = map(read_manifest, sets)
    images = [path.parent / "images" for path in sets]
    search = Search(images[0], USUAL_DISTANCE, USUAL_CORRELATION, 1)
    found = shared(train, test, *images, search=search)
    assert [(each.a, each.b, each.ways) for each in found.meetings] == [
        (1, 0, (ID,)),
        (2, 1, (BYTES, NEAR)),
        (3, 2, (NEAR,)),
    ]
    assert found.rows() == [1, 2, 3]
    again = shared(test, train, *reversed(images), search=search._replace(images=images[1]))
    assert sorted((each.b, each.a) for each in again.meetings) == [(1, 0), (2, 1), (3, 2)]  # whatever names come first
    assert shared(train, test, *images, names=False).rows() == [2]
    assert shared(train, test).rows() == [1]


def test_without_them_a_label_that_no_image_has_goes(sets):
    train = read_manifest(sets[0])
    rest = without(train, [1, 2, 3])
    assert ([row.image[-11:] for row in rest.rows], rest.lesion_names) == (["0000001.jpg"], ("nevus",))
    with pytest.raises(InputError, match="none would be left"):
        without(train, range(4))


def command(sets, *more):
    train, test = sets
    return ["leakage.py", "--manifest", train, "--against", test, *more]


def with_files(sets):
    return ("--images", sets[0].parent / "images", "--against-images", sets[1].parent / "images", "--workers", 1)


def test_the_tool_lists_and_leaves_out(tool, sets, tmp_path):
    out, report = tmp_path / "rest", tmp_path / "leak.json"
    more = (*with_files(sets), "--near-duplicates", "--out-without", out, "--json", report)
    done = tool(*command(sets, *more))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1:6] == [
        "same id: 1 image",
        "same bytes: 1 image",
        "near-duplicate: 2 images",
        LIMITS,
        "in both sets: 3 of 4 images (75.0 %)",
    ]
    assert lines[6] == "  Training_Data/ISIC_0000003.jpg = Test_Data/ISIC_0000003_downsampled.JPG: same id"
    assert lines[-2] == f"without them: 1 image, in {out / 'manifest.csv'}; left_out.csv has the others"
    assert lines[-1] == "labels that no image has any more: melanoma"
    rest = read_manifest(out / "manifest.csv")
    assert [(row.image, row.split) for row in rest.rows] == [("Training_Data/ISIC_0000001.jpg", "train")]
    with open(str(out / "left_out.csv"), encoding="utf-8", newline="") as file:
        left = list(csv.DictReader(file))
    assert [row["ways"] for row in left] == ["same id", "same bytes; near-duplicate", "near-duplicate"]
    record = json.loads(report.read_text())
    assert (record["shared"], record["by_way"]) == (3, {"same id": 1, "same bytes": 1, "near-duplicate": 2})
    assert record["pairs"][1]["distance"] == 0
    again = tool(*command((out / "manifest.csv", sets[1]), *with_files(sets), "--near-duplicates", "--fail-if-leak"))
    assert (again.returncode, again.stderr) == (0, "")


def test_it_fails_where_asked_to_and_says_what_was_not_compared(tool, sets, refused):
    done = tool(*command(sets, "--fail-if-leak"))
    assert done.returncode == 1
    assert "1 of its images stand in" in done.stderr
    assert done.stderr.endswith("--out-without DIR makes one without them\n")
    assert "the files were not compared; give --images" in done.stdout
    assert tool(*command(sets, *with_files(sets), "--ignore-names")).stdout.splitlines()[1] == "same bytes: 1 image"


def test_a_missing_image_of_either_set_is_a_line(tool, sets, refused):
    (sets[1].parent / "images/Test_Data/ISIC_0000097.jpg").unlink()
    refused(tool(*command(sets, *with_files(sets))), "ISIC_0000097.jpg")


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((), "one of the arguments --folds --against is required"),
        (("--folds", "f.csv", "--against", "m.csv"), "not allowed with"),
        (("--folds", "f.csv", "--out-without", "d"), "--out-without goes with --against"),
        (("--against", "m.csv", "--ignore-names"), "need --images"),
        (("--against", "m.csv", "--near-duplicates"), "--images and --near-duplicates go together"),
    ],
)
def test_usage(tool, arguments, words):
    done = tool("leakage.py", "--manifest", "x.csv", *arguments)
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr
