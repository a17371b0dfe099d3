"""WeightedSigmoidLoss and WeightedSoftmaxLoss without Caffe: the same settings and values as the layers for BVLC Caffe
(skinmtl.layers.label_losses).

They compute in float32 also where a net multiplies in bfloat16. Labels are checked on a CPU alone: a GPU would have to
be waited for.
"""

from __future__ import annotations

from typing import Any, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_torch.layers.layer import Shape
from skinmtl.layers.blob_shapes import of_labels, of_one_label
from skinmtl.layers.torch_checked import CheckedLayer


class _LabelLoss(CheckedLayer):
    bottom_names, top_names = ("scores", "labels"), ("loss",)

    def prepare(self) -> None:
        self.register_buffer("weights", torch.tensor(self.given(), dtype=torch.float32), persistent=False)

    def given(self) -> Sequence[float]:
        """The weights of the settings."""
        raise NotImplementedError

    def wanted_shapes(self, shapes: Sequence[Shape]) -> Any:
        return of_labels(shapes, self.given())

    def truth(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Where a label is 1, in the shape of the scores. NetError where one is neither 0 nor 1."""
        labels = labels.detach().reshape(scores.shape)
        if labels.device.type == "cpu" and not ((labels == 0) | (labels == 1)).all():
            raise self.refuse("a label is neither 0 nor 1; build the LMDBs again")
        return labels == 1


class WeightedSigmoidLoss(_LabelLoss):
    """Bottoms: scores (N, P) before the sigmoid, labels (N, P) or (N, P, 1, 1), 0 or 1. Top: (1/N) sum of
    -a (1 - p)^gamma log p; a is `positive` where a label is 1, else 1."""

    def given(self) -> Sequence[float]:
        return self.settings.positive

    def forward(self, scores: Tensor, labels: Tensor) -> tuple[Tensor]:
        is_one = self.truth(scores, labels)
        each = _OfMargin.apply(torch.where(is_one, scores, -scores).float(), self.settings.gamma)
        if len(self.weights):
            each = torch.where(is_one, each * self.weights, each)
        return (each.sum() / len(scores),)


class _OfMargin(torch.autograd.Function):
    """-(1 - p)^gamma log p, p the sigmoid of the margin, and its derivative: finite everywhere, whatever gamma."""

    @staticmethod
    def forward(context: Any, margin: Tensor, gamma: float) -> Tensor:
        context.save_for_backward(margin)
        context.gamma = gamma
        return -F.logsigmoid(margin) * torch.sigmoid(-margin) ** gamma

    @staticmethod
    def backward(context: Any, of_top: Tensor) -> tuple[Tensor, None]:
        (margin,) = context.saved_tensors
        log, rest = F.logsigmoid(margin), torch.sigmoid(-margin)
        return of_top * rest**context.gamma * (context.gamma * log.exp() * log - rest), None


class WeightedSoftmaxLoss(_LabelLoss):
    """Bottoms: scores (N, P) before the softmax, labels (N, P) or (N, P, 1, 1), one of them 1, or (N, 1) or (N, 1, 1,
    1), the label's number. Top: (1/N) sum of -w log p of each image's label."""

    def given(self) -> Sequence[float]:
        return self.settings.weights

    def wanted_shapes(self, shapes: Sequence[Shape]) -> Any:
        return of_one_label(shapes, self.given())

    def numbered(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Where a label is an image's own number, in the shape of the scores. NetError where it is that of none."""
        n_labels = scores.shape[1]
        numbers = torch.arange(n_labels, device=labels.device) == labels.detach().reshape(len(scores), 1)
        if labels.device.type == "cpu" and not numbers.any(1).all():
            raise self.refuse(f"a label is none of the numbers from 0 to {n_labels - 1}; build the LMDBs again")
        return numbers

    def forward(self, scores: Tensor, labels: Tensor) -> tuple[Tensor]:
        is_one = self.numbered(scores, labels) if labels.numel() < scores.numel() else self.truth(scores, labels)
        if is_one.device.type == "cpu" and (is_one.sum(1) != 1).any():
            counts = is_one.sum(1)
            raise self.refuse(
                f"an image has {int(counts[counts != 1][0])} labels, where a softmax is of one; make the net with "
                "--lesion-loss sigmoid"
            )
        each = -torch.log_softmax(scores, 1, dtype=torch.float32)
        if len(self.weights):
            each = each * self.weights
        return (torch.where(is_one, each, 0.0).sum() / len(scores),)
