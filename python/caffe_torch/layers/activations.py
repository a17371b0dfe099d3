"""Layers that work on each number by itself, and Softmax."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_torch.layers.layer import Layer, Shape


class _Plain(Layer):
    takes = gives = (1, 1)


class ReLU(_Plain):
    """The positive part, and `negative_slope` times the negative."""

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        slope = self.param.relu_param.negative_slope
        return (F.leaky_relu(bottom, slope) if slope else F.relu(bottom),)


class Sigmoid(_Plain):
    """1 / (1 + e^-x)."""

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        return (torch.sigmoid(bottom),)


class AbsVal(_Plain):
    """|x|; its gradient at 0 is 0."""

    works_in_place = False

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        return (bottom.abs(),)


class Power(_Plain):
    """(shift + scale x)^power (BVLC: power_layer.cpp)."""

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        settings = self.param.power_param
        if settings.power * settings.scale == 0:  # the same number everywhere, also where x is not finite
            return (torch.full_like(bottom, settings.shift) ** settings.power,)
        top = bottom * settings.scale + settings.shift
        return (top if settings.power == 1 else top**settings.power,)


class Dropout(_Plain):
    """In TRAIN a number becomes 0 with the given chance, and the others grow so that the mean stays."""

    def set_up(self, bottoms: list[Shape]) -> None:
        ratio = self.param.dropout_param.dropout_ratio
        if not 0 <= ratio < 1:
            raise self.refuse(f"dropout_ratio {ratio:g}; it must be at least 0 and below 1")

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        return (F.dropout(bottom, self.param.dropout_param.dropout_ratio, self.phase == "TRAIN"),)


class Softmax(_Plain):
    """Over one axis."""

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        return (torch.softmax(bottom, self.axis(self.param.softmax_param.axis, bottom.dim())),)


class PReLU(_Plain):
    """The positive part, and a learned slope times the negative: a slope for each channel, or one with
    `channel_shared` (a blob without axes)."""

    def set_up(self, bottoms: list[Shape]) -> None:
        if not 2 <= len(bottoms[0]) <= 4:
            raise self.refuse(f"works on N x C and up to two axes more, not on {tuple(bottoms[0])}")
        settings = self.param.prelu_param
        filler = settings.filler if settings.HasField("filler") else type(settings.filler)(value=0.25)
        self.add_blob(() if settings.channel_shared else (bottoms[0][1],), filler)

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        return (F.prelu(bottom, self.blob0.reshape(-1)),)


class TanH(_Plain):
    """The hyperbolic tangent."""

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        return (torch.tanh(bottom),)


class ELU(_Plain):
    """x, and below 0 alpha (e^x - 1)."""

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        below = self.param.elu_param.alpha * torch.expm1(bottom.clamp(max=0))
        return (torch.where(bottom > 0, bottom, below),)


class BNLL(_Plain):
    """log(1 + e^x)."""

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        return (F.softplus(bottom),)


LARGEST_POWER = 709  # of e, that Python's floats have; Caffe's are infinite long before


class Exp(_Plain):
    """base^(shift + scale x); the base is e where it is -1 (BVLC: exp_layer.cpp)."""

    def set_up(self, bottoms: list[Shape]) -> None:
        self.log_base = _logarithm(self, self.param.exp_param.base)

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        settings = self.param.exp_param
        top = torch.exp(bottom * (self.log_base * settings.scale))
        power = self.log_base * settings.shift
        factor = math.inf if power > LARGEST_POWER else math.exp(power)
        return (top * factor if settings.shift else top,)


class Log(_Plain):
    """The logarithm of shift + scale x to a base, e where it is -1 (BVLC: log_layer.cpp)."""

    def set_up(self, bottoms: list[Shape]) -> None:
        self.log_base = _logarithm(self, self.param.log_param.base)
        if self.log_base == 0:
            raise self.refuse("base 1 has no logarithms")

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        settings = self.param.log_param
        return (torch.log(bottom * settings.scale + settings.shift) / self.log_base,)


class Threshold(_Plain):
    """1 where a number is above the threshold, else 0; without a gradient, as in Caffe."""

    @torch.no_grad()
    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        return ((bottom > self.param.threshold_param.threshold).to(bottom.dtype),)


def _logarithm(layer: Layer, base: float) -> float:
    if base != -1 and not 0 < base < math.inf:
        raise layer.refuse(f"base {base:g}; it must be above 0, or -1 for e")
    return 1.0 if base == -1 else math.log(base)
