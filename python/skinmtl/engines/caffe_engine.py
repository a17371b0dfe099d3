"""BVLC Caffe as an engine, through pycaffe."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Sequence

import numpy as np
from google.protobuf.message import Message

from caffe_files.errors import InputError
from skinmtl.engines.open_net import Inputs, OpenNet
from skinmtl.nets.allowed_layers import read_given_net
from skinmtl.nets.net_probe import NO_PYCAFFE, NetShapes, net_shapes
from skinmtl.nets.text_of_net import as_file, without_drawing

LOG_LEVEL = "GLOG_minloglevel"  # of Caffe's log; 2: errors alone


class CaffeNet(OpenNet):
    """A caffe.Net; what the forward passes return is its own memory."""

    def __init__(self, net: Message, weights: Path, gpu: int | None) -> None:
        caffe = pycaffe_on(gpu)
        with as_file(net) as path:
            self._net = caffe.Net(path, caffe.TEST, weights=str(weights))

    def forward(self, inputs: Inputs, blobs: Sequence[str], any_size: bool = False) -> list[np.ndarray]:
        for name, batch in inputs.items():
            self._set(name, batch)
        self._net._forward(0, max(map(self._last_layer, blobs)))  # each layer takes its bottoms' new shapes by itself
        return [self._net.blobs[blob].data for blob in blobs]

    def gradients(
        self, inputs: Inputs, blob: str, output: str, directions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        self.forward(inputs, [output])
        found, last, top = [], self._last_layer(blob), self._net.blobs[output]
        above = [name for layer in list(self._net.top_names)[last + 1 :] for name in self._net.top_names[layer]]
        for direction in directions:
            for name in above:  # what stands in branches that do not lead to the output is to add nothing
                if name != blob:
                    self._net.blobs[name].diff[...] = 0
            top.diff[...] = direction.reshape(top.diff.shape)
            self._net._backward(self._last_layer(output), last + 1)
            found.append(self._net.blobs[blob].diff.copy())
        return self._net.blobs[blob].data, np.stack(found)

    def _set(self, name: str, batch: Sequence[np.ndarray] | np.ndarray) -> None:
        blob = self._net.blobs[name]
        if tuple(blob.shape) != (len(batch), *batch[0].shape):
            blob.reshape(len(batch), *batch[0].shape)
        blob.data[...] = batch

    def _last_layer(self, blob: str) -> int:
        """The place of the last layer that writes a blob: layers that work in place follow the one that makes it."""
        return max(place for place, tops in enumerate(self._net.top_names.values()) if blob in tops)

    def parameters(self, layer: str) -> list[np.ndarray]:
        return [blob.data for blob in self._net.params[layer]]


def open_net(deploy: Path, weights: Path, gpu: int | None, precision: str, allowed: Sequence[str] = ()) -> CaffeNet:
    """The net, which Caffe is known to build: it ends the process where it cannot. It computes in fp32 alone."""
    net = read_given_net(deploy, allowed)
    without_drawing(net)  # the weights are known to fill every layer
    net.force_backward = True  # in TEST, without a loss, no layer would have gradients; none is computed unasked
    return CaffeNet(net, weights, gpu)


def shapes_of(prototxt: Path, gpu: int | None, allowed: Sequence[str] = ()) -> NetShapes:
    """The net's shapes, found in a process of its own."""
    return net_shapes(prototxt, gpu, allowed)


def version() -> str:
    """Caffe's."""
    return pycaffe().__version__


def pycaffe_on(gpu: int | None) -> ModuleType:
    """pycaffe, set to run on a GPU or on the CPU (None)."""
    caffe = pycaffe()
    if gpu is None:
        caffe.set_mode_cpu()
    else:
        caffe.set_mode_gpu()
        caffe.set_device(gpu)
    return caffe


def pycaffe() -> ModuleType:
    """pycaffe, quiet but for errors; imported here alone, since only this engine needs it. InputError without it.

    Its log reads the environment once, when it is loaded; programs that are started later are not to be quiet too.
    """
    unset = LOG_LEVEL not in os.environ
    if unset:
        os.environ[LOG_LEVEL] = "2"
    try:
        import caffe
    except ModuleNotFoundError as error:
        if error.name != "caffe":
            raise
        raise InputError(NO_PYCAFFE) from None
    finally:
        if unset:
            del os.environ[LOG_LEVEL]
    return caffe
