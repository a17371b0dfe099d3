"""Each layer that export.py writes as ONNX gives pycaffe's numbers; what ONNX cannot say exactly is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed here: make torch")
pytest.importorskip("onnx", reason="onnx is not installed here: make torch")
from caffe_reference import PYTHON
from google.protobuf import text_format

from caffe_files.errors import InputError
from caffe_files.schema import caffe_messages
from caffe_torch.net import Net
from skinmtl.onnx_graphs.model import onnx_graph, onnx_model
from skinmtl.publishing.state_dict import state_dict

pytestmark = pytest.mark.torch
needs_caffe = pytest.mark.skipif(not PYTHON.exists(), reason="BVLC Caffe is not here: make caffe")


def parsed(text):
    net = caffe_messages().NetParameter()
    text_format.Parse(f"layer {{ name: 'data' type: 'Input' top: 'data' {INPUT} }} {text}", net)
    return net


INPUT = "input_param { shape { dim: [2, 3, 9, 9] } }"
POOL = "layer {{ name: 'p' type: 'Pooling' bottom: 'data' top: 'out' pooling_param {{ {} }} }}"
ONE = "layer {{ name: 'l' type: '{}' bottom: 'data' top: 'out' {} }}"
TWO = (
    "layer {{ name: 'a' type: 'AbsVal' bottom: 'data' top: 'a' }} "
    "layer {{ name: 'l' type: '{}' bottom: 'data' bottom: 'a' top: 'out' {} }}"
)
CONVOLUTION = ONE.replace("type: '{}'", "type: 'Convolution'").replace(
    "{} }}", "convolution_param {{ num_output: 6 {} }} }}"
)
CASES = [
    *(POOL.format(f"pool: {pool} {how}") for pool in ("MAX", "AVE") for how in (
        "kernel_size: 3 stride: 2", "kernel_size: 2 stride: 2", "kernel_size: 3 stride: 2 pad: 1",
        "kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 2", "global_pooling: true", "kernel_size: 3 stride: 3 pad: 2",
        "kernel_size: 3 stride: 2 pad: 1 round_mode: FLOOR",
    )),
    CONVOLUTION.format("kernel_h: 3 kernel_w: 2 stride: 2 pad_h: 1 pad_w: 0"),
    CONVOLUTION.format("kernel_size: 3 dilation: 2 group: 3 bias_term: false"),
    ONE.format("InnerProduct", "inner_product_param { num_output: 5 transpose: true }"),
    ONE.format("InnerProduct", "inner_product_param { num_output: 5 bias_term: false }"),
    ONE.format("BatchNorm", ""),
    ONE.format("Scale", ""),
    ONE.format("Scale", "scale_param { bias_term: true }"),
    ONE.format("LRN", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.6 k: 2 }"),
    ONE.format("ReLU", "relu_param { negative_slope: 0.1 }"),
    ONE.format("Softmax", ""),
    ONE.format("Softmax", "softmax_param { axis: -1 }"),
    ONE.format("Flatten", ""),
    ONE.format("Dropout", ""),
    ONE.format("Power", "power_param { scale: 0.017 }"),
    ONE.format("Power", "power_param { scale: 2 shift: -0.5 }"),
    TWO.format("Scale", "scale_param { axis: 0 }"),
    "layer { name: 'g' type: 'Pooling' bottom: 'data' top: 'g' pooling_param { pool: AVE global_pooling: true } } "
    "layer { name: 'f' type: 'Flatten' bottom: 'g' top: 'f' } "
    "layer { name: 'l' type: 'Scale' bottom: 'data' bottom: 'f' top: 'out' scale_param { axis: 0 } }",
    TWO.format("Eltwise", "eltwise_param { operation: SUM coeff: 2 coeff: -0.5 }"),
    TWO.format("Eltwise", "eltwise_param { operation: PROD }"),
    TWO.format("Eltwise", "eltwise_param { operation: MAX }"),
    TWO.format("Concat", ""),
    TWO.format("Concat", "concat_param { axis: -2 }"),
    "layer { name: 'b' type: 'BatchNorm' bottom: 'data' top: 'out' } "
    "layer { name: 's' type: 'Scale' bottom: 'out' top: 'out' } "
    "layer { name: 'r' type: 'ReLU' bottom: 'out' top: 'out' }",
    "layer { name: 'b' type: 'BatchNorm' bottom: 'data' top: 'b' } "  # read twice, so that no Scale may go into it
    "layer { name: 's' type: 'Scale' bottom: 'b' top: 's' } "
    "layer { name: 'e' type: 'Eltwise' bottom: 'b' bottom: 's' top: 'out' }",
]  # fmt: skip


@needs_caffe
@pytest.mark.parametrize("text", CASES, ids=lambda text: re.sub(r"\W+", " ", text.partition("type: ")[2])[:60])
def test_every_layer_is_caffes(caffe, tmp_path, text):
    net = parsed(text)
    shapes = {name: list(shape) for name, shape in Net(net, "TEST").shapes.items()}
    random = np.random.RandomState(5)
    blobs = {
        layer.name: [random.uniform(0.5, 1.5, tuple(blob.shape)).astype(np.float32) for blob in layer.blobs]
        for layer in Net(net, "TEST").layers
    }
    data = random.standard_normal((2, 3, 9, 9)).astype(np.float32)
    arrays = {f"weight:{name}:{n}": blob for name, of_layer in blobs.items() for n, blob in enumerate(of_layer)}
    written = text_format.MessageToString(net)
    expected = caffe.answer(written, "TEST", {**arrays, "blob:data": data})["blob:out"]
    graph = onnx_graph(net, shapes, lambda name: blobs.get(name, []), ["out"])
    model = onnx_model(graph, 9, {"out": shapes["out"][1:]}, "one layer", {})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"data": data})
    assert found.shape == expected.shape
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            POOL.format("pool: AVE kernel_size: 4 stride: 3 pad: 1"),
            "nor a mean over windows that fit",
        ),
        (POOL.format("pool: MAX kernel_size: 1 stride: 3"), "its last window lies beyond the image"),
        (ONE.format("BatchNorm", "batch_norm_param { use_global_stats: false }"), "uses the statistics of the batch"),
        (ONE.format("LRN", "lrn_param { norm_region: WITHIN_CHANNEL }"), "normalises within a channel"),
        (ONE.format("Scale", "scale_param { axis: 2 }"), "not a factor a channel"),
        (ONE.format("InnerProduct", "inner_product_param { num_output: 1 axis: 2 }"), "not of whole images"),
        (ONE.format("Flatten", "flatten_param { axis: 2 }"), "not all axes of an image"),
        (ONE.format("Power", "power_param { power: 2 }"), "a power other than 1"),
        (ONE.format("Bias", ""), "type Bias cannot be written as ONNX"),
    ],
)
def test_what_onnx_cannot_say_exactly_is_refused(text, words):
    net = parsed(text)
    built = Net(net, "TEST")
    shapes = {name: list(shape) for name, shape in built.shapes.items()}
    blobs = {layer.name: [blob.detach().numpy() for blob in layer.blobs] for layer in built.layers}
    with pytest.raises(InputError, match=words):
        onnx_graph(net, shapes, blobs.get, ["out"])


def test_a_scale_goes_by_the_name_of_its_batch_norm(tmp_path):
    net = parsed(
        "layer { name: 'b' type: 'BatchNorm' bottom: 'data' top: 'b' } "
        "layer { name: 's' type: 'Scale' bottom: 'b' top: 'b' } "
        "layer { name: 't' type: 'Scale' bottom: 'b' top: 'c' }"
    )
    blobs = {
        "b": [np.full(3, 4.0), np.full(3, 8.0), np.array([2.0])],
        "s": [np.ones(3), np.zeros(3)],
        "t": [np.ones(3)],
    }
    found = state_dict(net, lambda name: blobs.get(name, []))
    assert sorted(found) == ["b.bias", "b.running_mean", "b.running_var", "b.weight", "t.weight"]
    assert (found["b.running_mean"] == 2).all() and (found["b.running_var"] == 4).all()
    prelu = parsed("layer { name: 'p' type: 'PReLU' bottom: 'data' top: 'p' }")
    with pytest.raises(InputError, match="layer 'p': type PReLU has no counterpart"):
        state_dict(prelu, lambda name: [np.ones(3)] * (name == "p"))
