"""Losses and Accuracy, with Caffe's normalisations (loss_layer.hpp and the layers' own files)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_torch.layers.layer import Layer, Shape

LEAST = math.log(torch.finfo(torch.float32).tiny)  # Caffe takes the logarithm of no smaller probability


class Loss(Layer):
    """What losses share: two bottoms of as many images, a top, and how what is summed is normalised."""

    is_loss = adds_tops = True
    takes, gives = (2, 2), (1, 1)
    works_in_place = False

    def set_up(self, bottoms: list[Shape]) -> None:
        if tuple(bottoms[0][:1]) != tuple(bottoms[1][:1]) or not bottoms[0]:  # BVLC: LossLayer::Reshape
            raise self.refuse(f"bottoms of {tuple(bottoms[0])} and {tuple(bottoms[1])}: other numbers of images")

    def ignored(self, labels: Tensor) -> Tensor | None:
        """Where a label, cut to a whole number, is the one to ignore; None where there is no such label."""
        settings = self.param.loss_param
        return labels.trunc() == settings.ignore_label if settings.HasField("ignore_label") else None

    def divisor(self, mode: int, images: int, numbers: int, ignored: Tensor | None) -> Tensor | float:
        """What the summed loss is divided by, at least 1.

        FULL: all labels. VALID: those that are not ignored. BATCH_SIZE: images. NONE: 1.
        """
        settings = self.param.loss_param
        if mode == settings.VALID and ignored is not None:
            return (numbers - ignored.sum()).clamp(min=1)
        return max(1, {settings.BATCH_SIZE: images, settings.NONE: 1}.get(mode, numbers))

    def mode(self, default: int) -> int:
        """The normalisation: its own field, the older `normalize`, or the layer's default."""
        settings = self.param.loss_param
        if settings.HasField("normalization"):
            return settings.normalization
        if settings.HasField("normalize"):
            return settings.VALID if settings.normalize else settings.BATCH_SIZE
        return default


def check_labels(layer: Layer, labels: Tensor, classes: int) -> None:
    """NetError where a label is no class. On a CPU alone: a GPU would have to be waited for."""
    if labels.device.type == "cpu" and ((labels < 0) | (labels >= classes)).any():
        wrong = labels[(labels < 0) | (labels >= classes)][0]
        raise layer.refuse(f"a label {int(wrong)} where the scores are of {classes} classes")


class SigmoidCrossEntropyLoss(Loss):
    """Of logits and targets of one shape; by itself normalised by BATCH_SIZE."""

    def set_up(self, bottoms: list[Shape]) -> None:
        super().set_up(bottoms)
        if math.prod(bottoms[0]) != math.prod(bottoms[1]):
            raise self.refuse(f"{tuple(bottoms[0])} logits and {tuple(bottoms[1])} targets")

    def forward(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        targets = targets.reshape(logits.shape)
        ignored = self.ignored(targets)
        each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        if ignored is not None:
            each = each.masked_fill(ignored, 0)
        mode = self.mode(self.param.loss_param.BATCH_SIZE)
        loss = each.sum() / self.divisor(mode, logits.shape[0], logits.numel(), ignored)
        return (loss,)


class SoftmaxWithLoss(Loss):
    """Of scores and one label for every place; by itself normalised by VALID."""

    gives = (1, 2)

    def set_up(self, bottoms: list[Shape]) -> None:
        super().set_up(bottoms)
        if self.top_count > 1:  # loss_weight is to be given for both then, but for one to the Softmax within
            raise self.refuse("a second top, which Caffe itself cannot make; add a Softmax layer for the probabilities")
        self.classes = self.axis(self.param.softmax_param.axis, len(bottoms[0]))
        places = math.prod(bottoms[0]) // max(1, bottoms[0][self.classes])
        if math.prod(bottoms[1]) != places:
            raise self.refuse(f"{tuple(bottoms[1])} labels for scores of {tuple(bottoms[0])}")

    def forward(self, scores: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        # bfloat16 would round the loss to three digits
        logs = torch.log_softmax(scores, self.classes, dtype=torch.promote_types(scores.dtype, torch.float32))
        outer, number = math.prod(scores.shape[: self.classes]), scores.shape[self.classes]
        labels = labels.reshape(outer, -1).long()
        ignored = self.ignored(labels)
        picked = labels if ignored is None else labels.masked_fill(ignored, 0)
        check_labels(self, picked, number)
        of_label = logs.reshape(outer, number, -1).gather(1, picked[:, None])[:, 0]
        of_label = of_label + (of_label.clamp(min=LEAST) - of_label).detach()
        if ignored is not None:
            of_label = of_label.masked_fill(ignored, 0)
        loss = -of_label.sum() / self.divisor(self.mode(self.param.loss_param.VALID), outer, labels.numel(), ignored)
        return (loss,)


class Accuracy(Layer):
    """The share of labels whose class is among the `top_k` best; an equal score counts as better.

    A second top has the same for each class.
    """

    takes, gives = (2, 2), (1, 2)
    works_in_place = False

    def set_up(self, bottoms: list[Shape]) -> None:
        settings = self.param.accuracy_param
        self.classes = self.axis(settings.axis, len(bottoms[0]))
        if settings.top_k > math.prod(bottoms[0]) // math.prod(bottoms[1]):
            raise self.refuse(f"top_k {settings.top_k} of fewer classes")

    @torch.no_grad()
    def forward(self, scores: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        settings = self.param.accuracy_param
        outer, number = math.prod(scores.shape[: self.classes]), scores.shape[self.classes]
        scores, labels = scores.reshape(outer, number, -1), labels.reshape(outer, 1, -1).long()
        counted = torch.ones_like(labels, dtype=torch.bool)
        if settings.HasField("ignore_label"):
            counted = labels != settings.ignore_label
            labels = labels.masked_fill(~counted, 0)
        check_labels(self, labels, number)
        better = (scores >= scores.gather(1, labels)).sum(1, keepdim=True) - 1
        hits = ((better < settings.top_k) & counted).to(scores.dtype)
        accuracy = hits.sum() / counted.sum().clamp(min=1)
        if len(self.param.top) == 1:
            return (accuracy,)
        zeros = scores.new_zeros(number)
        of_class = zeros.scatter_add(0, labels.reshape(-1), hits.reshape(-1))
        sizes = zeros.scatter_add(0, labels.reshape(-1), counted.to(scores.dtype).reshape(-1))
        return accuracy, torch.where(sizes == 0, sizes, of_class / sizes)
