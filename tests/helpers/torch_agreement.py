"""Holds one layer of caffe_torch against BVLC Caffe: tops, gradients of bottoms, gradients of weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from caffe_reference import PYTHON
from google.protobuf import text_format
from hypothesis import settings
from hypothesis import strategies as st

from caffe_files.schema import caffe_messages
from caffe_torch.net import Net

NEEDS_CAFFE = pytest.mark.skipif(not PYTHON.exists(), reason="BVLC Caffe is not here: make caffe")
EXAMPLES = settings(max_examples=40, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**16)


def net_of(text, phase="TEST"):
    net = caffe_messages().NetParameter()
    text_format.Parse(text, net)
    return Net(net, phase)


def with_inputs(layer, shapes):
    """A net of one layer on Inputs a, b, ..., through which gradients flow."""
    lines = ["force_backward: true"]
    for name, shape in shapes.items():
        dims = " ".join(f"dim: {side}" for side in shape)
        lines.append(f"layer {{ name: '{name}' type: 'Input' top: '{name}' input_param {{ shape {{ {dims} }} }} }}")
    bottoms = " ".join(f"bottom: '{name}'" for name in shapes)
    return "\n".join([*lines, f"layer {{ name: 'layer' {bottoms} {layer} }}"])


def agree(caffe, layer, inputs, phase="TEST", seed=1, differentiable=None, tolerance=1e-4):
    """Tops, gradients of the inputs that are differentiable (default: all), and of the weights, are Caffe's."""
    random = np.random.RandomState(seed)
    text = with_inputs(layer, {name: values.shape for name, values in inputs.items()})
    net = net_of(text, phase)
    target = net.layer("layer")
    arrays = {f"blob:{name}": values for name, values in inputs.items()}
    with torch.no_grad():
        for number, blob in enumerate(target.blobs):
            blob.copy_(torch.from_numpy(random.standard_normal(tuple(blob.shape)).astype(np.float32)))
            if target.param.type == "BatchNorm":
                blob.abs_().add_(0.5)
            arrays[f"weight:layer:{number}"] = blob.detach().numpy().copy()
    differentiable = list(inputs) if differentiable is None else differentiable
    given = {name: torch.from_numpy(values).requires_grad_(name in differentiable) for name, values in inputs.items()}
    blobs = net(given)
    tops = [name for name in target.param.top]
    if target.is_loss:
        (net.loss(blobs)).backward()
        arrays["gradient:" + tops[0]] = np.array([w for _, w in net.loss_weights][:1], np.float32).reshape(())
    elif differentiable:
        outer = {name: random.standard_normal(tuple(blobs[name].shape)).astype(np.float32) for name in tops}
        arrays.update((f"gradient:{name}", values) for name, values in outer.items())
        total = sum((blobs[name] * torch.from_numpy(values)).sum() for name, values in outer.items())
        if total.requires_grad:  # not where a top is the same whatever the bottom
            total.backward()
    expected = caffe.answer(text, phase, arrays)
    for name in tops:
        close(blobs[name], expected[f"blob:{name}"], name, tolerance)
    for name in differentiable:
        gradient = given[name].grad
        close(
            torch.zeros_like(given[name]) if gradient is None else gradient,
            expected[f"gradient:{name}"],
            name,
            tolerance,
        )
    for number, blob in enumerate(target.blobs):
        if blob.requires_grad:
            close(blob.grad, expected[f"weight_gradient:layer:{number}"], f"blob {number}", tolerance)
        else:
            close(blob, expected[f"weight:layer:{number}"], f"blob {number}", tolerance)


def close(found, expected, what, tolerance):
    found = found.detach().numpy()
    assert found.shape == expected.shape, what
    scale = max(1e-3, float(np.abs(expected[np.isfinite(expected)]).max(initial=0)))
    assert np.allclose(found, expected, rtol=tolerance, atol=tolerance * min(scale, 1e3), equal_nan=True), what


def normal(seed, *shape):
    return np.random.RandomState(seed).standard_normal(shape).astype(np.float32)
