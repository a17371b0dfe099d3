"""Class activation maps: equal to the net's own logits, right on nets whose answer is known, every pixel seen."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from skinmtl.engines.engine import Engine
from skinmtl.explanation.attention_geometry import Cells, Place, places
from skinmtl.explanation.attention_net import AttentionNet, class_maps, merge
from skinmtl.images import image_file
from skinmtl.scores.crops import ten_crops
from skinmtl.scores.forward import Protocol

MEAN = np.array([103.0626, 115.9029, 123.1516])
NO_MEAN = Protocol(32, (0.0, 0.0, 0.0), 10, Engine(), 1)
BGR = (60, 120, 200)
LABELS = {"lesion": ["crust", "nodule", "scar"], "location": ["back", "face", "hands", "scalp"]}  # of the small set


def test_a_pixel_is_the_mean_of_the_crops_that_show_it():
    maps = np.array([1.0, 2.0, 10.0]).reshape(3, 1, 1, 1)
    crops = [Place(0, 0, False), Place(0, 0, True), Place(0, 2, False)]
    merged = merge(maps, crops, (4, 6), 4, Cells(1.5, 4))
    assert np.allclose(merged[0], [[1.5, 1.5, 13 / 3, 13 / 3, 10, 10]] * 4)


def test_a_mirrored_crop_is_turned_back():
    hot = np.zeros((1, 1, 2, 2))
    hot[0, 0, 0, 0] = 1
    assert merge(hot, [Place(0, 0, False)], (8, 8), 8, Cells(1.5, 4))[0, 0, 0] == 1
    assert merge(hot, [Place(0, 0, True)], (8, 8), 8, Cells(1.5, 4))[0, 0, 7] == 1


def test_a_constant_map_stays_constant_however_often_a_pixel_is_seen():
    crops = places(70, 300, 64)
    merged = merge(np.full((len(crops), 2, 4, 4), 0.7), crops, (70, 300), 64, Cells(2, 16))
    assert merged.shape == (2, 70, 300)
    assert np.allclose(merged, 0.7)


# nets whose answer is known


def attention_of(net, image, head):
    return net.merged(net.crop_maps(image)[head].maps, image.shape[:2])


@pytest.mark.caffe
@pytest.mark.parametrize("size", [(32, 32), (32, 40), (41, 32), (70, 150), (32, 400)])
def test_an_image_of_one_colour_has_a_constant_map(known_net, size):
    image = np.full((*size, 3), BGR, np.uint8)
    assert np.allclose(attention_of(known_net.attention, image, "lesion")[0], BGR[0], atol=1e-3)
    assert np.allclose(attention_of(known_net.attention, image, "lesion")[1], -BGR[2], atol=1e-3)
    assert np.allclose(attention_of(known_net.attention, image, "location")[0], BGR[1], atol=1e-3)
    assert not attention_of(known_net.attention, image, "location")[1:].any()


@pytest.mark.caffe
@pytest.mark.parametrize("at", [(0, 0), (0, 24), (24, 8), (16, 16)])
def test_one_bright_cell_is_the_peak_and_only_its_neighbours_see_it(known_net, at):
    image = np.zeros((32, 32, 3), np.uint8)
    image[at[0] : at[0] + 8, at[1] : at[1] + 8, 0] = 255
    found = attention_of(known_net.attention, image, "lesion")[0]
    middle = (at[0] + 3.5, at[1] + 3.5)
    assert found[at[0] + 3 : at[0] + 5, at[1] + 3 : at[1] + 5].max() == found.max() > 200
    distance = np.abs(np.mgrid[:32, :32] - np.array(middle)[:, None, None]).max(axis=0)
    assert (found[distance >= 8] == 0).all()
    assert (found[distance < 7.9] > 0).all()


@pytest.mark.caffe
@pytest.mark.parametrize("size", [(32, 32), (36, 45), (50, 33), (40, 150), (32, 90)])
def test_maps_are_opencvs_stretched_tiles_summed_and_divided_crop_by_crop(known_net, size):
    image = cv2.resize(np.random.RandomState(2).randint(0, 256, (6, 9, 3)).astype(np.uint8), size[::-1])
    total, seen = np.zeros((*size, 3)), np.zeros((*size, 1))
    for top, left, mirrored in places(*size, 32):
        crop = image[top : top + 32, left : left + 32].astype(np.float64)
        crop = crop[:, ::-1] if mirrored else crop
        tiles = crop.reshape(4, 8, 4, 8, 3).mean(axis=(1, 3))
        stretched = cv2.resize(tiles, (32, 32), interpolation=cv2.INTER_LINEAR)
        total[top : top + 32, left : left + 32] += stretched[:, ::-1] if mirrored else stretched
        seen[top : top + 32, left : left + 32] += 1
    blue, green, red = np.moveaxis(total / seen, 2, 0)
    assert np.allclose(attention_of(known_net.attention, image, "lesion"), [blue, -red], atol=1e-2)
    assert np.allclose(attention_of(known_net.attention, image, "location")[0], green, atol=1e-2)


@pytest.mark.caffe
def test_what_the_ten_crops_do_not_show_is_found_too(known_net):
    image = np.zeros((40, 200, 3), np.uint8)
    image[:4, 60:68, 0] = 255  # above the centre crop, right of the corner's
    found = attention_of(known_net.attention, image, "lesion")[0]
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert row < 8
    assert 56 <= column < 72


@pytest.mark.caffe
def test_probabilities_are_those_of_the_ten_crops_however_many_there_are(known_net):
    image = np.random.RandomState(3).randint(80, 120, (40, 150, 3)).astype(np.uint8)
    image[:, 50:60] = 130  # seen by few of the crops
    blue = ten_crops(image, 32, np.zeros(3))[:, 0].mean(axis=(1, 2))
    found = known_net.attention.crop_maps(image)["lesion"]
    assert len(found.maps) > 10
    assert found.probabilities[0] == pytest.approx((1 / (1 + np.exp(100 - blue))).mean(), abs=1e-4)


# the real net


@pytest.mark.caffe
def test_a_crops_map_averages_to_its_logit_less_the_bias(tiny_model):
    import caffe

    image = image_file.load((tiny_model.data.images / "3.jpg", 72)).pixels
    found = AttentionNet(tiny_model.deploy, tiny_model.snapshot, Protocol(72, tuple(MEAN), 4, Engine(), 1)).crop_maps(
        image
    )
    net = caffe.Net(str(tiny_model.deploy), str(tiny_model.snapshot), caffe.TEST)
    net.blobs["data"].reshape(10, 3, 64, 64)
    net.blobs["data"].data[...] = ten_crops(image, 64, MEAN)
    net.forward()
    for head in ("lesion", "location"):
        maps, bias = found[head].maps[:10], net.params[f"fc_{head}"][1].data
        assert np.allclose(maps.mean(axis=(2, 3)) + bias, net.blobs[f"fc_{head}"].data, atol=1e-4)
        assert np.ptp(maps) > 1e-3
        assert np.allclose(found[head].probabilities, net.blobs[f"{head}_prob"].data.mean(axis=0), atol=1e-5)


def test_maps_are_what_global_average_pooling_takes_the_mean_of():
    random = np.random.RandomState(1)
    features, weights = random.rand(2, 5, 3, 4), random.randn(6, 5)
    assert np.allclose(class_maps(features, weights).mean(axis=(2, 3)), features.mean(axis=(2, 3)) @ weights.T)
