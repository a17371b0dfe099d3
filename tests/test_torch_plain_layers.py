"""The layers of caffe_torch without weights, and the losses, against BVLC Caffe: tops and all gradients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from torch_agreement import EXAMPLES, NEEDS_CAFFE, SEEDS, agree, normal

pytestmark = [pytest.mark.torch, NEEDS_CAFFE]


@pytest.mark.parametrize(
    "layer",
    [
        "type: 'ReLU'",
        "type: 'ReLU' relu_param { negative_slope: 0.1 }",
        "type: 'Sigmoid'",
        "type: 'AbsVal'",
        "type: 'Softmax'",
        "type: 'Softmax' softmax_param { axis: 2 }",
        "type: 'Softmax' softmax_param { axis: -1 }",
        "type: 'Power'",
        "type: 'Power' power_param { power: 2 scale: 0.5 shift: 3 }",
        "type: 'Power' power_param { power: 0 }",
        "type: 'Power' power_param { power: 3 scale: 0 shift: 2 }",
        "type: 'Dropout'",
        "type: 'Flatten'",
        "type: 'Flatten' flatten_param { axis: -3 end_axis: -2 }",
        "type: 'Reshape' reshape_param { shape { dim: 0 dim: -1 dim: 2 } }",
        "type: 'Reshape' reshape_param { shape { dim: 2 dim: -1 } axis: 1 num_axes: 2 }",
        "type: 'Reshape' reshape_param { shape { dim: 1 } axis: -1 num_axes: 0 }",
        "type: 'Slice' top: 'other' slice_param { axis: 2 }",
        "type: 'Slice' top: 'other' slice_param { slice_dim: 1 slice_point: 1 }",
        "type: 'Split' top: 'other'",
    ],
)
def test_layers_of_one_bottom(caffe, layer):
    values = normal(4, 3, 4, 6, 2)
    values[0, 0, 0, 0] = 0
    agree(caffe, f"top: 'top' {layer}", {"a": values})


@given(seed=SEEDS, count=st.integers(2, 4), which=st.sampled_from(["SUM", "PROD", "MAX"]), weighted=st.booleans())
@EXAMPLES
def test_eltwise(caffe, seed, count, which, weighted):
    inputs = {name: normal(seed + number, 2, 3, 2) for number, name in enumerate("abcd"[:count])}
    if which == "MAX":
        inputs = {name: np.round(values) for name, values in inputs.items()}
    coefficients = " ".join(f"coeff: {number - 1.5}" for number in range(count)) if weighted and which == "SUM" else ""
    agree(caffe, f"type: 'Eltwise' top: 'top' eltwise_param {{ operation: {which} {coefficients} }}", inputs, seed=seed)


@pytest.mark.parametrize(
    "said", ["", "concat_param { axis: 2 }", "concat_param { axis: -1 }", "concat_param { concat_dim: 0 }"]
)
def test_concat(caffe, said):
    agree(caffe, f"type: 'Concat' top: 'top' {said}", {"a": normal(1, 2, 2, 2, 2), "b": normal(2, 2, 2, 2, 2)})


@pytest.mark.parametrize("said", ["offset: 1", "axis: 1 offset: 1 offset: 0 offset: 2", "axis: -1", ""])
def test_crop(caffe, said):
    inputs = {"a": normal(1, 2, 4, 5, 6), "b": normal(2, 2, 3, 3, 4)}
    agree(caffe, f"type: 'Crop' top: 'top' crop_param {{ {said} }}", inputs, differentiable=["a"])


normalisations = st.sampled_from(
    [
        "",
        "normalize: true",
        "normalize: false",
        *(f"normalization: {mode}" for mode in ("FULL", "VALID", "BATCH_SIZE", "NONE")),
    ]
)


@given(seed=SEEDS, said=normalisations, ignores=st.booleans(), weight=st.sampled_from(["", "loss_weight: 0.3"]))
@EXAMPLES
def test_sigmoid_cross_entropy_loss(caffe, seed, said, ignores, weight):
    random = np.random.RandomState(seed)
    targets = random.randint(0, 2, (4, 3)).astype(np.float32)
    if ignores:
        targets[random.rand(4, 3) < 0.4] = -1
    ignore = "ignore_label: -1" if ignores else ""
    agree(
        caffe,
        f"type: 'SigmoidCrossEntropyLoss' top: 'top' {weight} loss_param {{ {said} {ignore} }}",
        {"a": normal(seed, 4, 3) * 5, "b": targets},
        differentiable=["a"],
    )


@given(seed=SEEDS, said=normalisations, ignores=st.booleans(), axis=st.sampled_from([1, 2, -1]), far=st.booleans())
@EXAMPLES
def test_softmax_with_loss(caffe, seed, said, ignores, axis, far):
    random = np.random.RandomState(seed)
    shape = (3, 4, 4)
    labels = random.randint(0, 4, (3, 4)).astype(np.float32)
    if ignores:
        labels[random.rand(3, 4) < 0.4] = 255
    ignore = "ignore_label: 255" if ignores else ""
    agree(
        caffe,
        f"type: 'SoftmaxWithLoss' top: 'top' loss_param {{ {said} {ignore} }} softmax_param {{ axis: {axis} }}",
        {"a": normal(seed, *shape) * (200 if far else 2), "b": labels},
        differentiable=["a"],
    )


@given(seed=SEEDS, top_k=st.integers(1, 4), ignores=st.booleans(), by_class=st.booleans())
@EXAMPLES
def test_accuracy(caffe, seed, top_k, ignores, by_class):
    random = np.random.RandomState(seed)
    labels = random.randint(0, 4, (6, 1)).astype(np.float32)
    if ignores:
        labels[random.rand(6, 1) < 0.4] = 9
    ignore = "ignore_label: 9" if ignores else ""
    more = "top: 'of class'" if by_class else ""
    agree(
        caffe,
        f"type: 'Accuracy' top: 'top' {more} accuracy_param {{ top_k: {top_k} {ignore} }}",
        {"a": np.round(normal(seed, 6, 4)), "b": labels},
        differentiable=[],
    )
