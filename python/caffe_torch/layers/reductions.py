"""Layers that make fewer numbers of many: ArgMax, Reduction."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from caffe_torch.layers.layer import Layer, Shape


class ArgMax(Layer):
    """The places of the `top_k` greatest numbers, without a gradient (BVLC: argmax_layer.cpp).

    Along `axis`, or of all of an image, N x 1 x top_k; with `out_max_val` the numbers instead, or beside the places:
    N x 2 x top_k. Of equal numbers the last comes first.
    """

    takes = gives = (1, 1)
    works_in_place = False

    def set_up(self, bottoms: list[Shape]) -> None:
        settings = self.param.argmax_param
        self.along = self.axis(settings.axis, len(bottoms[0])) if settings.HasField("axis") else None
        side = math.prod(bottoms[0][1:]) if self.along is None else bottoms[0][self.along]
        if not 1 <= settings.top_k <= side:
            raise self.refuse(f"top_k {settings.top_k} of {side} numbers")

    @torch.no_grad()
    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        settings = self.param.argmax_param
        axis, numbers = (1, bottom.reshape(len(bottom), -1)) if self.along is None else (self.along, bottom)
        # behind to front, so that a stable sort puts the last of equal numbers first
        values, places = torch.sort(numbers.flip(axis), dim=axis, descending=True, stable=True)
        values, places = (each.narrow(axis, 0, settings.top_k) for each in (values, places))
        places = (numbers.shape[axis] - 1 - places).to(bottom.dtype)
        if self.along is not None:
            return (values if settings.out_max_val else places,)
        rows = [places, values] if settings.out_max_val else [places]
        return (torch.stack(rows, 1).reshape(len(bottom), len(rows), -1, *[1] * (bottom.dim() - 3)),)


class Reduction(Layer):
    """SUM, ASUM (of sizes), SUMSQ or MEAN of all from `axis` on, times `coeff` (BVLC: reduction_layer.cpp)."""

    takes = gives = (1, 1)
    works_in_place = False

    def set_up(self, bottoms: list[Shape]) -> None:
        self.first = self.axis(self.param.reduction_param.axis, len(bottoms[0]))

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        settings = self.param.reduction_param
        rows = bottom.reshape(*bottom.shape[: self.first], -1)
        if settings.operation == settings.ASUM:
            rows = rows.abs()
        elif settings.operation == settings.SUMSQ:
            rows = rows * rows
        top = rows.mean(-1) if settings.operation == settings.MEAN else rows.sum(-1)
        return (top * settings.coeff,)
