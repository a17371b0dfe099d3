"""The layers of caffe_torch without weights, and the losses, against BVLC Caffe: tops and all gradients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
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
        "type: 'Tile' tile_param { axis: -1 tiles: 2 }",
    ],
)
def test_layers_of_one_bottom(caffe, layer):
    values = normal(4, 3, 4, 6, 2)
    values[0, 0, 0, 0] = 0
    agree(caffe, f"top: 'top' {layer}", {"a": values})


shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4)


@given(
    seed=SEEDS,
    shape=shapes,
    power=st.sampled_from([0, 0.5, 1, 2, 3, -1]),
    scale=st.sampled_from([0, 0.5, -1, 2]),
    shift=st.sampled_from([0, 1, 3.5, -2]),
)
@EXAMPLES
def test_power(caffe, seed, shape, power, scale, shift):
    """Also where the root of a negative number, or 1/0, makes it NaN or infinite."""
    said = f"power: {power} scale: {scale} shift: {shift}"
    agree(caffe, f"type: 'Power' top: 'top' power_param {{ {said} }}", {"a": np.abs(normal(seed, *shape)) + 0.1})


@given(
    seed=SEEDS,
    count=st.integers(2, 4),
    which=st.sampled_from(["SUM", "PROD", "MAX"]),
    weighted=st.booleans(),
    stable=st.booleans(),
    zeros=st.booleans(),
)
@EXAMPLES
def test_eltwise(caffe, seed, count, which, weighted, stable, zeros):
    inputs = {name: normal(seed + number, 2, 3, 2) for number, name in enumerate("abcd"[:count])}
    if which == "MAX" or (which == "PROD" and stable and zeros):
        inputs = {name: np.round(values) for name, values in inputs.items()}
    said = f"operation: {which} stable_prod_grad: {str(stable).lower()}"
    if weighted and which == "SUM":
        said += " ".join(f" coeff: {number - 1.5}" for number in range(count))
    agree(caffe, f"type: 'Eltwise' top: 'top' eltwise_param {{ {said} }}", inputs, seed=seed)


@given(data=st.data(), shape=shapes, old=st.booleans())
@EXAMPLES
def test_concat(caffe, data, shape, old):
    axis = data.draw(st.integers(0 if old else -len(shape), len(shape) - 1))
    inputs = {}
    for number, name in enumerate("abc"[: data.draw(st.integers(1, 3))]):
        shape[axis] = data.draw(st.integers(1, 3))
        inputs[name] = normal(number, *shape)
    agree(caffe, f"type: 'Concat' top: 'top' concat_param {{ {'concat_dim' if old else 'axis'}: {axis} }}", inputs)


@given(data=st.data(), shape=shapes, old=st.booleans(), equal=st.booleans())
@EXAMPLES
def test_slice(caffe, data, shape, old, equal):
    axis = data.draw(st.integers(0 if old else -len(shape), len(shape) - 1))
    count = data.draw(st.integers(1, 3))
    lengths = [data.draw(st.integers(1, 3)) for _ in range(count)]
    lengths = lengths[:1] * count if equal else lengths
    shape[axis] = sum(lengths)
    points = "" if equal else " ".join(f"slice_point: {each}" for each in np.cumsum(lengths)[:-1])
    tops = " ".join(f"top: 't{number}'" for number in range(count))
    said = f"{'slice_dim' if old else 'axis'}: {axis} {points}"
    agree(caffe, f"type: 'Slice' {tops} slice_param {{ {said} }}", {"a": normal(1, *shape)})


@given(data=st.data(), shape=shapes)
@EXAMPLES
def test_flatten_and_softmax(caffe, data, shape):
    first = data.draw(st.integers(0, len(shape) - 1))
    last = data.draw(st.integers(first, len(shape) - 1))
    minus = data.draw(st.sampled_from([0, len(shape)]))
    inputs = {"a": normal(1, *shape)}
    agree(
        caffe, f"type: 'Flatten' top: 'top' flatten_param {{ axis: {first - minus} end_axis: {last - minus} }}", inputs
    )
    agree(caffe, f"type: 'Softmax' top: 'top' softmax_param {{ axis: {first - minus} }}", inputs)


@given(data=st.data(), shape=shapes)
@EXAMPLES
def test_reshape(caffe, data, shape):
    draw, axes = data.draw, len(shape)
    first = draw(st.integers(0, axes))
    count = draw(st.integers(0, axes - first))
    middle = shape[first : first + count]
    wanted = draw(st.permutations(middle)) + [1] * draw(st.integers(0, 2))
    if draw(st.booleans()) and wanted:
        wanted[draw(st.integers(0, len(wanted) - 1))] = -1
    elif middle and draw(st.booleans()):
        wanted = [0, *middle[1:]]
    if len(shape) - count + len(wanted) > 8:
        return
    dims = " ".join(f"dim: {side}" for side in wanted)
    named = draw(st.sampled_from([first, first - axes - 1]))
    said = (
        f"shape {{ {dims} }} axis: {named} num_axes: {-1 if first + count == axes and draw(st.booleans()) else count}"
    )
    agree(caffe, f"type: 'Reshape' top: 'top' reshape_param {{ {said} }}", {"a": normal(1, *shape)})


@given(data=st.data(), shape=st.lists(st.integers(1, 4), min_size=1, max_size=5), tiles=st.integers(1, 3))
@EXAMPLES
def test_tile(caffe, data, shape, tiles):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    agree(caffe, f"type: 'Tile' top: 'top' tile_param {{ axis: {axis} tiles: {tiles} }}", {"a": normal(1, *shape)})


@given(data=st.data(), shape=shapes)
@EXAMPLES
def test_crop(caffe, data, shape):
    axis = data.draw(st.integers(0, len(shape) - 1))
    smaller = [data.draw(st.integers(1, side)) for side in shape]
    offsets = [data.draw(st.integers(0, side - part)) for side, part in zip(shape, smaller)][axis:]
    if data.draw(st.booleans()):  # one for all axes
        offsets = [min(offsets)]
    said = " ".join(f"offset: {each}" for each in offsets) if data.draw(st.booleans()) else ""
    named = data.draw(st.sampled_from([axis, axis - len(shape)]))
    inputs = {"a": normal(1, *shape), "b": normal(2, *smaller)}
    agree(caffe, f"type: 'Crop' top: 'top' crop_param {{ axis: {named} {said} }}", inputs, differentiable=["a"])


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


@given(seed=SEEDS, said=normalisations, ignore=st.integers(-1, 1))
@settings(EXAMPLES, max_examples=20)
def test_a_target_is_cut_to_a_whole_number_before_it_is_ignored(caffe, seed, said, ignore):
    targets = np.random.RandomState(seed).uniform(-2, 2, (4, 3)).astype(np.float32)
    agree(
        caffe,
        f"type: 'SigmoidCrossEntropyLoss' top: 'top' loss_param {{ {said} ignore_label: {ignore} }}",
        {"a": normal(seed, 4, 3), "b": targets},
        differentiable=["a"],
    )


@given(data=st.data(), seed=SEEDS, said=normalisations, ignores=st.booleans(), far=st.booleans())
@settings(EXAMPLES, max_examples=60)
def test_softmax_with_loss(caffe, data, seed, said, ignores, far):
    random = np.random.RandomState(seed)
    shape = data.draw(st.lists(st.integers(1, 4), min_size=2, max_size=4))
    axis = data.draw(st.integers(1, len(shape) - 1))
    places = shape[:axis] + shape[axis + 1 :]
    labels = random.randint(0, shape[axis], places).astype(np.float32)
    if ignores:
        labels[random.rand(*places) < 0.4] = 255
    ignore = "ignore_label: 255" if ignores else ""
    named = data.draw(st.sampled_from([axis, axis - len(shape)]))
    weight = data.draw(st.sampled_from(["", "loss_weight: 0.3"]))
    agree(
        caffe,
        f"type: 'SoftmaxWithLoss' top: 'top' {weight} loss_param {{ {said} {ignore} }} "
        f"softmax_param {{ axis: {named} }}",
        {"a": normal(seed, *shape) * (200 if far else 2), "b": labels},
        differentiable=["a"],
    )


@given(data=st.data(), seed=SEEDS, ignores=st.booleans(), by_class=st.booleans())
@settings(EXAMPLES, max_examples=80)
def test_accuracy(caffe, data, seed, ignores, by_class):
    """With ties, along any axis, for one label an image or one a place."""
    random = np.random.RandomState(seed)
    shape = data.draw(st.lists(st.integers(1, 5), min_size=2, max_size=4))
    axis = data.draw(st.integers(0, len(shape) - 1))
    top_k = data.draw(st.integers(1, shape[axis]))
    places = shape[:axis] + shape[axis + 1 :]
    labels = random.randint(0, shape[axis], places).astype(np.float32)
    if ignores:
        labels[random.rand(*places) < 0.4] = 9
    ignore = "ignore_label: 9" if ignores else ""
    more = "top: 'of class'" if by_class else ""
    named = data.draw(st.sampled_from([axis, axis - len(shape)]))
    agree(
        caffe,
        f"type: 'Accuracy' top: 'top' {more} accuracy_param {{ top_k: {top_k} axis: {named} {ignore} }}",
        {"a": np.round(normal(seed, *shape)), "b": labels},
        differentiable=[],
    )
