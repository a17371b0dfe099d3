"""Layers of caffe_torch with weights or windows against BVLC Caffe: tops and all gradients, many random settings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from torch_agreement import EXAMPLES, NEEDS_CAFFE, SEEDS, agree, close, net_of, normal, with_inputs

from caffe_files.errors import InputError

pytestmark = [pytest.mark.torch, NEEDS_CAFFE]


sides = st.integers(1, 9)


def some(draw, values, count):
    return draw(st.lists(values, min_size=count, max_size=count))


def pair(draw, name, values, written_apart=True):
    """Two values, for height and width, and one of the ways to write them."""
    height, width = draw(values), draw(values)
    ways = [f"{name}: {height} {name}: {width}"]
    if written_apart:
        stem = name.replace("_size", "")
        ways.append(f"{stem}_h: {height} {stem}_w: {width}")
    if height == width:
        ways.append(f"{name}: {height}")
    return (height, width), draw(st.sampled_from(ways))


@given(data=st.data(), seed=SEEDS, kind=st.sampled_from(["Convolution", "Deconvolution"]))
@settings(EXAMPLES, max_examples=80)
def test_convolution_and_deconvolution(caffe, data, seed, kind):
    draw = data.draw
    group = draw(st.integers(1, 3))
    inputs, outputs = group * draw(st.integers(1, 3)), group * draw(st.integers(1, 3))
    kernel, kernels = pair(draw, "kernel_size", st.integers(1, 4))
    stride, strides = pair(draw, "stride", st.integers(1, 3))
    pad, pads = pair(draw, "pad", st.integers(0, 3))
    dilation, dilations = pair(draw, "dilation", st.integers(1, 2), written_apart=False)
    size = (draw(sides), draw(sides))
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel)]
    if kind == "Convolution":
        assume(all(side + 2 * p >= r for side, p, r in zip(size, pad, reach)))
    else:
        assume(all(s * (side - 1) + r - 2 * p > 0 for side, s, p, r in zip(size, stride, pad, reach)))
    bias = draw(st.booleans())
    agree(
        caffe,
        f"type: '{kind}' top: 'top' convolution_param {{ num_output: {outputs} group: {group} {kernels} {strides} "
        f"{pads} {dilations} bias_term: {str(bias).lower()} }}",
        {"a": normal(seed, draw(st.integers(1, 3)), inputs, *size)},
        seed=seed,
    )


@given(data=st.data(), seed=SEEDS, kind=st.sampled_from(["MAX", "AVE"]), ties=st.booleans())
@settings(EXAMPLES, max_examples=150)
def test_pooling(caffe, data, seed, kind, ties):
    draw = data.draw
    kernel, stride = [draw(st.integers(1, 5)) for _ in range(2)], [draw(st.integers(1, 4)) for _ in range(2)]
    pad = [draw(st.integers(0, k - 1)) for k in kernel]
    size = [draw(st.integers(1, 9)) for _ in range(2)]
    assume(all(side + 2 * p >= k for side, p, k in zip(size, pad, kernel)))
    rounding = draw(st.sampled_from(["", "round_mode: CEIL", "round_mode: FLOOR"]))
    values = normal(seed, 2, 2, *size)
    places = "top: 'places'" if kind == "MAX" and draw(st.booleans()) else ""
    # without padding, rounding up can leave a last window empty: there Caffe's own backward pass of MAX writes outside
    # of its memory, so that only the forward pass can be compared
    empty = (
        not any(pad)
        and "FLOOR" not in rounding
        and any(-(-(side - k) // s) * s >= side for side, k, s in zip(size, kernel, stride))
    )
    agree(
        caffe,
        f"type: 'Pooling' top: 'top' {places} pooling_param {{ pool: {kind} kernel_h: {kernel[0]} "
        f"kernel_w: {kernel[1]} stride_h: {stride[0]} stride_w: {stride[1]} pad_h: {pad[0]} pad_w: {pad[1]} "
        f"{rounding} }}",
        {"a": np.round(values) if ties else values},
        seed=seed,
        differentiable=[] if empty and kind == "MAX" else None,
    )


@given(data=st.data(), seed=SEEDS, kind=st.sampled_from(["Convolution", "Deconvolution"]))
@EXAMPLES
def test_convolutions_of_other_axes(caffe, data, seed, kind):
    """Over no, one, two or three spatial axes; channels along any; several bottoms with one set of weights."""
    draw = data.draw
    axes, at = draw(st.integers(0, 3)), draw(st.integers(0, 2))
    group = draw(st.integers(1, 2))
    inputs, outputs = group * draw(st.integers(1, 2)), group * draw(st.integers(1, 2))
    written = {"kernel_size": st.integers(1, 3), "stride": st.integers(1, 2), "pad": st.integers(0, 1)}
    said = [f"{name}: {side}" for name, sides in written.items() for side in some(draw, sides, axes)]
    named = draw(st.sampled_from([at, at - at - 1 - axes]))
    images, size = some(draw, st.integers(1, 3), at), some(draw, st.integers(3, 5), axes)
    count = draw(st.integers(1, 3))
    tops = " ".join(f"top: 'top {number}'" for number in range(count))
    agree(
        caffe,
        f"type: '{kind}' {tops} convolution_param {{ num_output: {outputs} group: {group} axis: {named} "
        f"{' '.join(said)} }}",
        {name: normal(seed + number, *images, inputs, *size) for number, name in enumerate("abc"[:count])},
        seed=seed,
    )


@given(size=st.tuples(sides, sides), kind=st.sampled_from(["MAX", "AVE"]), seed=SEEDS, ties=st.booleans())
@settings(EXAMPLES, max_examples=15)
def test_global_pooling(caffe, size, kind, seed, ties):
    values = normal(seed, 2, 3, *size)
    layer = f"type: 'Pooling' top: 'top' pooling_param {{ pool: {kind} global_pooling: true }}"
    agree(caffe, layer, {"a": np.round(values) if ties else values})


@given(data=st.data(), seed=SEEDS)
@EXAMPLES
def test_inner_product(caffe, data, seed):
    shape = data.draw(st.lists(st.integers(1, 4), min_size=2, max_size=4))
    axis = data.draw(st.sampled_from([1, len(shape) - 1, -1]))
    transpose, bias = data.draw(st.booleans()), data.draw(st.booleans())
    agree(
        caffe,
        f"type: 'InnerProduct' top: 'top' inner_product_param {{ num_output: 3 axis: {axis} "
        f"transpose: {str(transpose).lower()} bias_term: {str(bias).lower()} }}",
        {"a": normal(seed, *shape)},
        seed=seed,
    )


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
@pytest.mark.parametrize(
    "said", ["", "use_global_stats: true", "use_global_stats: false eps: 0.01", "moving_average_fraction: 0.5"]
)
@pytest.mark.parametrize("shape", [(3, 2, 4, 5), (4, 3), (5, 2, 1, 1), (1, 2, 3, 3), (1, 3), (1, 3, 1, 1)])
def test_batch_norm(caffe, phase, said, shape):
    agree(caffe, f"type: 'BatchNorm' top: 'top' batch_norm_param {{ {said} }}", {"a": normal(3, *shape)}, phase)


def test_batch_norm_with_a_factor_of_0_has_a_mean_and_a_variance_of_0(caffe):
    text = with_inputs("type: 'BatchNorm' top: 'top'", {"a": (2, 3, 2, 2)})
    arrays = {"blob:a": normal(1, 2, 3, 2, 2), "weight:layer:2": np.zeros(1, np.float32)}
    arrays.update((f"weight:layer:{number}", np.full(3, 2, np.float32)) for number in (0, 1))
    net = net_of(text)
    for number, blob in enumerate(net.layer("layer").blobs):
        blob.copy_(torch.from_numpy(arrays[f"weight:layer:{number}"]))
    found = net({"a": torch.from_numpy(arrays["blob:a"])})["top"]
    close(found, caffe.answer(text, "TEST", arrays)["blob:top"], "top", 1e-4)


@given(data=st.data(), seed=SEEDS, kind=st.sampled_from(["Scale", "Bias"]))
@EXAMPLES
def test_scale_and_bias(caffe, data, seed, kind):
    draw = data.draw
    shape = draw(st.lists(st.integers(1, 4), min_size=2, max_size=4))
    axis = draw(st.integers(0, len(shape) - 1))
    axes = draw(st.integers(1, len(shape) - axis))
    inputs = {"a": normal(seed, *shape)}
    axes = draw(st.sampled_from([axes, axes, 0]))
    if axes and draw(st.booleans()):  # counted from the end
        axis -= len(shape)
    of_bottom = draw(st.booleans())
    if of_bottom:
        inputs["b"] = normal(seed + 1, *shape[axis % len(shape) :][:axes])
    said = "" if of_bottom else f"num_axes: {draw(st.sampled_from([axes, -1]))}"
    bias = "bias_term: true" if kind == "Scale" and draw(st.booleans()) else ""
    agree(caffe, f"type: '{kind}' top: 'top' {kind.lower()}_param {{ axis: {axis} {said} {bias} }}", inputs, seed=seed)


@given(
    data=st.data(),
    region=st.sampled_from(["ACROSS_CHANNELS", "WITHIN_CHANNEL"]),
    size=st.sampled_from([1, 3, 5, 7, 11]),
    alpha=st.sampled_from([0.0001, 0.1, 2]),
    beta=st.sampled_from([0.5, 0.75, 1]),
    more=st.sampled_from(["", "k: 2"]),
)
@settings(EXAMPLES, max_examples=30)
def test_lrn(caffe, data, region, size, alpha, beta, more):
    shape = [data.draw(st.integers(1, 9)) for _ in range(4)]
    said = f"local_size: {size} alpha: {alpha} beta: {beta} {more} norm_region: {region}"
    agree(caffe, f"type: 'LRN' top: 'top' lrn_param {{ {said} }}", {"a": normal(1, *shape)})


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("type: 'Convolutoin' top: 'top'", "'Convolutoin' is not supported"),
        ("type: 'Pooling' top: 'top' pooling_param { pool: STOCHASTIC kernel_size: 2 }", "stochastic"),
        ("type: 'Pooling' top: 'top' pooling_param { kernel_size: 9 }", "larger than"),
        ("type: 'Convolution' top: 'top' convolution_param { num_output: 3 kernel_size: 9 }", "layer"),
        ("type: 'Convolution' top: 'top' convolution_param { kernel_size: 1 }", "outputs"),
        ("type: 'InnerProduct' top: 'top' inner_product_param { num_output: 2 axis: 7 }", "axis 7"),
        ("type: 'Reshape' top: 'top' reshape_param { shape { dim: 7 } }", "does not fit"),
        ("type: 'Flatten' top: 'top' flatten_param { axis: 4 }", "axis 4"),
        ("type: 'Scale' top: 'a'", None),
        ("type: 'Scale' top: 'top' param { } param { }", "2 params"),
        (
            "type: 'InnerProduct' top: 'top' inner_product_param { num_output: 2 weight_filler { type: 'x' } }",
            "filler 'x'",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(layer, words):
    text = with_inputs(layer, {"a": (2, 3, 4, 4)})
    if words is None:
        net_of(text)
        return
    with pytest.raises(InputError, match=words) as raised:
        net_of(text)
    assert "'layer'" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_batch_norm_wants_channels():
    with pytest.raises(InputError, match="works on N x C"):
        net_of(with_inputs("type: 'BatchNorm' top: 'top'", {"a": (6,)}))
