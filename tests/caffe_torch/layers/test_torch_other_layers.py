"""Layers that published nets use beside those of this package's own: tops and all gradients against BVLC Caffe."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from torch_agreement import EXAMPLES, NEEDS_CAFFE, SEEDS, agree, close, net_of, normal, with_inputs

from caffe_files.blobs import store_blob
from caffe_files.errors import InputError
from caffe_files.schema import caffe_messages

pytestmark = [pytest.mark.torch, NEEDS_CAFFE]
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4)
scales, shifts = st.sampled_from([1, 0.5, 2, 0.1]), st.sampled_from([0, 1, 0.3])


@given(seed=SEEDS, shape=shapes, kind=st.sampled_from(["TanH", "ELU", "BNLL"]), alpha=st.sampled_from([1, 0.3, 2]))
@EXAMPLES
def test_tanh_elu_and_bnll(caffe, seed, shape, kind, alpha):
    said = f"elu_param {{ alpha: {alpha} }}" if kind == "ELU" else ""
    agree(caffe, f"type: '{kind}' top: 'top' {said}", {"a": normal(seed, *shape) * 5})


@given(seed=SEEDS, shape=shapes, base=st.sampled_from([-1, 2, 0.5, 10, 1]), scale=scales, shift=shifts)
@EXAMPLES
def test_exp_and_log(caffe, seed, shape, base, scale, shift):
    said = f"base: {base} scale: {scale} shift: {shift}"
    agree(caffe, f"type: 'Exp' top: 'top' exp_param {{ {said} }}", {"a": normal(seed, *shape)})
    if base != 1:
        positive = np.abs(normal(seed, *shape)) + 0.1
        agree(caffe, f"type: 'Log' top: 'top' log_param {{ {said} }}", {"a": positive})


def test_exp_is_infinite_where_its_shift_is_beyond_all_numbers(caffe):
    agree(caffe, "type: 'Exp' top: 'top' exp_param { shift: 2000 }", {"a": normal(1, 2, 3)}, differentiable=())


@given(seed=SEEDS, shape=shapes, threshold=st.sampled_from([0, 1, -0.5]))
@settings(EXAMPLES, max_examples=15)
def test_threshold(caffe, seed, shape, threshold):
    said = f"threshold_param {{ threshold: {threshold} }}"
    agree(caffe, f"type: 'Threshold' top: 'top' {said}", {"a": np.round(normal(seed, *shape))}, differentiable=[])


@given(seed=SEEDS, shape=st.lists(st.integers(1, 4), min_size=2, max_size=4), shared=st.booleans(), zeros=st.booleans())
@EXAMPLES
def test_prelu(caffe, seed, shape, shared, zeros):
    values = normal(seed, *shape)
    layer = f"type: 'PReLU' top: 'top' prelu_param {{ channel_shared: {str(shared).lower()} }}"
    agree(caffe, layer, {"a": np.round(values) if zeros else values}, seed=seed)


def test_prelus_start_at_a_quarter(caffe):
    text = "layer { name: 'a' type: 'Input' top: 'a' input_param { shape { dim: 1 dim: 3 } } } "
    text += "layer { name: 'p' type: 'PReLU' bottom: 'a' top: 'p' }"
    theirs = caffe.answer(text, "TEST", {})["weight:p:0"]
    assert np.array_equal(net_of(text).layer("p").blob0.detach(), theirs)
    assert theirs.tolist() == [0.25] * 3


@given(data=st.data(), seed=SEEDS, shape=shapes, maximum=st.booleans(), ties=st.booleans())
@settings(EXAMPLES, max_examples=60)
def test_arg_max(caffe, data, seed, shape, maximum, ties):
    axis = data.draw(st.one_of(st.none(), st.integers(-len(shape), len(shape) - 1)))
    side = int(np.prod(shape[1:])) if axis is None else shape[axis]
    top_k = data.draw(st.integers(1, side))
    said = f"top_k: {top_k} out_max_val: {str(maximum).lower()} {'' if axis is None else f'axis: {axis}'}"
    values = normal(seed, *shape)
    inputs = {"a": np.round(values) if ties else values}
    agree(caffe, f"type: 'ArgMax' top: 'top' argmax_param {{ {said} }}", inputs, differentiable=[])


@given(
    data=st.data(),
    seed=SEEDS,
    shape=shapes,
    kind=st.sampled_from(["SUM", "ASUM", "SUMSQ", "MEAN"]),
    coeff=st.sampled_from([1, -0.5, 3]),
)
@EXAMPLES
def test_reduction(caffe, data, seed, shape, kind, coeff):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    said = f"operation: {kind} axis: {axis} coeff: {coeff}"
    agree(caffe, f"type: 'Reduction' top: 'top' reduction_param {{ {said} }}", {"a": normal(seed, *shape)})


@given(
    seed=SEEDS,
    shape=st.lists(st.integers(1, 4), min_size=4, max_size=4),
    across=st.booleans(),
    variance=st.booleans(),
    eps=st.sampled_from(["", "eps: 0.01", "eps: 1"]),
)
@EXAMPLES
def test_mvn(caffe, seed, shape, across, variance, eps):
    shape[3] += 2  # of a single number Caffe divides a rounding error by eps
    said = f"across_channels: {str(across).lower()} normalize_variance: {str(variance).lower()} {eps}"
    agree(caffe, f"type: 'MVN' top: 'top' mvn_param {{ {said} }}", {"a": normal(seed, *shape)}, seed=seed + 1)


@given(data=st.data(), seed=SEEDS, kind=st.sampled_from(["MAX", "AVE"]), height=st.integers(1, 3))
@EXAMPLES
def test_spp(caffe, data, seed, kind, height):
    sides = [data.draw(st.integers(2 ** (height - 1), 9)) for _ in range(2)]
    for side in sides:  # else the padding is as large as the window, which Caffe refuses
        for level in range(height):
            kernel = -(-side // 2**level)
            if (kernel * 2**level - side + 1) // 2 >= kernel:
                return
    said = f"pyramid_height: {height} pool: {kind}"
    agree(caffe, f"type: 'SPP' top: 'top' spp_param {{ {said} }}", {"a": normal(seed, 2, 3, *sides)})


@given(seed=SEEDS, shape=shapes, bias=st.booleans())
@settings(EXAMPLES, max_examples=20)
def test_embed(caffe, seed, shape, bias):
    """Its bottom has no gradient, so that a net without force_backward is compared."""
    random = np.random.RandomState(seed)
    dims = " ".join(f"dim: {side}" for side in shape)
    text = f"""
    layer {{ name: 'a' type: 'Input' top: 'a' input_param {{ shape {{ {dims} }} }} }}
    layer {{ name: 'embed' type: 'Embed' bottom: 'a' top: 'top' embed_param {{ input_dim: 5 num_output: 3
      bias_term: {str(bias).lower()} }} loss_weight: 0.5 }}"""
    net = net_of(text)
    arrays = {"blob:a": random.randint(0, 5, shape).astype(np.float32)}
    with torch.no_grad():
        for number, blob in enumerate(net.layer("embed").blobs):
            arrays[f"weight:embed:{number}"] = normal(seed + number, *blob.shape)
            blob.copy_(torch.from_numpy(arrays[f"weight:embed:{number}"]))
    blobs = net({"a": torch.from_numpy(arrays["blob:a"])})
    net.loss(blobs).backward()
    arrays["gradient:top"] = np.full(blobs["top"].shape, 0.5, np.float32)
    expected = caffe.answer(text, "TEST", arrays)
    close(blobs["top"], expected["blob:top"], "top", 1e-4)
    for number, blob in enumerate(net.layer("embed").blobs):
        close(blob.grad, expected[f"weight_gradient:embed:{number}"], number, 1e-4)


LOSS = st.sampled_from(["", "loss_weight: 0.3"])


@given(seed=SEEDS, shape=shapes, weight=LOSS)
@EXAMPLES
def test_euclidean_loss(caffe, seed, shape, weight):
    inputs = {"a": normal(seed, *shape), "b": normal(seed + 1, *shape)}
    agree(caffe, f"type: 'EuclideanLoss' top: 'top' {weight}", inputs)


@given(seed=SEEDS, images=st.integers(1, 4), classes=st.integers(1, 5), norm=st.sampled_from(["L1", "L2"]), weight=LOSS)
@EXAMPLES
def test_hinge_loss(caffe, seed, images, classes, norm, weight):
    labels = np.random.RandomState(seed).randint(0, classes, images).astype(np.float32)
    layer = f"type: 'HingeLoss' top: 'top' {weight} hinge_loss_param {{ norm: {norm} }}"
    agree(caffe, layer, {"a": normal(seed, images, classes), "b": labels}, differentiable=["a"])


@given(seed=SEEDS, images=st.integers(1, 4), classes=st.integers(1, 5), weight=LOSS, nothing=st.booleans())
@EXAMPLES
def test_multinomial_logistic_loss(caffe, seed, images, classes, weight, nothing):
    random = np.random.RandomState(seed)
    probabilities = random.dirichlet(np.ones(classes), images).astype(np.float32) + (0 if nothing else 0.01)
    labels = random.randint(0, classes, images).astype(np.float32)
    inputs = {"a": probabilities, "b": labels}
    agree(caffe, f"type: 'MultinomialLogisticLoss' top: 'top' {weight}", inputs, differentiable=["a"])


@given(
    seed=SEEDS,
    images=st.integers(1, 4),
    channels=st.integers(1, 5),
    margin=st.sampled_from([0.5, 1, 3]),
    legacy=st.booleans(),
    same=st.booleans(),
)
@EXAMPLES
def test_contrastive_loss(caffe, seed, images, channels, margin, legacy, same):
    one = normal(seed, images, channels)
    other = one.copy() if same else normal(seed + 1, images, channels)
    alike = np.random.RandomState(seed).randint(0, 2, images).astype(np.float32)
    said = f"margin: {margin} legacy_version: {str(legacy).lower()}"
    layer = f"type: 'ContrastiveLoss' top: 'top' contrastive_loss_param {{ {said} }}"
    agree(caffe, layer, {"a": one, "b": other, "c": alike}, differentiable=["a", "b"])


@given(
    data=st.data(),
    seed=SEEDS,
    said=st.sampled_from(["", *(f"normalization: {mode}" for mode in ("FULL", "VALID", "BATCH_SIZE"))]),
    ignores=st.booleans(),
)
@EXAMPLES
def test_infogain_loss(caffe, data, seed, said, ignores, tmp_path_factory):
    """With its matrix in a file; as a third bottom Caffe gives it no gradient, and the same tops."""
    random = np.random.RandomState(seed)
    shape = data.draw(st.lists(st.integers(1, 4), min_size=2, max_size=4))
    axis = data.draw(st.integers(1, len(shape) - 1))
    places = shape[:axis] + shape[axis + 1 :]
    labels = random.randint(0, shape[axis], places).astype(np.float32)
    if ignores:
        labels[random.rand(*places) < 0.4] = 255
        said += " ignore_label: 255"
    blob, matrix = caffe_messages().BlobProto(), random.rand(shape[axis], shape[axis]).astype(np.float32)
    store_blob(blob, matrix, (1, 1, *matrix.shape))
    path = tmp_path_factory.mktemp("infogain") / "matrix.binaryproto"
    path.write_bytes(blob.SerializeToString())
    inputs = {"a": normal(seed, *shape) * 3, "b": labels}
    layer = f"type: 'InfogainLoss' top: 'top' loss_param {{ {said} }} infogain_loss_param {{ axis: {axis} SOURCE }}"
    agree(caffe, layer.replace("SOURCE", f"source: '{path}'"), inputs, differentiable=["a"])
    inputs["c"] = matrix
    text = with_inputs(layer.replace("SOURCE", ""), {name: values.shape for name, values in inputs.items()})
    theirs = caffe.answer(text, "TEST", {f"blob:{name}": values for name, values in inputs.items()})
    ours = net_of(text)({name: torch.from_numpy(values) for name, values in inputs.items()})
    close(ours["top"], theirs["blob:top"], "top", 1e-4)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("type: 'Exp' top: 'top' exp_param { base: 0 }", "base 0; it must be above 0"),
        ("type: 'Log' top: 'top' log_param { base: 1 }", "base 1 has no logarithms"),
        ("type: 'ArgMax' top: 'top' argmax_param { top_k: 99 }", "top_k 99 of 12 numbers"),
        ("type: 'Embed' top: 'top' embed_param { num_output: 2 }", "num_output and input_dim"),
        ("type: 'SPP' top: 'top' spp_param { pyramid_height: 3 }", "must be less than the kernel"),
        ("type: 'InfogainLoss' bottom: 'a' top: 'top'", "labels for scores"),
        ("type: 'InfogainLoss' bottom: 'a' top: 'top' loss_param { normalize: true }", "give normalization"),
        ("type: 'EuclideanLoss' bottom: 'b' top: 'top'", "other numbers of images"),
    ],
)
def test_what_caffe_refuses_is_refused(caffe, layer, words):
    inputs = (
        "input: 'a' input_shape { dim: 2 dim: 3 dim: 2 dim: 2 } input: 'b' input_shape { dim: 3 dim: 3 dim: 2 dim: 2 }"
    )
    text = f"{inputs} layer {{ name: 'layer' bottom: 'a' {layer} }}"
    assert caffe.refusal(text)
    with pytest.raises(InputError, match=words):
        net_of(text)
