"""How layers of caffe_torch hang together, against BVLC Caffe: every blob, and the gradients of weights and inputs."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from torch_agreement import NEEDS_CAFFE, close, normal

from caffe_files.prototxt import read_net
from caffe_torch.net import Net

pytestmark = [pytest.mark.torch, NEEDS_CAFFE]
DATA = "layer { name: 'data' type: 'Input' top: 'data' input_param { shape { dim: 3 dim: 4 dim: 2 dim: 2 } } }"
LABEL = "layer { name: 'label' type: 'Input' top: 'label' input_param { shape { dim: 3 } } }"
LOSS = "layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'fc' bottom: 'label' top: 'loss' }"


def fc(name, bottom, more="", outputs=4):
    return (
        f"layer {{ name: '{name}' type: 'InnerProduct' bottom: '{bottom}' top: '{name}' "
        f"inner_product_param {{ num_output: {outputs} }} {more} }}"
    )


NETS = {
    "in place": [
        "layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv' convolution_param { num_output: 4 "
        "kernel_size: 1 } }",
        "layer { name: 'bn' type: 'BatchNorm' bottom: 'conv' top: 'conv' }",
        "layer { name: 'scale' type: 'Scale' bottom: 'conv' top: 'conv' scale_param { bias_term: true } }",
        "layer { name: 'relu' type: 'ReLU' bottom: 'conv' top: 'conv' relu_param { negative_slope: 0.2 } }",
        "layer { name: 'power' type: 'Power' bottom: 'conv' top: 'power' power_param { scale: 3 shift: 1 } }",
        "layer { name: 'bias' type: 'Bias' bottom: 'power' top: 'power' }",
        "layer { name: 'again' type: 'Scale' bottom: 'power' top: 'power' scale_param { axis: 2 } }",
        "layer { name: 'sigmoid' type: 'Sigmoid' bottom: 'power' top: 'power' }",
        fc("fc", "power"),
        "layer { name: 'softmax' type: 'Softmax' bottom: 'fc' top: 'fc' }",
        fc("more", "fc"),
        LOSS.replace("'fc'", "'more'"),
    ],
    "a blob with several readers": [
        fc("one", "data"),
        "layer { name: 'relu' type: 'ReLU' bottom: 'one' top: 'one' }",
        fc("two", "one"),
        "layer { name: 'sum' type: 'Eltwise' bottom: 'one' bottom: 'two' bottom: 'one' top: 'sum' }",
        "layer { name: 'cat' type: 'Concat' bottom: 'sum' bottom: 'one' bottom: 'sum' top: 'cat' }",
        fc("fc", "cat"),
        LOSS,
    ],
    "shared weights": [
        fc("one", "data", "param { name: 'w' } param { name: 'b' lr_mult: 2 }"),
        fc("two", "one", "param { name: 'w two' } param { name: 'b' }"),
        fc("three", "two", "param { name: 'w two' }"),
        fc("fc", "data", "param { name: 'w' } param { name: 'b' }"),
        "layer { name: 'sum' type: 'Eltwise' bottom: 'three' bottom: 'fc' top: 'sum' }",
        LOSS.replace("'fc'", "'sum'"),
    ],
    "gradients held back": [
        fc("one", "data"),
        fc("two", "one", "propagate_down: false"),
        fc("side", "one"),
        "layer { name: 'sum' type: 'Eltwise' bottom: 'two' bottom: 'side' top: 'sum' propagate_down: false "
        "propagate_down: true }",
        fc("fc", "sum"),
        LOSS,
    ],
    "losses of several layers": [
        fc("one", "data", "loss_weight: 0.5"),
        "layer { name: 'slice' type: 'Slice' bottom: 'one' top: 'a' top: 'b' loss_weight: 0 loss_weight: -2 }",
        "layer { name: 'quiet' type: 'Silence' bottom: 'a' }",
        fc("fc", "b"),
        "layer { name: 'abs' type: 'AbsVal' bottom: 'fc' top: 'abs' loss_weight: 0.1 }",
        LOSS.replace("top: 'loss'", "top: 'loss' loss_weight: 3"),
    ],
    "two losses of a blob": [
        fc("fc", "data"),
        LOSS,
        "layer { name: 'targets' type: 'Input' top: 'targets' input_param { shape { dim: 3 dim: 4 } } }",
        "layer { name: 'second' type: 'SigmoidCrossEntropyLoss' bottom: 'fc' bottom: 'targets' top: 'second' "
        "loss_weight: 0.7 }",
    ],
    "a batch norm whose top is read twice": [
        "layer { name: 'bn' type: 'BatchNorm' bottom: 'data' top: 'bn' }",
        "layer { name: 'scale' type: 'Scale' bottom: 'bn' top: 'scaled' }",
        "layer { name: 'sum' type: 'Eltwise' bottom: 'bn' bottom: 'scaled' top: 'sum' }",
        fc("fc", "sum"),
        LOSS,
    ],
    "a batch norm of before its params were fixed": [
        "layer { name: 'bn' type: 'BatchNorm' bottom: 'data' top: 'bn' param { lr_mult: 1 } param { name: 'x' } "
        "param { lr_mult: 0 } }",
        fc("fc", "bn"),
        LOSS,
    ],
}


# Caffe's in-place layers are right only where what comes after them leaves them the numbers that they need
@pytest.mark.parametrize("forced", [True, False])
@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
@pytest.mark.parametrize("name", NETS)
def test_a_net_is_caffes(caffe, tmp_path, name, phase, forced):
    """`force_backward` also makes gradients flow where propagate_down holds them back."""
    text = "\n".join([f"force_backward: {str(forced).lower()}", DATA, LABEL, *NETS[name]])
    (tmp_path / "net.prototxt").write_text(text)
    net = Net(read_net(tmp_path / "net.prototxt", strict=True), phase)
    random = np.random.RandomState(3)
    arrays = {"blob:data": normal(1, 3, 4, 2, 2), "blob:label": np.array([0, 3, 1], np.float32)}
    if "targets" in net.shapes:
        arrays["blob:targets"] = random.randint(0, 2, (3, 4)).astype(np.float32)
    with torch.no_grad():
        for layer in net.layers:
            for number, blob in enumerate(layer.blobs):
                blob.copy_(torch.from_numpy(random.standard_normal(tuple(blob.shape)).astype(np.float32)))
                if layer.param.type == "BatchNorm":
                    blob.abs_().add_(0.5)
                arrays[f"weight:{layer.name}:{number}"] = blob.detach().numpy().copy()
    given = {key[5:]: torch.from_numpy(values) for key, values in arrays.items() if key.startswith("blob:")}
    given["data"].requires_grad_(True)
    blobs = net(given)
    net.loss(blobs).backward()
    loss = next(top for top, weight in net.loss_weights if net.shapes[top] == ())
    arrays[f"gradient:{loss}"] = np.float32(dict(net.loss_weights)[loss])
    expected = caffe.answer(text, phase, arrays)
    for top, values in blobs.items():
        close(values, expected[f"blob:{top}"], top, 1e-4)
    if forced:  # else Caffe has no need of it
        close(given["data"].grad, expected["gradient:data"], "data", 1e-4)
    for learned in net.learned:
        if learned.lr_mult:
            parameter = net.parameter(learned)
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            what = (learned.layer, learned.blob)
            close(gradient, expected["weight_gradient:{}:{}".format(*what)], what, 1e-4)
    for layer in net.layers:  # a BatchNorm's statistics
        for number, blob in enumerate(layer.blobs):
            close(blob, expected[f"weight:{layer.name}:{number}"], (layer.name, number), 1e-4)
