"""A snapshot, checked before an engine opens it: what every forward pass starts from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caffe_files.errors import InputError
from caffe_files.prototxt import read_net
from skinmtl.common.provenance import sha256
from skinmtl.engines.engine import Engine
from skinmtl.engines.open_net import OpenNet
from skinmtl.nets.data_layers import data_layer
from skinmtl.nets.net_probe import NetShapes
from skinmtl.nets.weights import require_all_filled

MAKE_ANOTHER = "give a deploy.prototxt of make_prototxt.py"


@dataclass(frozen=True)
class Snapshot:
    """A deploy net, a caffemodel that fills every layer of it, and the engine to run them."""

    deploy: Path
    weights: Path
    shapes: NetShapes
    engine: Engine

    @property
    def side(self) -> int:
        """Of the square input, in pixels."""
        return self.shapes.tops["data"][2]

    def open(self) -> OpenNet:
        """The net, ready to run."""
        return self.engine.open(self.deploy, self.weights)

    def record(self) -> dict[str, Any]:
        """What of the net, its weights and the engine decides the outputs, for the file that they are written to."""
        return {
            "net": read_net(self.deploy).name,
            "net_sha256": sha256(self.deploy),
            "weights": str(self.weights),
            "weights_sha256": sha256(self.weights),
            **self.engine.record(),
        }


def checked_snapshot(deploy: Path, weights: Path, engine: Engine) -> Snapshot:
    """InputError unless the engine can build the net, its input `data` is (N, 3, S, S), and the weights fill every
    layer."""
    if any(data_layer(layer, deploy) for layer in read_net(deploy).layer):
        raise InputError(f"{deploy}: reads its images from an LMDB; {MAKE_ANOTHER}")
    shapes = engine.shapes(deploy)
    shape = shapes.tops.get("data", [])
    if len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3]:
        raise InputError(f"{deploy}: no square 3-channel input 'data'; {MAKE_ANOTHER}")
    require_all_filled(deploy, weights, shapes)
    return Snapshot(deploy, weights, shapes, engine)


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
