"""What make_lmdb.py says of masks that it cannot take: a line each, exit 1, and nothing is written."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from made_masks import oval, png, write_masked

from skinmtl.data.dataset import read_summary

OVAL = oval(60, 80)
COLOURED = cv2.merge([np.where(OVAL, 255, 0).astype(np.uint8)] * 2 + [np.zeros(OVAL.shape, np.uint8)])


@pytest.fixture
def make(tool, tmp_path):
    """Runs make_lmdb.py on a data set; returns what became of it."""

    def make(data, *flags, masks=True):
        place = ["--masks", data.masks] if masks else []
        arguments = ["--manifest", data.manifest, "--images", data.images, *place, "--out", tmp_path / "out", *flags]
        done = tool("make_lmdb.py", *arguments, "--workers", 1)
        assert (done.returncode == 0) == (tmp_path / "out").exists()
        assert not list(tmp_path.glob(".out*"))
        return done

    return make


# of the first image, 80 x 60: the bytes of its mask, and what is said after the mask's path
BAD = {
    "another size": (png(oval(60, 81)), "is 81 x 60 pixels, its image 80 x 60; mend it or take the line out"),
    "all black": (png(np.zeros((60, 80), bool)), "is all black: no lesion; --allow-empty-masks takes it so; mend it"),
    "all white": (png(np.ones((60, 80), bool)), "is all white: no skin around the lesion; --allow-full-masks takes"),
    "labels 0 and 1": (png(OVAL.astype(np.uint8)), "is all black (brightest value 1, what is above 128 is lesion)"),
    "in colour": (png(COLOURED), "has colours, and is no mask; save the mask as black and white, the lesion white"),
    "no image": (b"hello", "not an image that OpenCV reads, or a truncated one"),
    "empty": (b"", "the file is empty"),
    "cut": (png(OVAL)[:100], "truncated"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_mask_is_refused_in_one_line(make, refused, tmp_path, kind):
    data, words = BAD[kind]
    made = write_masked(tmp_path / "data", masks={0: data})
    refused(make(made), f"{made.manifest}:2: mask {made.masks / '0_segmentation.png'}: ", words)


def test_a_missing_mask_is_refused_and_a_near_name_is_told(make, refused, tmp_path):
    made = write_masked(tmp_path / "data")
    (made.masks / "1_segmentation.png").rename(made.masks / "1_Segmentation.png")
    words = "the file is missing (there is '1_Segmentation.png': case, accents or slashes differ)"
    refused(make(made), f"{made.manifest}:3: mask {made.masks / '1_segmentation.png'}: {words}")


def test_masks_in_another_folder_are_refused_in_one_line(make, refused, tmp_path):
    made = write_masked(tmp_path / "data")
    refused(make(made, masks=False), f"{made.images}: has none of the 4 masks of {made.manifest}; correct --masks")


def test_bad_images_and_masks_are_all_named(make, tmp_path):
    made = write_masked(tmp_path / "data", masks={1: BAD["empty"][0], 3: BAD["no image"][0]})
    (made.images / "2.jpg").write_bytes(b"\xff\xd8")
    done = make(made)
    assert done.returncode == 1
    said = [line.partition("manifest.csv:")[2].partition(" ")[2].split()[0] for line in done.stderr.splitlines()]
    assert said == ["mask", "image", "mask"]


@pytest.mark.parametrize(
    ("kind", "flag", "listed", "line"),
    [
        ("all black", "--allow-empty-masks", "empty", "1 mask without a lesion; dataset.json lists the images"),
        ("all white", "--allow-full-masks", "full", "1 mask all white; dataset.json lists the images"),
    ],
)
def test_flags_take_what_is_refused_and_count_it(make, tmp_path, kind, flag, listed, line):
    made = write_masked(tmp_path / "data", masks={0: BAD[kind][0]})
    done = make(made, flag)
    assert done.returncode == 0, done.stderr
    assert line in done.stdout.splitlines()
    assert read_summary(tmp_path / "out")["masks"][listed] == ["0.jpg"]


def test_masks_for_some_images_only_are_refused_with_a_count(make, refused, tmp_path):
    made = write_masked(tmp_path / "data", masks={1: None, 2: None})
    words = "2 of 4 images, such as '1.jpg' (line 3), have no mask; give them one, or leave such images out: "
    refused(make(made), f"{made.manifest}: {words}--drop-unmasked")


def test_images_without_masks_can_be_left_out_and_are_counted(make, tmp_path):
    made = write_masked(tmp_path / "data", masks={2: None})
    done = make(made, "--drop-unmasked")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "1 image without a mask left out"
    assert "3 records of 3 images, with masks, 2 lesions, 2 locations" in done.stdout
    assert read_summary(tmp_path / "out")["n_images"] == 3


def test_several_lesion_names_for_one_mask_are_refused_with_a_count(make, refused, tmp_path):
    made = write_masked(tmp_path / "data")
    made.manifest.write_text(made.manifest.read_text().replace("0.jpg,benign,", "0.jpg,benign;malignant,"))
    words = "1 of 4 images, '0.jpg' (line 2), has several lesion names, and a mask has one; name the one that"
    refused(make(made), f"{made.manifest}: {words}")


def test_a_class_that_no_image_has_is_refused(make, refused, tmp_path):
    made = write_masked(tmp_path / "data")
    (made.folder / "lesions.txt").write_text("benign\nmalignant\nnaevus\nscar\n")
    words = "no image to train on has the lesion 'naevus' or any of 1 more; take it out of lesions.txt"
    refused(make(made), f"{made.manifest}: {words}")


def test_a_class_may_be_missing_among_the_images_of_a_test(make, refused, tmp_path):
    made = write_masked(tmp_path / "data")
    (tmp_path / "folds.csv").write_text("image,fold\n0.jpg,0\n1.jpg,1\n2.jpg,0\n3.jpg,1\n")
    part = ["--folds", tmp_path / "folds.csv", "--fold", 0, "--subset"]
    refused(make(made, *part, "train"), "no image to train on has the lesion 'benign'", "or deal other folds")
    assert make(made, *part, "test").returncode == 0


def test_a_part_without_masks_is_not_stored_as_if_there_were_none(make, refused, tmp_path):
    made = write_masked(tmp_path / "data", masks={0: None, 2: None})
    (tmp_path / "folds.csv").write_text("image,fold\n0.jpg,0\n1.jpg,1\n2.jpg,0\n3.jpg,1\n")
    part = ["--folds", tmp_path / "folds.csv", "--fold", 0, "--subset", "test"]
    refused(make(made, *part, masks=False), "2 of 2 images, such as '0.jpg' (line 2), have no mask")
    refused(make(made, *part, "--drop-unmasked"), "no image that is asked for has a mask; fill the column 'mask'")


@pytest.mark.parametrize("flag", ["--drop-unmasked", "--allow-empty-masks"])
def test_a_flag_for_masks_needs_masks(make, refused, make_dataset, flag):
    done = make(make_dataset(2), flag, masks=False)
    refused(done, "mask")


def test_several_lesions_and_grey_values_are_told(make, tmp_path):
    picture = np.where(OVAL, 200, 20).astype(np.uint8)
    picture[2:6, 2:6] = 255
    made = write_masked(tmp_path / "data", masks={0: png(picture)})
    done = make(made)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "1 image: its mask has grey values: what is above 128 is lesion (0.jpg); dataset.json lists all",
        "1 image: its mask has several lesions (0.jpg); dataset.json lists all",
    ]


def test_with_a_shorter_side_masks_are_not_stored_and_that_is_told(make, tmp_path):
    made = write_masked(tmp_path / "data")
    done = make(made, "--short-side", 40, masks=False)
    assert done.returncode == 0
    assert "the manifest's masks are not stored: they go with --long-side" in done.stderr
    assert "masks" not in read_summary(tmp_path / "out")


@pytest.mark.parametrize(
    "flags",
    [
        ["--short-side", "40"],
        ["--jitter", "40", "50"],
        ["--long-side", "64", "--short-side", "40"],
        ["--long-side", "64", "--jitter", "40", "50"],
    ],
)
def test_sizes_that_do_not_go_together(make, tmp_path, flags):
    done = make(write_masked(tmp_path / "data"), *flags)
    assert done.returncode == 2


def test_the_longer_side_without_masks_stores_images_alone(make, tool, make_dataset, tmp_path):
    made = make_dataset(5)
    done = tool(
        *("make_lmdb.py", "--manifest", made.manifest, "--images", made.images, "--out", tmp_path / "out"),
        *("--long-side", 50, "--workers", 1),
    )
    assert done.returncode == 0, done.stderr
    summary = read_summary(tmp_path / "out")
    assert (summary["long_side"], "masks" in summary) == (50, False)
    checked = tool("check_lmdb.py", tmp_path / "out", "--crop", 30)
    assert "5 images equal to their sources" in checked.stdout


def test_check_lmdb_says_that_masks_were_compared(make, tool, tmp_path):
    make(write_masked(tmp_path / "data"))
    done = tool("check_lmdb.py", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("4 images and masks equal to their sources\n")
