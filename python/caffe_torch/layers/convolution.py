"""Layers that multiply by learned weights: Convolution, Deconvolution, InnerProduct."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from caffe_torch.layers.layer import Layer, Shape


class _Spatial(Layer):
    """What Convolution and Deconvolution share (BVLC: base_conv_layer.cpp). Two spatial axes; bottoms N x C x H x W."""

    def set_up(self, bottoms: list[Shape]) -> None:
        self.expect(bottoms, 1)
        settings = self.param.convolution_param
        if len(bottoms[0]) != 4 or settings.axis not in (1, -3):
            raise self.refuse(f"works on N x C x H x W alone, not on {tuple(bottoms[0])} with axis {settings.axis}")
        self.kernel = self._pair("kernel", settings.kernel_size, None)
        self.stride = self._pair("stride", settings.stride, 1)
        self.pad = self._pair("pad", settings.pad, 0)
        self.dilation = self._pair("dilation", settings.dilation, 1)
        self.group = settings.group
        channels = bottoms[0][1]
        if self.group < 1 or channels % self.group or settings.num_output % self.group or not settings.num_output:
            raise self.refuse(f"{channels} channels and {settings.num_output} outputs in {self.group} groups")
        self.add_blob(self.weight_shape(channels), settings.weight_filler)
        if settings.bias_term:
            self.add_blob([settings.num_output], settings.bias_filler)

    def weight_shape(self, channels: int) -> Shape:
        raise self.refuse("has no weights")

    def _pair(self, name: str, values: object, default: int | None) -> tuple[int, int]:
        settings = self.param.convolution_param
        if name != "dilation" and (settings.HasField(f"{name}_h") or settings.HasField(f"{name}_w")):
            if len(values):
                raise self.refuse(f"{name} is given twice")
            pair = (getattr(settings, f"{name}_h"), getattr(settings, f"{name}_w"))
        elif len(values) in (1, 2):
            pair = (values[0], values[-1])
        elif not len(values) and default is not None:
            pair = (default, default)
        else:
            raise self.refuse(f"{len(values)} values of {name} for two spatial axes")
        if name != "pad" and min(pair) < 1:
            raise self.refuse(f"{name} {pair[0]} x {pair[1]}")
        return pair

    @property
    def bias(self) -> Tensor | None:
        return self.blob1 if self.param.convolution_param.bias_term else None


class Convolution(_Spatial):
    """Weights: num_output x C/group x kernel_h x kernel_w."""

    def weight_shape(self, channels: int) -> Shape:
        return (self.param.convolution_param.num_output, channels // self.group, *self.kernel)

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        return (self.multiplied(bottom, self.blob0, self.bias),)

    def multiplied(self, bottom: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The top with weights like the layer's."""
        return F.conv2d(bottom, weight, bias, self.stride, self.pad, self.dilation, self.group)


class Deconvolution(_Spatial):
    """Convolution backwards. Weights: C x num_output/group x kernel_h x kernel_w."""

    def weight_shape(self, channels: int) -> Shape:
        return (channels, self.param.convolution_param.num_output // self.group, *self.kernel)

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        settings = (self.stride, self.pad, 0, self.group, self.dilation)
        return (F.conv_transpose2d(bottom, self.blob0, self.bias, *settings),)


class InnerProduct(Layer):
    """All axes from `axis` on are one vector. Weights: num_output x K, or K x num_output with `transpose`."""

    def set_up(self, bottoms: list[Shape]) -> None:
        self.expect(bottoms, 1)
        settings = self.param.inner_product_param
        self.first = self.axis(settings.axis, len(bottoms[0]))
        inputs = math.prod(bottoms[0][self.first :])
        if not settings.num_output:
            raise self.refuse("no num_output")
        shape = (inputs, settings.num_output) if settings.transpose else (settings.num_output, inputs)
        self.add_blob(shape, settings.weight_filler)
        if settings.bias_term:
            self.add_blob([settings.num_output], settings.bias_filler)

    @property
    def bias(self) -> Tensor | None:
        return self.blob1 if self.param.inner_product_param.bias_term else None

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        return (self.multiplied(bottom, self.blob0, self.bias),)

    def multiplied(self, bottom: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The top with weights like the layer's."""
        weight = weight.t() if self.param.inner_product_param.transpose else weight
        return F.linear(bottom.flatten(self.first), weight, bias)
