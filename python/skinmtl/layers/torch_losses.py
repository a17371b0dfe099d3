"""FocalLoss, SmoothL1Loss and JaccardLoss without Caffe: the same settings and values as the layers for BVLC Caffe
(skinmtl.regions.losses).

They compute in float32 also where a net multiplies in bfloat16. Gradients flow to the first bottom alone. What does not
count is not read: NaN there does no harm.
"""

from __future__ import annotations

from typing import Any, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_torch.layers.layer import Shape
from caffe_torch.layers.losses import check_labels
from skinmtl.layers.torch_checked import CheckedLayer


class FocalLoss(CheckedLayer):
    """Bottoms: scores (N, C, M) or (R, C), labels (N, M) or (R) with -1 ignored. Top: the mean of -a (1 - p)^beta log p
    over the labels that count, at least 1; p is the softmax's over axis 1; a is alpha, of class 0 1 - alpha."""

    bottom_names, top_names = ("scores", "labels"), ("loss",)

    def wanted_shapes(self, shapes: Sequence[Shape]) -> Any:
        return (("N", "C", "M"), ("N", "M")) if len(shapes[0]) == 3 else (("R", "C"), ("R",))

    def forward(self, scores: Tensor, labels: Tensor) -> tuple[Tensor]:
        labels = labels.detach().long()
        counted = labels >= 0
        labels = labels.clamp(min=0)
        check_labels(self, labels, scores.shape[1])
        logs = torch.log_softmax(scores.masked_fill(~counted[:, None], 0), 1, dtype=torch.float32)
        each = _Focal.apply(logs.gather(1, labels[:, None])[:, 0], self.settings.beta)
        weights = torch.where(labels > 0, self.settings.alpha, 1 - self.settings.alpha) * counted
        return ((each * weights).sum() / counted.sum().clamp(min=1),)


class _Focal(torch.autograd.Function):
    """-(1 - p)^beta log p and its derivative by log p: finite at p = 0 and p = 1, whatever beta."""

    @staticmethod
    def forward(context: Any, log: Tensor, beta: float) -> Tensor:
        context.save_for_backward(log)
        context.beta = beta
        return -log * (-torch.expm1(log)) ** beta

    @staticmethod
    def backward(context: Any, of_top: Tensor) -> tuple[Tensor, None]:
        (log,) = context.saved_tensors
        rest = -torch.expm1(log)  # 1 - p, exact also where p is near 1
        share = torch.where(rest > 0, log / rest, -1.0)  # log p / (1 - p), which goes to -1 where p goes to 1
        return of_top * rest**context.beta * (context.beta * log.exp() * share - 1), None


class SmoothL1Loss(CheckedLayer):
    """Bottoms: prediction, target, weight, of one shape. Top: the sum of weight x f(prediction - target), where f(x) is
    (sigma x)^2 / 2 for |x| < 1 / sigma^2 and |x| - 1 / (2 sigma^2) beyond."""

    bottom_names, top_names = ("prediction", "target", "weight"), ("loss",)

    def wanted_shapes(self, shapes: Sequence[Shape]) -> Any:
        return (shapes[0],) * 3

    def forward(self, prediction: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor]:
        weight = weight.detach().float()
        difference = torch.where(weight != 0, prediction.float() - target.detach(), 0.0)
        bend = self.settings.sigma**-2
        each = F.smooth_l1_loss(difference, torch.zeros_like(difference), reduction="none", beta=bend)
        return ((each * weight).sum(),)


class JaccardLoss(CheckedLayer):
    """Bottoms: mask scores before the sigmoid, and mask_targets 0, 1, or -1 for what does not count; (F, C, m, m) both.

    Top: the mean over the masks that are not all -1 of weight (1 - (I + smooth) / (U + smooth)), I = sum y t,
    U = sum y + sum t - I, with y the sigmoids, over what counts of one mask; 0 where there is no such mask.
    """

    bottom_names, top_names = ("mask scores", "mask_targets"), ("loss",)

    def wanted_shapes(self, shapes: Sequence[Shape]) -> Any:
        return (("F", "C", "H", "W"),) * 2

    def forward(self, scores: Tensor, targets: Tensor) -> tuple[Tensor]:
        targets = targets.detach().float()
        counted = targets >= 0
        shares = torch.sigmoid(scores.float().masked_fill(~counted, 0)) * counted
        targets = targets * counted
        shared = (shares * targets).sum((1, 2, 3))
        smooth, masks = self.settings.smooth, counted.flatten(1).any(1)
        union = shares.sum((1, 2, 3)) + targets.sum((1, 2, 3)) - shared + smooth
        least = torch.finfo(torch.float32).tiny  # nothing there and nothing answered, without smooth
        lost = (1 - (shared + smooth) / union.clamp(min=least)) * masks
        return (self.settings.weight * lost.sum() / masks.sum().clamp(min=1),)
