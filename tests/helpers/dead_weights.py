"""Weights of a mask net whose proposals are dead."""

from __future__ import annotations

from caffe_files.prototxt import read_caffemodel

DEAD = -1e6  # of the shared convolution's biases: its ReLU gives zeros whatever the image


def kill_proposals(weights, to):
    """A copy of a caffemodel, at `to`, in which every layer that shares the proposals' convolution gets such biases."""
    stored = read_caffemodel(weights)
    layers = [layer for layer in stored.layer if layer.name.startswith("rpn_conv_") and layer.blobs]
    assert layers
    for layer in layers:
        del layer.blobs[1].data[:]
        count = layer.blobs[1].shape.dim[0]
        layer.blobs[1].data.extend([DEAD] * count)
    to.write_bytes(stored.SerializeToString())
    return to
