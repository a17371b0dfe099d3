"""The losses of Song et al. on caffe_torch against the layers for stock Caffe, run by it: values and gradients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from region_layers import python
from torch_agreement import EXAMPLES, NEEDS_CAFFE, SEEDS, agree, net_of, normal, with_inputs

from caffe_files.errors import InputError

pytestmark = pytest.mark.torch
FEWER = settings(EXAMPLES, max_examples=25)
ignoring = st.sampled_from(["none", "some", "all"])


def without(labels, ignored, seed):
    """Some or all of the labels become -1, an image (or row) at least where it is some."""
    if ignored == "all":
        labels[...] = -1
    elif ignored == "some":
        labels[np.random.RandomState(seed).rand(*labels.shape) < 0.5] = -1
        labels[0] = -1
    return labels


@NEEDS_CAFFE
@given(
    seed=SEEDS,
    flat=st.booleans(),
    ignored=ignoring,
    alpha=st.sampled_from([0, 0.25, 0.5, 1]),
    beta=st.sampled_from([0, 0.5, 1, 2, 3.5]),
    size=st.sampled_from([1, 3, 80]),
)
@FEWER
def test_focal_loss(caffe, seed, flat, ignored, alpha, beta, size):
    shape = (6, 4) if flat else (3, 4, 5)
    places = shape[:1] + shape[2:]
    labels = np.random.RandomState(seed).randint(0, 4, places).astype(np.float32)
    inputs = {"a": normal(seed, *shape) * size, "b": without(labels, ignored, seed)}
    text = python("FocalLoss", ["loss"], alpha=alpha, beta=beta)
    agree(caffe, text, inputs, differentiable=["a"], tolerance=1e-5)


@NEEDS_CAFFE
@given(seed=SEEDS, sigma=st.sampled_from([0.5, 1, 3]), weighted=st.sampled_from(["none", "some", "all"]))
@FEWER
def test_smooth_l1_loss(caffe, seed, sigma, weighted):
    inputs = {name: normal(seed + number, 2, 4, 7) for number, name in enumerate("abc")}
    inputs["c"] = np.abs(inputs["c"]) * {"none": 0, "some": inputs["c"] > 0, "all": 1}[weighted]
    agree(caffe, python("SmoothL1Loss", ["loss"], sigma=sigma), inputs, differentiable=["a"], tolerance=1e-5)


@NEEDS_CAFFE
@given(
    seed=SEEDS,
    ignored=ignoring,
    smooth=st.sampled_from([0, 1, 100]),
    weight=st.sampled_from([0.5, 100]),
    filled=st.sampled_from([0, 0.5, 1]),
)
@FEWER
def test_jaccard_loss(caffe, seed, ignored, smooth, weight, filled):
    """Also of empty masks; what counts is one channel of a mask, or some places of it."""
    random = np.random.RandomState(seed)
    targets = (random.rand(4, 3, 6, 6) < filled).astype(np.float32)
    targets[1:, 1:] = -1
    inputs = {"a": normal(seed, 4, 3, 6, 6) * 4, "b": without(targets, ignored, seed)}
    text = python("JaccardLoss", ["loss"], smooth=smooth, weight=weight)
    agree(caffe, text, inputs, differentiable=["a"], tolerance=1e-5)


LOSSES = {
    "FocalLoss": {"a": normal(1, 2, 3, 5), "b": np.float32([[0, -1, 2, 1, -1], [-1, -1, 1, 0, 0]])},
    "SmoothL1Loss": {"a": normal(1, 2, 5), "b": normal(2, 2, 5), "c": np.float32([[0, 1, 2, 0, 0], [1, 1, 0, 1, 0]])},
    "JaccardLoss": {"a": normal(1, 2, 1, 2, 2), "b": np.float32([-1, 1, 0, 1, -1, -1, -1, -1]).reshape(2, 1, 2, 2)},
}


def loss_of(name, inputs, dtype=torch.float32):
    given = {key: torch.from_numpy(values) for key, values in inputs.items()}
    given["a"] = given["a"].to(dtype).requires_grad_()
    net = net_of(with_inputs(python(name, ["loss"]) + " loss_weight: 3", {k: v.shape for k, v in inputs.items()}))
    blobs = net(given)
    net.loss(blobs).backward()
    return blobs["loss"], given["a"].grad


@pytest.mark.parametrize("name", LOSSES)
def test_what_does_not_count_may_be_nan(name):
    """And has no gradient."""
    inputs = {key: values.copy() for key, values in LOSSES[name].items()}
    value, gradient = loss_of(name, inputs)
    if name == "FocalLoss":
        inputs["a"].transpose(0, 2, 1)[inputs["b"] < 0] = np.nan
    else:
        inputs["a"][inputs["c"] == 0 if name == "SmoothL1Loss" else inputs["b"] < 0] = np.nan
    again, same = loss_of(name, inputs)
    assert again == value
    np.testing.assert_array_equal(same.numpy(), gradient.numpy())


@pytest.mark.parametrize("name", LOSSES)
def test_it_is_computed_in_float32_from_bfloat16(name):
    inputs = dict(LOSSES[name])
    inputs["a"] = torch.from_numpy(inputs["a"]).bfloat16().float().numpy()
    value, gradient = loss_of(name, inputs)
    with torch.autocast("cpu", torch.bfloat16):
        low, low_gradient = loss_of(name, inputs, torch.bfloat16)
    assert (low.dtype, low_gradient.dtype) == (torch.float32, torch.bfloat16)
    assert low == value
    np.testing.assert_allclose(low_gradient.float().numpy(), gradient.numpy(), rtol=0.01)


@pytest.mark.parametrize(
    ("name", "told", "shapes", "words"),
    [
        ("FocalLoss", {}, [(2, 3, 5), (2, 4)], r"its bottom 1, labels, has the shape \(2, 4\); it must be \(2, 5\)"),
        ("FocalLoss", {"gamma": 2}, [(2, 3), (2,)], "param_str has an unknown field 'gamma'"),
        ("SmoothL1Loss", {}, [(2, 3), (2, 3)], "the number of its bottoms is 2; they are prediction, target, weight"),
        ("JaccardLoss", {"smooth": -1}, [(1, 1, 2, 2)] * 2, "smooth in param_str is -1; give a number from 0"),
    ],
)
def test_what_does_not_fit_is_one_line(name, told, shapes, words):
    with pytest.raises(InputError, match=rf"^layer 'layer' \({name}\): {words}[^\n]*$"):
        net_of(with_inputs(python(name, ["loss"], **told), dict(zip("abc", shapes))))


def test_a_label_that_is_no_class_is_named():
    inputs = {"a": normal(1, 2, 3), "b": np.float32([3, 0])}
    with pytest.raises(InputError, match="a label 3 where the scores are of 3 classes"):
        loss_of("FocalLoss", inputs)
