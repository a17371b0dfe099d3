"""show_training_images.py: what stands on the sheet is what the layers show."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from skinmtl.description.training_sheet import TILE, training_sheet
from skinmtl.description.training_views import View, Views, training_views
from skinmtl.layers.jittered_images import recipe_of
from skinmtl.layers.settings import read_settings

TINY = ("--model", "resnet50_mtl", "--trunk", "tiny", "--crop", 64)


@pytest.fixture(scope="module")
def nets(tool, small_set, tmp_path_factory):
    """A net that augments, and one of Caffe's own Data layers."""
    folder = tmp_path_factory.mktemp("nets")
    data = ("--train-data", small_set.train, "--test-data", small_set.test)
    online = ("--online-jitter", "--scales", 66, 72, "--seed", 5, "--rotate", 90, "--cutout", "0.4")
    for name, flags in (("online", online), ("plain", ())):
        made = tool("make_prototxt.py", *TINY, *flags, *data, "--out", folder / name)
        assert made.returncode == 0, made.stderr
    return folder


def test_the_visits_are_those_that_training_has(nets, small_set):
    views = training_views(nets / "online", images=3, visits=2, first=4, seed=None)
    told = json.loads(next(iter_param_strs(nets / "online")))
    reader = recipe_of(read_settings(json.dumps(told), "a net"), planes=False).make()
    lines = (small_set.train / "records.csv").read_text().splitlines()[1:]
    assert len(views.views) == 3
    for number, view in enumerate(views.views, 4):
        for visit, found in enumerate(view.visits):
            np.testing.assert_array_equal(found, reader.sample(number + 16 * visit, 5)[0])
        assert view.image == lines[number].split(",")[1]
        assert set(view.lesions.split(", ")) <= {"crust", "nodule", "scar"}
        assert min(view.stored.shape[:2]) == 72
    reader.close()
    assert views.drawn == "scale 66 to 72, crop 64, flip, rotate 90, cutout 0.4; seed 5"
    other = training_views(nets / "online", images=1, visits=1, first=4, seed=6)
    assert (other.views[0].visits[0] != views.views[0].visits[0]).any()


def iter_param_strs(net):
    from caffe_files.prototxt import read_net

    for layer in read_net(net / "train.prototxt").layer:
        if layer.name == "data":
            yield layer.python_param.param_str


def test_a_data_layers_crops_lie_in_the_stored_image(nets):
    views = training_views(nets / "plain", images=2, visits=6, first=0, seed=None)
    assert "though not the very ones" in views.drawn
    for view in views.views:
        for crop in view.visits:
            assert crop.shape == (64, 64, 3)
            best = [
                cv2.matchTemplate(view.stored, np.ascontiguousarray(each), cv2.TM_SQDIFF).min()
                for each in (crop, crop[:, ::-1])
            ]
            assert min(best) < 1e4  # of the sum of squares over 64 x 64 x 3


def test_each_image_has_its_place_on_the_sheet():
    colours = [(40 * row, 60 * column, 200) for row in range(3) for column in range(3)]
    images = [np.full((30, 20 + 10 * (n % 2), 3), colour, np.uint8) for n, colour in enumerate(colours)]
    views = [View(images[3 * row], images[3 * row + 1 : 3 * row + 3], f"a/{row}.jpg", "naevus") for row in range(3)]
    sheet = training_sheet(Views(views, "crop 20; seed 1"), "A title")
    for colour in colours:
        assert (sheet == colour).all(axis=2).sum() > 0.6 * TILE * TILE


def test_the_tool(tool, nets, refused, tmp_path):
    out = tmp_path / "sheet.jpg"
    done = tool("show_training_images.py", "--net", nets / "online", "--sheet", 2, "--visits", 3, "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{out}: 2 images, 3 visits each; scale 66 to 72")
    assert cv2.imread(str(out)).shape[1] == 4 * (TILE + 10) + 10
    refused(tool("show_training_images.py", "--net", nets / "online", "--out", out), "--overwrite")
    first = ("--first", 16, "--out", tmp_path / "other.jpg")
    refused(tool("show_training_images.py", "--net", nets / "online", *first), "has 16 records", "a smaller --first")
    refused(tool("show_training_images.py", "--net", tmp_path, "--out", tmp_path / "x.jpg"), "train.prototxt")
    for wrong in (("--sheet", 1000), ("--visits", 500)):
        assert (
            tool("show_training_images.py", "--net", nets / "online", *wrong, "--out", tmp_path / "y.jpg").returncode
            == 2
        )
