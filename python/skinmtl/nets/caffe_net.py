"""A snapshot, checked and opened in pycaffe: what every forward pass starts from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Sequence

import numpy as np

from skinmtl.caffe_files.prototxt import read_net
from skinmtl.common.errors import InputError
from skinmtl.common.provenance import sha256
from skinmtl.nets.data_layers import data_layer
from skinmtl.nets.net_probe import NetShapes, net_shapes
from skinmtl.nets.weights import require_all_filled

MAKE_ANOTHER = "give a deploy.prototxt of make_prototxt.py"
LOG_LEVEL = "GLOG_minloglevel"  # of Caffe's log; 2: errors alone


@dataclass(frozen=True)
class Snapshot:
    """A deploy net, a caffemodel that fills every layer of it, and the GPU to run them on (None: the CPU)."""

    deploy: Path
    weights: Path
    shapes: NetShapes
    gpu: int | None

    @property
    def side(self) -> int:
        """Of the square input, in pixels."""
        return self.shapes.tops["data"][2]

    def open(self) -> Any:
        """The caffe.Net in its TEST phase."""
        caffe = pycaffe()
        if self.gpu is None:
            caffe.set_mode_cpu()
        else:
            caffe.set_mode_gpu()
            caffe.set_device(self.gpu)
        return caffe.Net(str(self.deploy), caffe.TEST, weights=str(self.weights))

    def record(self) -> dict[str, Any]:
        """What of the net and its weights decides the outputs, for the file that they are written to."""
        return {
            "net": read_net(self.deploy).name,
            "net_sha256": sha256(self.deploy),
            "weights": str(self.weights),
            "weights_sha256": sha256(self.weights),
            "engine": f"caffe {pycaffe().__version__}",
        }


def checked_snapshot(deploy: Path, weights: Path, gpu: int | None = None) -> Snapshot:
    """InputError unless Caffe can build the net, its input `data` is (N, 3, S, S), and the weights fill every layer."""
    if any(data_layer(layer, deploy) for layer in read_net(deploy).layer):
        raise InputError(f"{deploy}: reads its images from an LMDB; {MAKE_ANOTHER}")
    shapes = net_shapes(deploy, gpu)
    shape = shapes.tops.get("data", [])
    if len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3]:
        raise InputError(f"{deploy}: no square 3-channel input 'data'; {MAKE_ANOTHER}")
    require_all_filled(deploy, weights, shapes)
    return Snapshot(deploy, weights, shapes, gpu)


def mean_of(deploy: Path) -> tuple[float, ...]:
    """The mean (B, G, R) that the net was trained with, from the test.prototxt beside its deploy.prototxt."""
    read_net(deploy)  # where it is missing, that is what to say
    beside = deploy.with_name("test.prototxt")
    if beside.is_file():
        for layer in read_net(beside).layer:
            mean = tuple(layer.transform_param.mean_value)
            if mean:
                return mean if len(mean) == 3 else mean * 3
    raise InputError(f"{beside}: no mean_value to read there; give --mean B G R")


def forward(net: Any, batch: Sequence[np.ndarray], blobs: Sequence[str]) -> list[np.ndarray]:
    """One forward pass of a batch of N crops (3, S, S) float32, BGR less the mean; returns the blobs, (N, ...) each.

    They are the net's own memory: the next pass overwrites them. The net's input takes the batch's size.
    """
    data = net.blobs["data"]
    if data.shape[0] != len(batch):
        data.reshape(len(batch), *batch[0].shape)
    data.data[...] = batch
    net.forward()
    return [net.blobs[blob].data for blob in blobs]


def pycaffe() -> ModuleType:
    """pycaffe, quiet but for errors; imported here alone, since only a forward pass needs it.

    Its log reads the environment once, when it is loaded; programs that are started later are not to be quiet too.
    """
    unset = LOG_LEVEL not in os.environ
    if unset:
        os.environ[LOG_LEVEL] = "2"
    try:
        import caffe
    finally:
        if unset:
            del os.environ[LOG_LEVEL]
    return caffe
