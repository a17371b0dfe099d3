"""What describe.py says of masks: which cannot be used and why, how large lesions are, and outlines on the sheets."""

from __future__ import annotations

import csv
import json

import cv2
import numpy as np
import pytest
from made_masks import oval, png, write_masked

from skinmtl.description.files import look
from skinmtl.description.masks import DARK, LIGHT, outlined
from skinmtl.images.masks import read_mask

SIZES = ((60, 80), (90, 70), (64, 64), (50, 120), (60, 80), (60, 80), (60, 80), (60, 80))


def two_lesions_at_the_border():
    mask = np.zeros((64, 64), bool)
    mask[:10, :10] = mask[30:40, 30:40] = True
    return png(mask)


@pytest.fixture(scope="module")
def made(tool, tmp_path_factory):
    """Eight images without locations; the folder that describes them, and what was said."""
    folder = tmp_path_factory.mktemp("masks")
    grey = np.where(oval(60, 80), 200, 30).astype(np.uint8)
    grey[0, 0] = 90
    masks = {
        1: png(oval(91, 70)),
        2: two_lesions_at_the_border(),
        3: png(np.zeros((50, 120), bool)),
        4: png(np.ones((60, 80), bool)),
        5: None,
        6: b"no image",
        7: png(grey),
    }
    data = write_masked(folder / "data", SIZES, location=False, masks=masks)
    out = folder / "out"
    where = ("--manifest", data.manifest, "--images", data.images, "--masks", data.masks, "--workers", 1)
    done = tool("describe.py", *where, "--out", out, "--fail-if-unusable")
    return data, out, done


def test_what_needs_a_look_is_printed(made):
    done = made[2]
    assert (
        "- 4 masks of 7 cannot be used as they are (1 cannot be read, 1 of another size than their image, 1 empty, "
        "1 all white): make_lmdb.py would refuse them; masks.csv lists them"
    ) in done.stdout.splitlines()
    for line in (
        "- 1 image without a mask: make_lmdb.py leaves such images out with --drop-unmasked",
        "- 1 mask with several lesions",
        "- 2 masks touching the border",
        "- 1 mask with grey values",
    ):
        assert line in done.stdout.splitlines()
    assert "enlarged" not in done.stdout


def test_a_mask_that_cannot_be_used_fails_where_that_is_asked(made):
    _, out, done = made
    assert done.returncode == 1
    assert f"{out / 'masks.csv'}: 4 of 7 masks cannot be used" in done.stderr


def test_all_numbers_are_in_the_json(made):
    record = json.loads((made[1] / "description.json").read_text())["masks"]
    assert record["images"] == {
        "missing": [],
        "cannot be read": ["6.jpg"],
        "of another size than their image": ["1.jpg"],
        "empty": ["3.jpg"],
        "all white": ["4.jpg"],
        "with several lesions": ["2.jpg"],
        "touching the border": ["2.jpg", "4.jpg"],
        "with grey values": ["7.jpg"],
    }
    assert record["counts"]["touching the border"] == 2
    assert (record["looked_at"], record["images_without"]) == (7, ["5.jpg"])
    assert record["lesions_a_mask"] == {"0": 1, "1": 4, "2": 1}
    data = made[0]
    shares = [data.ovals[0].mean(), 200 / 64**2, oval(60, 80).mean()]
    assert record["share_of_the_image"]["percentiles"] == pytest.approx(
        np.percentile(shares, record["share_of_the_image"]["of"]).tolist()
    )


def test_a_line_a_mask(made):
    with open(str(made[1] / "masks.csv"), newline="", encoding="utf-8") as file:
        lines = {line["image"]: line for line in csv.DictReader(file)}
    assert len(lines) == 7
    assert lines["2.jpg"]["lesions"] == "2"
    assert lines["2.jpg"]["kinds"] == "with several lesions; touching the border"
    assert float(lines["2.jpg"]["share_of_the_image"]) == pytest.approx(200 / 64**2)
    assert lines["1.jpg"]["problem"] == "is 70 x 91 pixels, its image 70 x 90"
    assert "not an image" in lines["6.jpg"]["problem"]


def test_the_page_and_the_text_have_a_section(made):
    page, text = ((made[1] / name).read_text() for name in ("index.html", "description.txt"))
    for words in ("Masks that cannot be used", "Size of the lesions", "What the masks are"):
        assert words in page
        assert words in text
    assert "is 70 x 91 pixels, its image 70 x 90" in page


def test_without_locations_nothing_is_said_of_them(made):
    page = (made[1] / "index.html").read_text()
    assert "0 body locations" in page
    assert "most often at" not in page
    assert not (made[1] / "locations.png").exists()
    assert not (made[1] / "lesion_by_location.png").exists()
    assert sorted(path.name for path in (made[1] / "sheets").iterdir()) == [
        "lesion_000_benign.jpg",
        "lesion_001_malignant.jpg",
    ]


def test_a_thumbnail_has_the_outline_of_its_mask(made):
    data = made[0]
    task = (data.images / "0.jpg", True)
    plain, drawn = (
        cv2.imdecode(np.frombuffer(look(each).thumbnail, np.uint8), cv2.IMREAD_COLOR)
        for each in (task, (*task, data.masks / "0_segmentation.png"))
    )
    assert plain.shape == drawn.shape == (60, 80, 3)
    edge = cv2.morphologyEx(data.ovals[0].astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    near = cv2.dilate(edge.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    changed = np.abs(drawn.astype(int) - plain).max(axis=2)
    assert changed[edge].mean() > 60
    assert changed[~near].mean() < 4


def test_a_mask_of_another_size_is_not_drawn(made):
    data = made[0]
    with_mask, without = (
        look((data.images / "1.jpg", True, data.masks / "1_segmentation.png")),
        look((data.images / "1.jpg", True)),
    )
    assert with_mask.thumbnail == without.thumbnail
    assert with_mask.mask.kinds == ("of another size than their image",)
    assert without.mask is None


def test_holes_have_outlines_too(tmp_path):
    ring = cv2.circle(np.zeros((100, 100), np.uint8), (50, 50), 30, 255, 12)
    (tmp_path / "ring.png").write_bytes(png(ring))
    drawn = outlined(np.full((100, 100, 3), 128, np.uint8), read_mask(tmp_path / "ring.png"))
    row = drawn[50].astype(int)
    lines = np.flatnonzero(np.abs(row - LIGHT).max(axis=1) < 40)
    assert len(lines) >= 4, "both sides of the ring, outside and inside"
    assert (np.abs(row - DARK).max(axis=1) < 40).any()
    assert np.array_equal(drawn[50, 50], [128, 128, 128])


def test_masks_need_images(tool, tmp_path):
    done = tool("describe.py", "--manifest", "m.csv", "--masks", tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "--masks needs --images" in done.stderr
