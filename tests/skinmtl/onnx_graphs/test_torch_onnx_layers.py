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
from skinmtl.onnx_graphs.model import onnx_graph, onnx_model, unchecked_model
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
    TWO.format("Concat", "concat_param { concat_dim: 3 }"),
    "layer { name: 'b' type: 'BatchNorm' bottom: 'data' top: 'out' } "
    "layer { name: 's' type: 'Scale' bottom: 'out' top: 'out' } "
    "layer { name: 'r' type: 'ReLU' bottom: 'out' top: 'out' }",
    "layer { name: 'b' type: 'BatchNorm' bottom: 'data' top: 'b' } "  # read twice, so that no Scale may go into it
    "layer { name: 's' type: 'Scale' bottom: 'b' top: 's' } "
    "layer { name: 'e' type: 'Eltwise' bottom: 'b' bottom: 's' top: 'out' }",
]  # fmt: skip


# of these a larger input gives more of the same
OF_ANY_SIZE = [text for text in CASES if not re.search("InnerProduct|Flatten|pad: 2|AVE.* pad: 1", text)]
OF_ANY_SIZE.append(POOL.format("pool: AVE kernel_size: 3 stride: 2 pad: 1 round_mode: FLOOR"))


def of_layers(text):
    return re.sub(r"\W+", " ", text.partition("type: ")[2])[:60]


class Layers:
    """Layers with drawn weights, for an input of 9 x 9."""

    def __init__(self, text):
        self.net = parsed(text)
        built, self.random = Net(self.net, "TEST"), np.random.RandomState(5)
        self.shapes = {name: list(shape) for name, shape in built.shapes.items()}
        self.blobs = {
            layer.name: [self.random.uniform(0.5, 1.5, tuple(blob.shape)).astype(np.float32) for blob in layer.blobs]
            for layer in built.layers
        }

    def data(self, height, width):
        return self.random.standard_normal((2, 3, height, width)).astype(np.float32)

    def caffes(self, caffe, data):
        """The blob `out` in pycaffe."""
        weights = ((name, n, blob) for name, blobs in self.blobs.items() for n, blob in enumerate(blobs))
        arrays = {"blob:data": data, **{f"weight:{name}:{n}": blob for name, n, blob in weights}}
        net = parsed("")
        net.CopyFrom(self.net)
        net.layer[0].input_param.shape[0].dim[:] = data.shape
        return caffe.answer(text_format.MessageToString(net), "TEST", arrays)["blob:out"]

    def graph(self, **how):
        return onnx_graph(self.net, self.shapes, lambda name: self.blobs.get(name, []), ["out"], **how)


def onnxruntimes(model, data):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"data": data})[0]


@needs_caffe
@pytest.mark.parametrize("text", CASES, ids=of_layers)
def test_every_layer_is_caffes(caffe, text):
    layers = Layers(text)
    data = layers.data(9, 9)
    expected = layers.caffes(caffe, data)
    found = onnxruntimes(onnx_model(layers.graph(), 9, {"out": layers.shapes["out"][1:]}, "one layer", {}), data)
    assert found.shape == expected.shape
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-5)


@needs_caffe
@pytest.mark.parametrize("text", OF_ANY_SIZE, ids=of_layers)
def test_a_graph_for_any_size_is_caffes_at_each(caffe, text):
    layers = Layers(text)
    model = unchecked_model(layers.graph(any_size=True), {"data": ["N", 3, "H", "W"]}, {"out": None}, "any size")
    for size in ((9, 9), (10, 13), (12, 11)):
        data = layers.data(*size)
        found, expected = onnxruntimes(model, data), layers.caffes(caffe, data)
        assert found.shape == expected.shape
        assert np.allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "how", ["pool: AVE kernel_size: 3 stride: 2 pad: 1", "pool: MAX kernel_size: 2 stride: 2 pad: 1"]
)
def test_windows_that_hang_on_the_size_are_refused_at_any(how):
    layers = Layers(POOL.format(how))
    with pytest.raises(InputError, match=r"layer 'p' \(Pooling\): .* cannot be written as ONNX"):
        layers.graph(any_size=True)


def test_two_layers_of_one_name_are_refused():
    """Nodes and constants go by the name."""
    layers = Layers(
        "layer { name: 's' type: 'Scale' bottom: 'data' top: 'a' } "
        "layer { name: 's' type: 'Scale' bottom: 'a' top: 'out' }"
    )
    with pytest.raises(InputError, match="2 layers are named 's'"):
        layers.graph()


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
