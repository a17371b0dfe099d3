"""RoIAlign on caffe_torch against the layer for stock Caffe, run by it: tops and the features' gradients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
pytest.importorskip("torchvision", reason="torchvision is not installed here: make torch")
from region_layers import python
from torch_agreement import EXAMPLES, NEEDS_CAFFE, SEEDS, agree, net_of, normal, with_inputs

from caffe_files.errors import InputError

pytestmark = pytest.mark.torch
STRIDES = [4, 8, 16]
SIDE = 64


def features(seed, images=2, channels=3):
    return {
        name: normal(seed + stride, images, channels, SIDE // stride, SIDE // stride)
        for name, stride in zip("abc", STRIDES)
    }


def rois(seed, count, images=2):
    """Of all sizes, also beyond the border, and one of zeros as padding is."""
    random = np.random.RandomState(seed)
    low = random.uniform(-8, SIDE, (count, 2))
    sides = np.exp(random.uniform(0, np.log(2 * SIDE), (count, 2)))
    made = np.concatenate([random.randint(0, images, (count, 1)), low, low + sides], 1).astype(np.float32)
    made[0] = 0
    return made


@NEEDS_CAFFE
@given(
    seed=SEEDS,
    count=st.integers(1, 12),
    pooled=st.sampled_from([1, 2, 7]),
    samples=st.sampled_from([1, 2, 3]),
    levels=st.sampled_from(["round", "floor"]),
    canonical=st.sampled_from([32, 40.5]),
)
@settings(EXAMPLES, max_examples=25)
def test_tops_and_gradients_are_those_of_stock_caffe(caffe, seed, count, pooled, samples, levels, canonical):
    told = {"strides": STRIDES, "pooled": pooled, "samples": samples, "levels": levels, "canonical": canonical}
    inputs = {**features(seed), "d": rois(seed, count)}
    agree(caffe, python("RoIAlign", ["top"], **told), inputs, differentiable=["a", "b", "c"], tolerance=1e-5)


@NEEDS_CAFFE
@pytest.mark.parametrize("side", [1, 16, 31.9, 32, 32.1, 64])
def test_a_level_that_no_roi_reads_has_a_gradient_of_zeros(caffe, side):
    """Squares at the borders between levels; all are of one level."""
    boxes = np.float32([[0, 3, 5, 3 + side, 5 + side], [1, 0, 0, side, side]])
    for levels in ("round", "floor"):
        told = {"strides": STRIDES, "pooled": 2, "canonical": 32, "levels": levels}
        inputs = {**features(1), "d": boxes}
        agree(caffe, python("RoIAlign", ["top"], **told), inputs, differentiable=["a", "b", "c"], tolerance=1e-5)


def net_and_inputs(seed=3):
    inputs = {**features(seed), "d": rois(seed, 8)}
    text = python("RoIAlign", ["top"], strides=STRIDES, pooled=3, canonical=32)
    return net_of(with_inputs(text, {name: values.shape for name, values in inputs.items()})), inputs


def test_no_gradient_goes_to_the_rois():
    net, inputs = net_and_inputs()
    given = {name: torch.from_numpy(values).requires_grad_() for name, values in inputs.items()}
    net(given)["top"].sum().backward()
    assert given["d"].grad is None or not given["d"].grad.any()
    assert given["a"].grad.any()


def test_pooled_features_of_bfloat16_are_float32():
    net, inputs = net_and_inputs()
    low = {name: torch.from_numpy(values).bfloat16() for name, values in inputs.items() if name != "d"}
    low = {name: values.requires_grad_() for name, values in low.items()}
    boxes = torch.from_numpy(inputs["d"])
    with torch.autocast("cpu", torch.bfloat16):
        top = net({**low, "d": boxes})["top"]
        top.sum().backward()
    expected = net({**{name: values.detach().float() for name, values in low.items()}, "d": boxes})["top"]
    assert top.dtype == torch.float32
    np.testing.assert_array_equal(top.detach().numpy(), expected.numpy())
    assert all(values.grad.dtype == torch.bfloat16 for values in low.values())


def test_another_number_of_images_and_rois_than_the_net_was_made_for():
    net, _ = net_and_inputs()
    inputs = {**features(4, images=3), "d": rois(4, 5, images=3)}
    assert net({name: torch.from_numpy(values) for name, values in inputs.items()})["top"].shape == (5, 3, 3, 3)


def test_an_image_that_is_not_there_is_one_line():
    net, inputs = net_and_inputs()
    inputs["d"][3, 0] = 2
    with pytest.raises(InputError, match=r"^layer 'layer' \(Python\): ROIs name images up to 2, but there are 2$"):
        net({name: torch.from_numpy(values) for name, values in inputs.items()})


@pytest.mark.parametrize(
    ("shapes", "told", "words"),
    [
        (
            [(1, 3, 16, 16), (1, 3, 9, 8), (1, 3, 4, 4), (2, 5)],
            {},
            r"bottom 1, the map of stride 8, has the shape \(1, 3, 9, 8\)",
        ),
        ([(1, 3, 16, 16), (1, 3, 8, 8), (2, 5)], {}, "the number of its bottoms is 3; they are the map of stride 4"),
        ([(1, 3, 16, 16), (1, 3, 8, 8), (1, 3, 4, 4), (2, 4)], {}, r"bottom 3, rois, has the shape \(2, 4\)"),
        ([(1, 3, 16, 16), (1, 3, 8, 8), (1, 3, 4, 4), (2, 5)], {"strides": [4, 8, 24]}, "do not double"),
    ],
)
def test_maps_that_do_not_fit_are_one_line(shapes, told, words):
    text = python("RoIAlign", ["top"], **{"strides": STRIDES, "pooled": 2, **told})
    with pytest.raises(InputError, match=words) as error:
        net_of(with_inputs(text, dict(zip("abcd", shapes))))
    assert "\n" not in str(error.value)
