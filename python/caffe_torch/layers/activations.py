"""Layers that work on each number by itself, and Softmax."""

from __future__ import annotations

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
