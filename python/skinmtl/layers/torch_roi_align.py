"""RoIAlign without Caffe: the same settings and values as the layer for BVLC Caffe, by torchvision."""

from __future__ import annotations

import math
from typing import Any, Sequence

import torch
from torch import Tensor
from torchvision.ops import roi_align

from caffe_torch.layers.layer import Shape
from skinmtl.layers.torch_checked import CheckedLayer

CANONICAL_STRIDE = 16  # of the map that a ROI of the canonical side belongs to (FPN paper: k0 = 4)


class RoIAlign(CheckedLayer):
    """Bottoms: a feature map (N, C, H, W) for each of the strides, and ROIs (M, 5) n, x1, y1, x2, y2 in pixels of the
    net's input. Top: (M, C, pooled, pooled), in the ROIs' order. Gradients flow to the features alone."""

    top_names = ("pooled",)

    def names_of_bottoms(self) -> Sequence[str]:
        return [*(f"the map of stride {stride}" for stride in self.settings.strides), "rois"]

    def wanted_shapes(self, shapes: Sequence[Shape]) -> Any:
        strides = self.settings.strides
        first = shapes[0] if len(shapes[0]) == 4 else (0, 0, 0, 0)  # else the first bottom is told first
        sizes = [tuple(length * strides[0] // stride for length in first[2:]) for stride in strides]
        return [("N", "C", "H", "W"), *(("N", "C", *size) for size in sizes[1:]), ("R", 5)]

    def forward(self, *bottoms: Tensor) -> tuple[Tensor]:
        *maps, rois = bottoms
        pooled = self.settings.pooled
        if rois.is_meta:  # the net asks for shapes
            return (maps[0].new_empty(len(rois), maps[0].shape[1], pooled, pooled),)
        rois = rois.detach().float()
        if rois.device.type == "cpu" and ((rois[:, 0] < 0) | (rois[:, 0] >= len(maps[0]))).any():
            raise self.refuse(f"ROIs name images up to {rois[:, 0].max():g}, but there are {len(maps[0])}")
        levels, order = torch.sort(self.levels_of(rois), stable=True)
        counts = torch.bincount(levels, minlength=len(maps)).tolist()
        # also without any ROI: each map has its part in the graph, as each of several devices expects
        parts = [
            roi_align(features.float(), own, pooled, 1 / stride, self.settings.samples, aligned=True)
            for features, own, stride in zip(maps, rois[order].split(counts), self.settings.strides)
        ]
        return (torch.cat(parts).index_select(0, torch.argsort(order)),)

    def levels_of(self, rois: Tensor) -> Tensor:
        """The number of each ROI's map: log2 of its side to the canonical one, which the map of stride 16 has."""
        strides = self.settings.strides
        sides = rois[:, 3:] - rois[:, 1:3]
        areas = (sides[:, 0].double() * sides[:, 1]).clamp(min=torch.finfo(torch.float64).tiny)
        steps = torch.log2(areas.sqrt() / self.settings.canonical) + math.log2(CANONICAL_STRIDE / strides[0])
        whole = steps.round() if self.settings.levels == "round" else steps.floor()
        return whole.clamp(0, len(strides) - 1).long()
