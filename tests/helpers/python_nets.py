"""Nets of a few lines with layers of our own, for real Caffe: inputs by their shapes, and what a layer is told."""

from __future__ import annotations

import json

import numpy as np


def input_layer(name, shape):
    return f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ {axes(shape)} }} }}\n'


def constant_layer(name, shape, value=0.0):
    held = f'{axes(shape)} data_filler {{ type: "constant" value: {value} }}'
    return f'layer {{ name: "{name}" type: "DummyData" top: "{name}" dummy_data_param {{ {held} }} }}\n'


def axes(shape):
    return f"shape {{ {' '.join(f'dim: {size}' for size in shape)} }}"


def python_layer(kind, bottoms, tops, loss_weight=None, **settings):
    """Bottoms and tops are names parted by spaces."""
    blobs = " ".join([*(f'bottom: "{name}"' for name in bottoms.split()), *(f'top: "{name}"' for name in tops.split())])
    weight = "" if loss_weight is None else f"loss_weight: {loss_weight}"
    told = f'module: "skinmtl.layers" layer: "{kind}" param_str: \'{json.dumps(settings)}\''
    return f'layer {{ name: "{kind} of {tops}" type: "Python" {blobs} {weight} python_param {{ {told} }} }}\n'


def net_of(folder, text, phase="TRAIN", backward=True):
    """The net in real Caffe; with `backward` gradients are computed down to the inputs."""
    import caffe

    path = folder / "net.prototxt"
    path.write_text(("force_backward: true\n" if backward else "") + text)
    return caffe.Net(str(path), getattr(caffe, phase))


def fill(net, **arrays):
    for name, array in arrays.items():
        net.blobs[name].data[...] = array


def forget_gradients(net):
    """So that a gradient that nobody writes is seen. That of a loss stays: it is the loss_weight."""
    for blob in net.blobs.values():
        if blob.count > 1:
            blob.diff[...] = np.nan
