"""Layers that multiply by learned weights: Convolution, Deconvolution, InnerProduct."""

from __future__ import annotations

import math
from typing import Sequence

import torch.nn.functional as F
from torch import Tensor

from caffe_torch.layers.layer import Layer, Shape


class _Spatial(Layer):
    """What Convolution and Deconvolution share (BVLC: base_conv_layer.cpp).

    Channels lie along `axis`; all axes before it count images, and up to three behind it are spatial.
    """

    takes = gives = (1, None)
    gives_as_many = True
    works_in_place = False

    def set_up(self, bottoms: list[Shape]) -> None:
        settings = self.param.convolution_param
        self.channels_at = self.axis(settings.axis, len(bottoms[0]))
        self.spatial = len(bottoms[0]) - self.channels_at - 1
        if self.spatial > 3:
            raise self.refuse(f"works on up to 3 spatial axes, not on {tuple(bottoms[0])} with axis {settings.axis}")
        if any(tuple(shape) != tuple(bottoms[0]) for shape in bottoms):
            raise self.refuse(f"bottoms of shapes {', '.join(str(tuple(shape)) for shape in bottoms)}")
        self.kernel = self._sides("kernel", settings.kernel_size, None)
        self.stride = self._sides("stride", settings.stride, 1)
        self.pad = self._sides("pad", settings.pad, 0)
        self.dilation = self._sides("dilation", settings.dilation, 1)
        self.group = settings.group
        channels = bottoms[0][self.channels_at]
        if self.group < 1 or channels % self.group or settings.num_output % self.group or not settings.num_output:
            raise self.refuse(f"{channels} channels and {settings.num_output} outputs in {self.group} groups")
        self.add_blob(self.weight_shape(channels), settings.weight_filler)
        if settings.bias_term:
            self.add_blob([settings.num_output], settings.bias_filler)

    def weight_shape(self, channels: int) -> Shape:
        raise self.refuse("has no weights")

    def _sides(self, name: str, values: Sequence[int], default: int | None) -> tuple[int, ...]:
        """One number for each spatial axis."""
        settings = self.param.convolution_param
        if name != "dilation" and (settings.HasField(f"{name}_h") or settings.HasField(f"{name}_w")):
            if len(values) or self.spatial != 2:
                raise self.refuse(f"{name} is given twice" if len(values) else f"{name}_h for {self.spatial} axes")
            sides = (getattr(settings, f"{name}_h"), getattr(settings, f"{name}_w"))
        elif len(values) == self.spatial:
            sides = tuple(values)
        elif len(values) == 1:
            sides = (values[0],) * self.spatial
        elif not len(values) and default is not None:
            sides = (default,) * self.spatial
        else:
            raise self.refuse(f"{len(values)} values of {name} for {self.spatial} spatial axes")
        if name != "pad" and min(sides, default=1) < 1:
            raise self.refuse(f"{name} {' x '.join(map(str, sides))}")
        return sides

    @property
    def bias(self) -> Tensor | None:
        return self.blob1 if self.param.convolution_param.bias_term else None

    def forward(self, *bottoms: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.multiplied(bottom, self.blob0, self.bias) for bottom in bottoms)

    def multiplied(self, bottom: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The top with weights like the layer's."""
        if self.channels_at == 1 and self.spatial:
            return self.computed(bottom, weight, bias)
        images, rest = bottom.shape[: self.channels_at], bottom.shape[self.channels_at :]
        bottom = bottom.reshape(math.prod(images), *rest)
        if not self.spatial:  # one pixel for all
            top = self.computed(bottom[..., None], weight[..., None], bias)[..., 0]
        else:
            top = self.computed(bottom, weight, bias)
        return top.reshape(*images, *top.shape[1:])

    def computed(self, bottom: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The top of N x C x one to three sides."""
        raise self.refuse("computes nothing")


class Convolution(_Spatial):
    """Weights: num_output x C/group x the kernel's sides."""

    def weight_shape(self, channels: int) -> Shape:
        return (self.param.convolution_param.num_output, channels // self.group, *self.kernel)

    def computed(self, bottom: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        function = (F.conv1d, F.conv1d, F.conv2d, F.conv3d)[self.spatial]
        return function(bottom, weight, bias, self.stride or 1, self.pad or 0, self.dilation or 1, self.group)


class Deconvolution(_Spatial):
    """Convolution backwards. Weights: C x num_output/group x the kernel's sides."""

    def weight_shape(self, channels: int) -> Shape:
        return (channels, self.param.convolution_param.num_output // self.group, *self.kernel)

    def computed(self, bottom: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        function = (F.conv_transpose1d, F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self.spatial]
        return function(bottom, weight, bias, self.stride or 1, self.pad or 0, 0, self.group, self.dilation or 1)


class InnerProduct(Layer):
    """All axes from `axis` on are one vector. Weights: num_output x K, or K x num_output with `transpose`."""

    takes = gives = (1, 1)
    works_in_place = False

    def set_up(self, bottoms: list[Shape]) -> None:
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


class Embed(Layer):
    """The rows of the weights that the bottom names, each a vector behind its axes. Weights: input_dim x num_output."""

    takes = gives = (1, 1)
    works_in_place = False

    def set_up(self, bottoms: list[Shape]) -> None:
        settings = self.param.embed_param
        if not settings.num_output or not settings.input_dim:
            raise self.refuse("needs num_output and input_dim")
        self.add_blob((settings.input_dim, settings.num_output), settings.weight_filler)
        if settings.bias_term:
            self.add_blob([settings.num_output], settings.bias_filler)

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        rows = bottom.long()
        if rows.device.type == "cpu" and ((rows < 0) | (rows >= len(self.blob0))).any():
            raise self.refuse(f"a number that is none of 0 to {len(self.blob0) - 1}")
        top = F.embedding(rows, self.blob0)
        return (top + self.blob1 if self.param.embed_param.bias_term else top,)
