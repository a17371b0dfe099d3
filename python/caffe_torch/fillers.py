"""Initial values of weights: the fillers of Caffe's filler.hpp.

The numbers are drawn from PyTorch's generator, so that a seed gives the same distribution as in Caffe, not the same
numbers.
"""

from __future__ import annotations

import math

import torch
from google.protobuf.message import Message
from torch import Tensor

from caffe_torch.errors import NetError


def fill(values: Tensor, filler: Message, layer: str) -> None:
    """Fills `values` in place. NetError where the filler is unknown."""
    maker = FILLERS.get(filler.type)
    if maker is None:
        raise NetError(f"layer {layer!r}: unknown filler {filler.type!r}; known are {', '.join(sorted(FILLERS))}")
    if not values.numel():
        return
    try:
        with torch.no_grad():
            maker(values, filler)
    except (RuntimeError, IndexError) as error:  # what a distribution, or a blob's axes, cannot be
        said = str(error).splitlines()[0]
        raise NetError(f"layer {layer!r}: filler {filler.type!r} cannot fill {tuple(values.shape)} ({said})") from None


def _constant(values: Tensor, filler: Message) -> None:
    values.fill_(filler.value)


def _uniform(values: Tensor, filler: Message) -> None:
    values.uniform_(filler.min, filler.max)


def _gaussian(values: Tensor, filler: Message) -> None:
    values.normal_(filler.mean, filler.std)
    if filler.sparse >= 0:  # so many inputs of each output are not zero, on the average
        outputs = values.shape[0]
        values.mul_(torch.bernoulli(torch.full_like(values, min(1.0, filler.sparse / outputs))))


def _positive_unitball(values: Tensor, filler: Message) -> None:
    values.uniform_(0, 1)
    rows = values.reshape(values.shape[0], -1)
    rows.div_(rows.sum(dim=1, keepdim=True))


def _xavier(values: Tensor, filler: Message) -> None:
    limit = math.sqrt(3 / _fan(values, filler))
    values.uniform_(-limit, limit)


def _msra(values: Tensor, filler: Message) -> None:
    values.normal_(0, math.sqrt(2 / _fan(values, filler)))


def _bilinear(values: Tensor, filler: Message) -> None:
    """Upsampling weights of a square kernel, the same for every pair of channels."""
    side = values.shape[-1]
    factor = math.ceil(side / 2)
    centre = (side - 1) / (2 * factor)
    ramp = 1 - (torch.arange(side, dtype=torch.float32) / factor - centre).abs()
    values.copy_(ramp[:, None] * ramp[None, :])


def _fan(values: Tensor, filler: Message) -> float:
    """Caffe counts a blob's numbers per first (fan in) or per second axis (fan out)."""
    fan_in = values.numel() / values.shape[0]
    fan_out = values.numel() / values.shape[1] if values.dim() > 1 else values.numel()
    kinds = {filler.FAN_IN: fan_in, filler.FAN_OUT: fan_out, filler.AVERAGE: (fan_in + fan_out) / 2}
    return kinds[filler.variance_norm]


FILLERS = {
    "constant": _constant,
    "uniform": _uniform,
    "gaussian": _gaussian,
    "positive_unitball": _positive_unitball,
    "xavier": _xavier,
    "msra": _msra,
    "bilinear": _bilinear,
}
