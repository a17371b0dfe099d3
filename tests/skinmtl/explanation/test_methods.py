"""Grad-CAM and occlusion: right on nets of any kind, held against formulas written out here; what goes with what."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from conftest import ROOT
from made_model import ENGINE, MEAN, SHORT_SIDE, SIDE, write_drawn_weights, write_small_net

from caffe_files.errors import InputError
from skinmtl.explanation.attention_file import AttentionFile
from skinmtl.explanation.attention_geometry import places, tent, windows
from skinmtl.explanation.attention_net import AttentionNet
from skinmtl.explanation.attention_passes import cut
from skinmtl.explanation.attention_ways import Ways
from skinmtl.explanation.class_activation import class_maps
from skinmtl.explanation.grad_cam import crop_maps
from skinmtl.explanation.occlusion import squares
from skinmtl.explanation.photograph import Photograph
from skinmtl.scores.forward import Protocol

PROTOCOL = Protocol(SHORT_SIDE, MEAN, 7, ENGINE, 1)
# two layers on a convolution, as AlexNet has three; the location's head beside them adds to no gradient of the lesions'
DEEP = """
layer { name: 'data' type: 'Input' top: 'data' input_param { shape { dim: [1, 3, 32, 32] } } }
layer { name: 'conv1' type: 'Convolution' bottom: 'data' top: 'conv1'
  convolution_param { num_output: 5 kernel_size: 5 stride: 4 } }
layer { name: 'relu1' type: 'ReLU' bottom: 'conv1' top: 'conv1' }
layer { name: 'fc6' type: 'InnerProduct' bottom: 'conv1' top: 'fc6' inner_product_param { num_output: 9 } }
layer { name: 'relu6' type: 'ReLU' bottom: 'fc6' top: 'fc6' }
layer { name: 'fc_lesion' type: 'InnerProduct' bottom: 'fc6' top: 'fc_lesion' inner_product_param { num_output: 3 } }
layer { name: 'fc_location' type: 'InnerProduct' bottom: 'fc6' top: 'fc_location'
  inner_product_param { num_output: 2 } }
layer { name: 'lesion_prob' type: 'Sigmoid' bottom: 'fc_lesion' top: 'lesion_prob' }
layer { name: 'location_prob' type: 'Softmax' bottom: 'fc_location' top: 'location_prob' }
"""
SHAPES = {
    "conv1": [(5, 3, 5, 5), (5,)],
    "fc6": [(9, 245), (9,)],
    "fc_lesion": [(3, 9), (3,)],
    "fc_location": [(2, 9), (2,)],
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_small_net(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deep")
    (folder / "deploy.prototxt").write_text(f"name: 'deep'{DEEP}")
    write_drawn_weights(folder / "deploy.prototxt", SHAPES, folder / "deep.caffemodel")
    return folder / "deploy.prototxt", folder / "deep.caffemodel"


def crops(count, seed=1):
    return list(np.random.RandomState(seed).uniform(-120, 120, (count, 3, SIDE, SIDE)).astype(np.float32))


def photograph(height=SHORT_SIDE, width=52):
    image = cv2.resize(np.random.RandomState(2).randint(0, 256, (5, 6, 3)).astype(np.uint8), (width, height))
    return Photograph(image, image)


def test_of_a_net_with_a_global_average_grad_cam_is_the_positive_part_of_the_class_activation_map(small):
    net = AttentionNet(small.deploy, small.weights, PROTOCOL, Ways("grad-cam"))
    batch = crops(3)
    (features,) = (each.copy() for each in net.lens.net.forward({"data": batch}, ["res5c"]))
    for head, labels in (("lesion", [2, 0]), ("location", [3])):
        expected = np.maximum(class_maps(features, net.lens.net.parameters(f"fc_{head}")[0])[:, labels], 0)
        found = crop_maps(net.lens, batch, head, labels)
        assert expected.max() > 0
        assert np.allclose(found, expected, atol=1e-4 * expected.max())


def test_of_a_net_with_layers_between_it_is_the_gradient_by_the_chain_rule(deep):
    net = AttentionNet(*deep, PROTOCOL, Ways())
    assert (net.ways.method, net.ways.over, net.blobs.maps) == ("grad-cam", "blended-crops", "conv1")
    batch = crops(4)
    features, full = (each.copy() for each in net.lens.net.forward({"data": batch}, ["conv1", "fc6"]))
    first = net.lens.net.parameters("fc6")[0]
    for head, labels in (("lesion", [1, 2, 0]), ("location", [1])):
        second = net.lens.net.parameters(f"fc_{head}")[0]
        found = crop_maps(net.lens, batch, head, labels)
        for n in range(len(batch)):
            for k, label in enumerate(labels):
                gradient = ((second[label] * (full[n] > 0)) @ first).reshape(features[n].shape)
                weighted = sum(weight * channel for weight, channel in zip(gradient.sum(axis=(1, 2)), features[n]))
                assert np.allclose(found[n, k], np.maximum(weighted, 0), atol=1e-3 * np.abs(weighted).max())


def test_occlusion_is_the_fall_of_the_logit_square_by_square(deep):
    net = AttentionNet(*deep, Protocol(SIDE, MEAN, 7, ENGINE, 1), Ways("occlusion"))
    image = photograph(SIDE, SIDE).pixels
    found = net.attend(Photograph(image, image), lambda head, _: [0, 1])["lesion"].maps
    crop = cut(image, places(SIDE, SIDE, SIDE)[0], SIDE, np.array(MEAN))

    def logits(one):
        return net.lens.net.forward({"data": [one]}, ["fc_lesion"])[0][0, :2].copy()

    starts = np.arange(0, 25, 4)  # of squares of 8
    falls = np.zeros((2, 7, 7))
    for row, column in np.ndindex(7, 7):
        covered = crop.copy()
        covered[:, starts[row] : starts[row] + 8, starts[column] : starts[column] + 8] = 0
        falls[:, row, column] = logits(crop) - logits(covered)
    for axis in (1, 2):  # linear between their middles
        falls = np.apply_along_axis(lambda values: np.interp(np.arange(SIDE), starts + 3.5, values), axis, falls)
    assert np.allclose(found, falls, atol=1e-3 * np.abs(falls).max())


def test_squares_cover_a_crop_from_edge_to_edge():
    for side in (8, 32, 64, 224, 227):
        starts, cells = squares(side)
        patch = side // 4
        assert (starts[0], starts[-1]) == (0, side - patch)
        assert np.diff(starts).max() <= patch / 2 + 1
        assert np.allclose(starts + (patch - 1) / 2, cells.first + cells.step * np.arange(len(starts)), atol=0.5)


@pytest.mark.parametrize("size", [(32, 32), (32, 40), (41, 70), (40, 200)])
def test_the_crops_of_gradients_cover_the_photograph_and_their_weights_fall_to_their_edges(size):
    total = np.zeros(size)
    for top, left, mirrored in windows(*size, 32):
        assert not mirrored
        total[top : top + 32, left : left + 32] += 1
    assert total.min() >= 1
    weights = tent(32)
    assert weights.min() > 0
    assert weights[15, 15] == weights.max() == 256 * weights[0, 0]
    assert np.array_equal(weights, weights[::-1, ::-1])


@pytest.mark.parametrize("method", ["grad-cam", "occlusion"])  # cam's crops are blended by the same function
def test_blended_crops_have_no_seams(deep, method):
    """No step between two neighbouring pixels is larger than those within a crop."""
    net = AttentionNet(*deep, PROTOCOL, Ways(method))
    found = net.attend(photograph(SHORT_SIDE, 90), lambda head, _: [0])["lesion"].maps[0]
    steps = np.abs(np.diff(found, axis=1)).max(axis=0)
    edges = [left for _, left, _ in windows(SHORT_SIDE, 90, SIDE) if left] + [
        left + SIDE for _, left, _ in windows(SHORT_SIDE, 90, SIDE) if left + SIDE < 90
    ]
    inside = np.delete(steps, [edge - 1 for edge in edges])
    assert max(steps[edge - 1] for edge in edges) <= 1.5 * inside.max()


def test_alexnet_has_maps_by_itself(tool, tmp_path):
    deploy = tmp_path / "deploy.prototxt"
    deploy.write_text((ROOT / "prototxt" / "tiny_alexnet_lesion" / "deploy.prototxt").read_text())
    shapes = {name: list(map(tuple, each)) for name, each in ENGINE.shapes(deploy).params.items()}
    write_drawn_weights(deploy, shapes, tmp_path / "w.caffemodel")
    cv2.imwrite(str(tmp_path / "a.png"), photograph(90, 120).pixels)
    command = ["--deploy", deploy, "--weights", tmp_path / "w.caffemodel", "--mean", 104, 117, 123]
    command += ["--short-side", 72, "--engine", ENGINE.name, "--query", tmp_path / "a.png"]
    done = tool("attend.py", *command, "--out", tmp_path / "maps")
    assert done.returncode == 0, done.stderr
    protocol = json.loads((tmp_path / "maps" / "attention.json").read_text())["protocol"]
    assert (protocol["method"], protocol["maps"], protocol["sides"]) == ("grad-cam", "conv5", [72, 104, 135])
    maps = AttentionFile(tmp_path / "maps" / "attention.npz").read(0, "lesion").maps
    assert maps.shape == (1, 72, 96)
    assert maps.min() >= 0
    assert np.ptp(maps) > 0
    refused = tool("attend.py", *command, "--method", "cam", "--out", tmp_path / "cam")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
    assert "stand on fc7; give --method grad-cam" in refused.stderr


@pytest.mark.parametrize(
    ("ways", "words"),
    [
        (Ways("grad-cam", "photograph"), "--over photograph: grad-cam is of blended crops"),
        (Ways("occlusion", sides=(40, 60)), "--sides: occlusion of blended-crops is at the short side"),
        (Ways("cam", "crops", sides=(50,)), "--sides: cam of crops is at the short side"),
        (Ways("cam", "crops", mirrored=False), "--no-mirror"),
    ],
)
def test_what_does_not_go_together_is_refused(small, ways, words):
    with pytest.raises(InputError, match=words):
        AttentionNet(small.deploy, small.weights, PROTOCOL, ways)
