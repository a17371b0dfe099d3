"""A snapshot, checked before an engine opens it: what every forward pass starts from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

import numpy as np

from caffe_files.errors import InputError
from caffe_files.prototxt import read_net
from skinmtl.common.provenance import sha256
from skinmtl.engines.engine import Engine
from skinmtl.engines.open_net import OpenNet
from skinmtl.nets.data_layers import data_layer
from skinmtl.nets.net_probe import NetShapes
from skinmtl.nets.net_record import NET_FILE, read_net_record
from skinmtl.nets.weights import require_all_filled

SHORT_SIDE = 256  # of the test images, as make_lmdb.py stores them where nothing else is said
OUTPUTS = ("lesion_prob", "location_prob")
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
    """InputError unless the engine can build the net, its input `data` is (N, 3, S, S), those of the OUTPUTS that it
    has are (N, labels), and the weights fill every layer."""
    if any(data_layer(layer, deploy) for layer in read_net(deploy).layer):
        raise InputError(f"{deploy}: reads its images from an LMDB; {MAKE_ANOTHER}")
    shapes = engine.shapes(deploy)
    shape = shapes.tops.get("data", [])
    if len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3]:
        raise InputError(f"{deploy}: no square 3-channel input 'data'; {MAKE_ANOTHER}")
    for name in OUTPUTS:
        if len(shapes.tops.get(name, shape)) < 2 or shapes.tops.get(name, shape)[0] != shape[0]:
            raise InputError(f"{deploy}: {name} has no value for each image and label; {MAKE_ANOTHER}")
    require_all_filled(deploy, weights, shapes)
    return Snapshot(deploy, weights, shapes, engine)


def mean_of(deploy: Path) -> tuple[float, ...]:
    """The mean (B, G, R) that the net was trained with, from net.json or test.prototxt beside its deploy.prototxt."""
    read_net(deploy)  # where it is missing, that is what to say
    known = read_net_record(deploy.parent)
    beside = deploy.with_name("test.prototxt")
    trained = _mean_of_test_net(beside)
    if known is None:
        if trained is None:
            raise InputError(f"{beside}: no mean_value to read there; give --mean B G R")
        return trained
    mean = tuple(float(np.float32(value)) for value in known.mean)  # as a prototxt holds it
    if trained not in (None, mean):
        raise InputError(
            f"{beside}: its mean_value is not the mean in {deploy.with_name(NET_FILE)}; run make_prototxt.py again, or "
            "give --mean B G R"
        )
    return mean


def _mean_of_test_net(path: Path) -> tuple[float, ...] | None:
    if path.is_file():
        for layer in read_net(path).layer:
            mean = tuple(layer.transform_param.mean_value)
            if mean:
                return mean if len(mean) == 3 else mean * 3
    return None


def short_side_of(deploy: Path) -> int:
    """The shorter side of the test images that the net was made for, from net.json; the paper's where nothing says."""
    known = read_net_record(deploy.parent)
    return (known and known.short_side) or SHORT_SIDE


def not_said_by_net(deploy: Path) -> str:
    """Which short side is taken where no net.json says one, in a line; nothing where one does."""
    known = read_net_record(deploy.parent)
    if known and known.short_side:
        return ""
    what = "says no short side" if known else "is missing"
    return f"{deploy.with_name(NET_FILE)}: {what}; {SHORT_SIDE} pixels are taken, as in the paper"


def differences_from_net(deploy: Path, short_side: int | None, mean: Sequence[float] | None) -> list[str]:
    """What the user gives otherwise than net.json beside `deploy` has it, a line each."""
    known = read_net_record(deploy.parent)
    if known is None:
        return []
    lines = []
    if short_side is not None and known.short_side not in (None, short_side):
        lines.append(f"--short-side {short_side} where the net was made for {known.short_side}")
    if mean is not None and not np.allclose(mean, known.mean, rtol=1e-6):
        given, made_for = (" ".join(f"{value:.7g}" for value in values) for values in (mean, known.mean))
        lines.append(f"--mean {given} where the net was made for {made_for}")
    return [f"{line} ({deploy.with_name(NET_FILE)}); leave the flag out unless you want that" for line in lines]
