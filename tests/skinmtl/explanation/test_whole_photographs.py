"""Class activation maps of a photograph in one pass: equal to crops' maps where they must be, at any size."""

from __future__ import annotations

import json
import math

import cv2
import numpy as np
import pytest
from made_model import ENGINE, MEAN, NAMES, SHORT_SIDE, SIDE, write_small_net

from caffe_files.errors import InputError
from skinmtl.explanation.attention_file import AttentionFile
from skinmtl.explanation.attention_net import AttentionNet
from skinmtl.explanation.attention_passes import MOST_PIXELS
from skinmtl.explanation.attention_ways import Ways, settled
from skinmtl.explanation.class_activation import class_maps, whole_features
from skinmtl.explanation.photograph import Photograph
from skinmtl.scores.crops import centre_crop
from skinmtl.scores.forward import Protocol

STEP = 4  # of the small net: a convolution and a pooling, each of stride 2
PROTOCOL = Protocol(SHORT_SIDE, MEAN, 10, ENGINE, 1)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_small_net(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def net(small):
    return AttentionNet(small.deploy, small.weights, PROTOCOL, Ways("cam", "photograph"))


def noise(height, width, seed=1):
    coarse = np.random.RandomState(seed).randint(0, 256, (6, 7, 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


def every_label(head, _):
    return range(len(NAMES[head]))


def test_of_a_photograph_of_the_crops_size_the_mean_over_the_map_and_the_bias_are_the_logit(net):
    image = noise(SIDE, SIDE)
    features = whole_features(net.lens, image)
    crop = centre_crop(image, SIDE, np.array(MEAN))
    for head in ("lesion", "location"):
        weights, bias = net.lens.net.parameters(f"fc_{head}")
        maps = class_maps(features, weights)
        (logits,) = (each.copy() for each in net.lens.net.forward({"data": crop}, [f"fc_{head}"]))
        assert np.allclose(maps.mean(axis=(2, 3)) + bias, logits, atol=1e-3 * np.abs(logits).max())
        assert np.ptp(maps) > 0.01 * np.abs(maps).max()


def test_a_larger_photograph_has_the_crops_maps_away_from_the_crops_borders(net):
    image = noise(SIDE + 24, SIDE + 36)
    whole = whole_features(net.lens, image).copy()
    top, left = 2 * STEP, 3 * STEP
    crop = image[top : top + SIDE, left : left + SIDE]
    inside = whole_features(net.lens, crop)[:, :, 1:-1, 1:-1]
    rows, columns = inside.shape[2:]
    same = whole[:, :, 3 : 3 + rows, 4 : 4 + columns]
    assert np.allclose(same, inside, atol=1e-4 * np.abs(inside).max())


@pytest.mark.parametrize("size", [(40, 40), (41, 67), (40, 333), (301, 40)])
def test_maps_are_as_large_as_the_photograph_whatever_its_size_and_the_probabilities_the_ten_crops(net, size):
    photograph = Photograph(noise(*size), noise(*size))
    found = net.attend(photograph, every_label)
    by_crops = net.crop_maps(photograph.pixels)
    for head, answer in found.items():
        assert answer.maps.shape == (len(NAMES[head]), *size)
        assert answer.maps.dtype == np.float32
        assert np.allclose(answer.probabilities, by_crops[head].probabilities, atol=1e-5)


def test_one_side_without_its_mirror_image_is_the_cells_laid_over_the_photograph(small):
    net = AttentionNet(small.deploy, small.weights, PROTOCOL, Ways("cam", "photograph", (SHORT_SIDE,), mirrored=False))
    image = noise(SHORT_SIDE, 53)
    cells = class_maps(whole_features(net.lens, image), net.lens.net.parameters("fc_lesion")[0])[0]
    found = net.attend(Photograph(image, image), every_label)["lesion"].maps
    first, step = net.cells
    for row, column in ((0, 0), (2, 5), (4, 3)):
        pixel = int(first + step * row), int(first + step * column)
        assert np.allclose(found[:, pixel[0], pixel[1]], cells[:, row, column], atol=1e-4 * np.abs(cells).max())


def test_a_photograph_of_the_crops_size_has_the_same_map_whole_and_of_blended_crops(small):
    """There is one crop then, the whole."""
    image, found = noise(SIDE, SIDE), {}
    for over in ("photograph", "blended-crops", "crops"):
        sides = () if over == "crops" else (SIDE,)
        protocol = Protocol(SIDE, MEAN, 3, ENGINE, 1)
        net = AttentionNet(small.deploy, small.weights, protocol, Ways("cam", over, sides))
        found[over] = net.attend(Photograph(image, image), every_label)["lesion"].maps
    for over in ("blended-crops", "crops"):
        assert np.allclose(found[over], found["photograph"], atol=1e-4 * np.abs(found[over]).max())


def test_sides_are_averaged_and_each_is_of_the_photograph_at_that_size(small):
    large = noise(120, 150)
    photograph = Photograph(cv2.resize(large, (50, 40), interpolation=cv2.INTER_AREA), large)
    by_side = {}
    for sides in ((40,), (60,), (40, 60)):
        net = AttentionNet(small.deploy, small.weights, PROTOCOL, Ways("cam", "photograph", sides))
        by_side[sides] = net.attend(photograph, every_label)["lesion"].maps
    assert np.allclose(by_side[40, 60], (by_side[40,] + by_side[60,]) / 2, atol=1e-4 * np.abs(by_side[40,]).max())
    assert np.abs(by_side[40,] - by_side[60,]).max() > 0.01 * np.abs(by_side[40,]).max()


def test_the_map_of_the_mirror_image_is_the_maps_mirror_image(net):
    image, large = noise(44, 61), noise(88, 122)
    found = net.attend(Photograph(image, large), every_label)["lesion"].maps
    turned = net.attend(Photograph(image[:, ::-1], np.ascontiguousarray(large[:, ::-1])), every_label)["lesion"].maps
    assert np.allclose(turned[:, :, ::-1], found, atol=1e-3 * np.abs(found).max())


def test_an_image_of_one_colour_has_evidence_that_is_the_same_away_from_the_edges(net):
    image = np.full((60, 90, 3), (60, 120, 200), np.uint8)
    found = net.attend(Photograph(image, image), every_label)["lesion"].maps
    middle = found[:, 15:-15, 15:-15]
    assert np.ptp(middle, axis=(1, 2)).max() < 1e-3 * np.abs(middle).max()


# sizes


def test_a_long_photograph_is_seen_smaller_and_a_longer_one_is_refused(net):
    long = Photograph(np.zeros((40, 30000, 3), np.uint8), np.zeros((40, 30000, 3), np.uint8))
    sides = net.lens.sides(long)
    assert sides == [math.floor(math.sqrt(MOST_PIXELS * 40 / 30000))]
    assert sides[0] >= SIDE
    longer = Photograph(np.zeros((40, 50000, 3), np.uint8), np.zeros((40, 50000, 3), np.uint8))
    with pytest.raises(InputError, match="too long to be seen whole; give --over crops"):
        net.lens.sides(longer)


def test_sides_that_are_smaller_than_the_nets_input_are_refused(small):
    with pytest.raises(InputError, match="takes 32 pixels a side; give --sides of at least that"):
        AttentionNet(small.deploy, small.weights, PROTOCOL, Ways(sides=(31, 64)))


def test_the_sides_of_the_papers_short_side_are_the_ends_and_the_middle_of_its_range(small):
    assert settled(Ways(), True, 256) == Ways("cam", "blended-crops", (256, 368, 480), True)
    assert settled(Ways(), False, 256) == Ways("grad-cam", "blended-crops", (256, 368, 480), True)
    assert settled(Ways("occlusion"), True, 256) == Ways("occlusion", "blended-crops", (256,), False)
    with pytest.raises(InputError, match="--sides 4097: crops cover a photograph of at most 4096 pixels"):
        settled(Ways(sides=(256, 4097)), True, 256)
    assert settled(Ways(over="photograph", sides=(4097,)), True, 256).sides == (4097,), "which has a limit of pixels"
    assert AttentionNet(small.deploy, small.weights, PROTOCOL).ways.sides == (40, 58, 75)


def test_files_smaller_than_the_nets_step_and_very_wide_ones_have_maps_and_overlays(tool, small, tmp_path):
    cv2.imwrite(str(tmp_path / "dot.png"), noise(2, 3))
    cv2.imwrite(str(tmp_path / "wide.jpg"), noise(300, 1301))
    command = [
        "--deploy",
        small.deploy,
        "--weights",
        small.weights,
        "--short-side",
        SHORT_SIDE,
        "--engine",
        ENGINE.name,
    ]
    queries = ["--query", tmp_path / "dot.png", "--query", tmp_path / "wide.jpg"]
    done = tool("attend.py", *command, *queries, "--over", "photograph", "--out", tmp_path / "a")
    assert done.returncode == 0, done.stderr
    file = AttentionFile(tmp_path / "a" / "attention.npz")
    assert [file.read(row, "lesion").maps.shape for row in (0, 1)] == [(1, 40, 60), (1, 40, 173)]
    said = json.loads((tmp_path / "a" / "attention.json").read_text())
    assert (said["protocol"]["method"], said["protocol"]["over"]) == ("cam", "photograph")
    assert [one["sides"] for one in said["images"]] == [[40, 58, 75], [40, 58, 75]]
    assert cv2.imread(str(tmp_path / "a" / "wide.jpg.lesion.png")).shape == (300, 1301, 3)  # its own size
    assert cv2.imread(str(tmp_path / "a" / "dot.png.lesion.png")).shape == (256, 384, 3)
    assert "smaller than asked" not in done.stderr
    whole = [*command, *queries, "--over", "photograph", "--overlay", "none", "--sides"]
    done = tool("attend.py", *whole, 40, 700, "--out", tmp_path / "c")
    assert done.returncode == 0, done.stderr
    words = "note: 1 photograph seen smaller than asked, so that a pass has at most 1,048,576 pixels"
    assert words in done.stderr
    said = json.loads((tmp_path / "c" / "attention.json").read_text())
    assert [one["sides"] for one in said["images"]] == [[40, 700], [40, math.floor(math.sqrt(MOST_PIXELS * 40 / 173))]]
    done = tool("attend.py", *command, *queries, "--overlay", "none", "--sides", 32, "--out", tmp_path / "b")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == [".made.json", "attention.json", "attention.npz"]


def test_a_trunk_that_knows_its_inputs_size_is_told_to_take_crops(small, tmp_path):
    (tmp_path / "deploy.prototxt").write_text(
        small.deploy.read_text().replace(
            "layer { name: 'conv1' type: 'Convolution' bottom: 'data'",
            "layer { name: 'shape' type: 'Reshape' bottom: 'data' top: 'shaped' reshape_param { shape { dim: 0 dim: 3 "
            "dim: 32 dim: 32 } } }\nlayer { name: 'conv1' type: 'Convolution' bottom: 'shaped'",
        )
    )
    with pytest.raises(InputError, match=r"'shape', of type Reshape.*give --over crops"):
        AttentionNet(tmp_path / "deploy.prototxt", small.weights, PROTOCOL, Ways(over="photograph"))
    assert AttentionNet(tmp_path / "deploy.prototxt", small.weights, PROTOCOL, Ways(over="crops")).heads
