"""Inference, and steps of several layers: what is folded gives BVLC Caffe's blobs and gradients, whatever is asked."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from conftest import ROOT
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch_agreement import NEEDS_CAFFE, close, net_of, normal

from caffe_files.errors import InputError
from caffe_torch.inference import Inference
from caffe_torch.model_files import write_caffemodel

pytestmark = pytest.mark.torch

FIRST = {
    "convolution": "type: 'Convolution' convolution_param { num_output: 6 kernel_size: 3 %s }",
    "grouped": "type: 'Convolution' convolution_param { num_output: 6 kernel_size: 3 group: 2 %s }",
    "dilated": "type: 'Convolution' convolution_param { num_output: 6 kernel_size: 3 dilation: 2 %s }",
    "strided": "type: 'Convolution' convolution_param { num_output: 6 kernel_size: 1 stride: 2 pad: 1 %s }",
    "deconvolution": "type: 'Deconvolution' convolution_param { num_output: 6 kernel_size: 3 stride: 2 %s }",
    "inner product": "type: 'InnerProduct' inner_product_param { num_output: 6 %s }",
    "transposed": "type: 'InnerProduct' inner_product_param { num_output: 6 transpose: true %s }",
    "none": "type: 'Power' power_param { scale: 2 }",
}
LATER = (
    "type: 'BatchNorm' batch_norm_param { use_global_stats: true eps: 0.01 }",
    "type: 'Scale'",
    "type: 'Scale' scale_param { bias_term: true }",
    "type: 'Scale' scale_param { axis: 0 num_axes: 2 }",
    "type: 'Bias'",
    "type: 'ReLU'",
    "type: 'ReLU' relu_param { negative_slope: 0.1 }",
)
# (layer, in place, whether another layer reads its top too)
ARRANGEMENTS = st.lists(st.tuples(st.sampled_from(LATER), st.booleans(), st.booleans()), max_size=5)


def chain(first, bias, later):
    """A net of layers one on the other, some tops with a second reader; and the last blob's name."""
    lines = ["force_backward: true layer { name: 'in' type: 'Input' top: 'in' input_param { shape {"]
    lines.append("dim: 3 dim: 4 dim: 7 dim: 6 } } }")
    settings = FIRST[first] % f"bias_term: {str(bias).lower()}" if "%s" in FIRST[first] else FIRST[first]
    lines.append(f"layer {{ name: 'first' bottom: 'in' top: 'a' {settings} }}")
    blob, readers = "a", []
    for number, (settings, in_place, read_again) in enumerate(later):
        top = blob if in_place else f"a{number}"
        lines.append(f"layer {{ name: 'later{number}' bottom: '{blob}' top: '{top}' {settings} }}")
        if not in_place and read_again:
            readers.append(blob)
        blob = top
    for number, other in enumerate(readers):
        lines.append(f"layer {{ name: 'reader{number}' type: 'AbsVal' bottom: '{other}' top: 'r{number}' }}")
    other = readers[0] if readers else None
    if other and "inner" not in first and "transposed" not in first:
        lines.append(f"layer {{ name: 'sum' type: 'Eltwise' bottom: '{blob}' bottom: '{other}' top: 'sum' }}")
        lines.append("layer { name: 'rectified' type: 'ReLU' bottom: 'sum' top: 'sum' }")
        blob = "sum"
    return "\n".join(lines), blob


def drawn(net, seed):
    """Fills the net; returns its weights as the reference wants them."""
    arrays = {}
    with torch.no_grad():
        for number, layer in enumerate(net.layers):
            for place, blob in enumerate(layer.blobs):
                blob.copy_(torch.from_numpy(normal(seed + 10 * number + place, *blob.shape)))
                if layer.param.type == "BatchNorm":
                    blob.abs_().add_(0.3)
                arrays[f"weight:{layer.name}:{place}"] = blob.detach().numpy().copy()
    return arrays


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Writes a net and its weights; returns their paths."""
    folder = tmp_path_factory.mktemp("inference")

    def write(net, text):
        (folder / "net.prototxt").write_text(text)
        write_caffemodel(net, folder / "net.caffemodel")
        return folder / "net.prototxt", folder / "net.caffemodel"

    return write


@NEEDS_CAFFE
@given(st.sampled_from(sorted(FIRST)), st.booleans(), ARRANGEMENTS, st.integers(0, 1000))
@hypothesis_settings(max_examples=60, deadline=None, derandomize=True)
def test_folded_layers_have_caffes_blobs_and_gradients(caffe, files, first, bias, later, seed):
    text, last = chain(first, bias, later)
    net = net_of(text)
    arrays = drawn(net, seed)
    data = torch.from_numpy(normal(seed, 3, 4, 7, 6)).requires_grad_()
    blobs = net({"in": data})
    outer = normal(seed + 1, *blobs[last].shape)
    (blobs[last] * torch.from_numpy(outer)).sum().backward()
    arrays.update({"blob:in": data.detach().numpy(), f"gradient:{last}": outer})
    expected = caffe.answer(text, "TEST", arrays)
    for name, blob in blobs.items():
        close(blob, expected[f"blob:{name}"], name, 1e-4)
    if not any("ReLU" in one[0] and other[1] for one, other in zip(later, later[1:])):
        # Caffe's ReLU looks at its bottom for the gradient, which a layer in place after it has written over
        close(data.grad, expected["gradient:in"], "gradient of in", 1e-4)
        for layer in net.layers:
            for number, blob in enumerate(layer.blobs):
                if blob.grad is not None:
                    close(blob.grad, expected[f"weight_gradient:{layer.name}:{number}"], (layer.name, number), 1e-4)
    inference = Inference(*files(net, text))
    given_data = {"in": arrays["blob:in"]}
    alone = [(name,) for name in blobs]
    for asked in [tuple(blobs), *alone]:  # each blob that is asked for changes what may be folded
        for name, found in zip(asked, inference.forward(given_data, asked)):
            close(torch.from_numpy(found), expected[f"blob:{name}"], (name, asked), 1e-4)


@NEEDS_CAFFE
@pytest.mark.parametrize(("model", "batch"), [("tiny_mtl", 7), ("resnet50_mtl", 2), ("tiny_alexnet_lesion", 3)])
def test_every_blob_of_a_deploy_net_is_caffes_in_any_batch(caffe, files, model, batch):
    text = (ROOT / "prototxt" / model / "deploy.prototxt").read_text()
    net, arrays = sensible(text)
    shape = (batch, *net.shapes["data"][1:])
    arrays["blob:data"] = 50 * normal(2, *shape)
    batched = text.replace(f"dim: {net.shapes['data'][0]}", f"dim: {batch}", 1)
    expected = caffe.answer(batched, "TEST", arrays)
    inference = Inference(*files(net, text))
    data = {"data": arrays["blob:data"]}
    for asked in (list(inference.shapes), net.outputs):
        for name, found in zip(asked, inference.forward(data, asked)):
            theirs = expected[f"blob:{name}"]
            assert (found.dtype, found.shape) == (np.float32, theirs.shape), name
            assert np.abs(found - theirs).max() <= 1e-4 * np.abs(theirs).max(), name
    found = inference.forward({"data": arrays["blob:data"][:1]}, net.outputs)
    assert all(np.allclose(one, expected[f"blob:{name}"][:1], atol=1e-4) for name, one in zip(net.outputs, found))


def sensible(text):
    """A net with weights that keep numbers of one size all the way, and the weights as the reference wants them."""
    net, arrays = net_of(text), {}
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for layer in net.layers:
            for number, blob in enumerate(layer.blobs):
                if layer.param.type == "BatchNorm":
                    blob.uniform_(0.5, 1.5, generator=random)
                elif blob.dim() > 1:
                    blob.normal_(0, (2 / blob[0].numel()) ** 0.5, generator=random)
                else:
                    blob.uniform_(-0.5, 0.5, generator=random)
                arrays[f"weight:{layer.name}:{number}"] = blob.detach().numpy().copy()
    return net, arrays


def test_parameters_stay_those_of_the_caffemodel(files):
    text = (ROOT / "prototxt/tiny_mtl/deploy.prototxt").read_text()
    net, arrays = sensible(text)
    inference = Inference(*files(net, text))
    inference.forward({"data": np.zeros((1, *net.shapes["data"][1:]), np.float32)}, net.outputs)
    count = 0
    for layer, shapes in inference.parameter_shapes.items():
        found = inference.parameters(layer)
        assert [list(values.shape) for values in found] == shapes
        for number, values in enumerate(found):
            assert values.flags.c_contiguous and np.array_equal(values, arrays[f"weight:{layer}:{number}"])
            count += 1
    assert count == len(arrays)
    with pytest.raises(InputError, match="no layer 'data' with blobs"):
        inference.parameters("data")


def test_bfloat16_changes_probabilities_by_less_than_a_hundredth(files):
    text = (ROOT / "prototxt/tiny_mtl/deploy.prototxt").read_text()
    net, _ = sensible(text)
    paths = files(net, text)
    data = {"data": 50 * normal(3, 20, *net.shapes["data"][1:])}
    exact, low = (Inference(*paths, precision=name).forward(data, net.outputs) for name in ("fp32", "bf16"))
    for one, other in zip(exact, low):
        assert other.dtype == np.float32
        assert 0 < np.abs(one - other).max() < min(0.01, 0.2 * np.ptp(one, axis=0).max())


def test_only_what_leads_to_the_blobs_is_computed(files):
    text = "\n".join(
        [
            "layer { name: 'in' type: 'Input' top: 'a' top: 'b' input_param { shape { dim: 1 dim: 2 } } }",
            "layer { name: 'x' type: 'Power' bottom: 'a' top: 'x' }",
            "layer { name: 'bad' type: 'Reshape' bottom: 'b' top: 'y' reshape_param { shape { dim: 2 } } }",
        ]
    )
    inference = Inference(files(net_of(text), text)[0], None)
    ones = np.ones((5, 2), np.float32)
    assert np.array_equal(inference.forward({"a": ones, "b": ones}, ["x", "a", "x"]), [ones] * 3)


@pytest.mark.parametrize(
    ("inputs", "blobs", "words"),
    [
        ({"data": (1, 3, 64, 64)}, ["nothing"], "no blob 'nothing'"),
        ({"nothing": (1, 3, 64, 64)}, ["lesion_prob"], "no blob 'nothing'"),
        ({}, ["lesion_prob"], "no array for the input 'data'"),
        ({"data": (1, 3, 64, 63)}, ["lesion_prob"], "but for the first side"),
        ({"data": (3, 64, 64)}, ["lesion_prob"], "but for the first side"),
    ],
)
def test_inputs_and_blobs_that_the_net_has_not_are_named(inputs, blobs, words):
    inference = Inference(ROOT / "prototxt/tiny_mtl/deploy.prototxt", None)
    with pytest.raises(InputError, match=words):
        inference.forward({name: np.zeros(shape) for name, shape in inputs.items()}, blobs)


def test_a_precision_that_there_is_not_is_refused():
    with pytest.raises(InputError, match="'int8': it is one of fp32, tf32, bf16"):
        Inference(ROOT / "prototxt/tiny_mtl/deploy.prototxt", None, precision="int8")


def test_a_frozen_convolution_with_a_learned_scale_gets_the_same_gradients():
    """There the weights' own gradient is not computed, since it would be needed for the Scale's alone."""
    text = chain("convolution", True, [(LATER[0], True, False), (LATER[2], True, False), (LATER[5], True, False)])[0]
    gradients = []
    for frozen in (False, True):
        net = net_of(text)
        drawn(net, 5)
        net.layer("first").requires_grad_(not frozen)
        net({"in": torch.from_numpy(normal(5, 3, 4, 7, 6))})["a"].square().sum().backward()
        gradients.append([blob.grad for blob in net.layer("later1").blobs])
        assert (net.layer("first").blob0.grad is None) == frozen
    for one, other in zip(*gradients):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-4)
