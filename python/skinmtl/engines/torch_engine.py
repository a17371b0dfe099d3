"""The Caffe-compatible engine on PyTorch: caffe_torch. Importing this module imports PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

import torch

from caffe_files.errors import InputError
from caffe_torch.devices import usable
from caffe_torch.errors import NetError
from caffe_torch.inference import Inference
from caffe_torch.net import Net
from skinmtl.common.memory import require_memory
from skinmtl.engines.open_net import OpenNet
from skinmtl.nets.allowed_layers import read_given_net
from skinmtl.nets.net_probe import NetShapes, without_data


class TorchNet(Inference, OpenNet):
    """A net of caffe_torch for inference, which has what an OpenNet has."""


def open_net(deploy: Path, weights: Path, gpu: int | None, precision: str, allowed: Sequence[str] = ()) -> TorchNet:
    """The net on its device."""
    return TorchNet(read_given_net(deploy, allowed), weights, device_of(gpu), precision)


def shapes_of(prototxt: Path, gpu: int | None, allowed: Sequence[str] = ()) -> NetShapes:
    """The net's shapes; its device is looked for too, so that a GPU that is not there is said before any work."""
    device_of(gpu)
    param = read_given_net(prototxt, allowed, reads_data=True)
    without_data(param, prototxt)
    try:
        with torch.device("meta"):  # shapes alone: no number is taken or drawn
            net = Net(param, "TEST")
    except NetError as error:
        reason = str(error)
        if not reason.endswith("; correct the net"):  # which a layer that both engines have says itself
            reason += "; correct the net, or use --engine caffe"
        raise InputError(f"{prototxt}: cannot be built: {reason}") from None
    params = {layer.name: [list(blob.shape) for blob in layer.blobs] for layer in net.layers if layer.blobs}
    shapes = NetShapes(params, {name: list(shape) for name, shape in net.shapes.items()})
    require_memory(str(prototxt), shapes.bytes)
    return shapes


def version() -> str:
    """PyTorch's."""
    return str(torch.__version__)


def device_of(gpu: int | None) -> str:
    """PyTorch's name of a GPU, or of the CPU (None). InputError where there is no such GPU."""
    return "cpu" if gpu is None else usable([gpu], f"--gpu {gpu}", "leave --gpu out")[0]
