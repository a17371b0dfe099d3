"""Losses beside those of losses.py, each with the gradient that Caffe's own has, also where it is none of calculus."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from caffe_files.blobs import blob_values
from caffe_files.prototxt import read_blob
from caffe_torch.layers.layer import Shape
from caffe_torch.layers.losses import Loss, check_labels

LEAST_PROBABILITY = 1e-20  # of which Caffe takes the logarithm (BVLC: loss_layer.hpp, kLOG_THRESHOLD)


class EuclideanLoss(Loss):
    """Half the sum of squared differences, an image (BVLC: euclidean_loss_layer.cpp)."""

    def set_up(self, bottoms: list[Shape]) -> None:
        super().set_up(bottoms)
        if math.prod(bottoms[0]) != math.prod(bottoms[1]):
            raise self.refuse(f"bottoms of {tuple(bottoms[0])} and {tuple(bottoms[1])}")

    def forward(self, one: Tensor, other: Tensor) -> tuple[Tensor]:
        difference = one - other.reshape(one.shape)
        return ((difference * difference).sum() / (2 * one.shape[0]),)


class HingeLoss(Loss):
    """Of scores N x K and a class each: the sum, an image, of max(0, 1 - score of the class) and of max(0, 1 + score)
    of all others; with the norm L2, of their squares."""

    def set_up(self, bottoms: list[Shape]) -> None:
        super().set_up(bottoms)
        if math.prod(bottoms[1]) < bottoms[0][0]:
            raise self.refuse(f"{tuple(bottoms[1])} labels for scores of {tuple(bottoms[0])}")

    def forward(self, scores: Tensor, labels: Tensor) -> tuple[Tensor]:
        settings, scores = self.param.hinge_loss_param, scores.reshape(len(scores), -1)
        labels = labels.reshape(-1)[: len(scores)].long()
        check_labels(self, labels, scores.shape[1])
        sign = torch.ones_like(scores).scatter_(1, labels[:, None], -1.0)
        margins = torch.relu(1 + sign * scores)
        return ((margins * margins if settings.norm == settings.L2 else margins).sum() / len(scores),)


class MultinomialLogisticLoss(Loss):
    """Of probabilities N x K and a class each: less the logarithm of the class's, an image."""

    def set_up(self, bottoms: list[Shape]) -> None:
        super().set_up(bottoms)
        if math.prod(bottoms[1]) != bottoms[0][0]:
            raise self.refuse(f"{tuple(bottoms[1])} labels for probabilities of {tuple(bottoms[0])}")

    def forward(self, probabilities: Tensor, labels: Tensor) -> tuple[Tensor]:
        probabilities, labels = probabilities.reshape(len(probabilities), -1), labels.reshape(-1).long()
        check_labels(self, labels, probabilities.shape[1])
        of_label = probabilities.gather(1, labels[:, None])
        taken = of_label.detach().clamp(min=LEAST_PROBABILITY)
        logs = taken.log() + (of_label - of_label.detach()) / taken  # the gradient does not end at the least one
        return (-logs.sum() / len(probabilities),)


class ContrastiveLoss(Loss):
    """Of two vectors N x C and whether they are alike, an image: half the squared distance of those that are, and half
    of max(0, margin - distance)^2 of others; max(0, margin - squared distance) in the `legacy_version`.

    Caffe's gradient has 1e-4 beside the distance that it divides by (BVLC: contrastive_loss_layer.cpp).
    """

    takes = (3, 3)

    def set_up(self, bottoms: list[Shape]) -> None:
        super().set_up(bottoms)
        one, other, alike = bottoms
        if math.prod(one) != math.prod(one[:2]) or tuple(one[:2]) != tuple(other[:2]) or math.prod(alike) != one[0]:
            raise self.refuse(f"{tuple(one)} and {tuple(other)}, N x C, and {tuple(alike)} labels")

    def forward(self, one: Tensor, other: Tensor, alike: Tensor) -> tuple[Tensor]:
        settings, alike = self.param.contrastive_loss_param, alike.reshape(-1).trunc() != 0
        squared = (one.flatten(1) - other.flatten(1)).square().sum(1)
        fixed = squared.detach()
        if settings.legacy_version:
            left = settings.margin - fixed
            apart, slope = left.clamp(min=0), -torch.ones_like(fixed)
        else:
            left = settings.margin - fixed.sqrt()
            apart, slope = left.clamp(min=0).square(), -left / (fixed.sqrt() + 1e-4)
        slope = torch.where(alike, torch.ones_like(fixed), torch.where(left > 0, slope, torch.zeros_like(slope)))
        each = torch.where(alike, fixed, apart) + slope * (squared - fixed)
        return (each.sum() / (2 * len(one)),)


class InfogainLoss(Loss):
    """Of scores and one label for every place: less the sum, over classes, of the weights that the label's row of a
    matrix has times the logarithms of the classes' probabilities (BVLC: infogain_loss_layer.cpp).

    The matrix, K x K, is the third bottom or the BlobProto of the file `source`. By itself normalised by VALID.
    """

    takes, gives = (2, 3), (1, 2)

    def set_up(self, bottoms: list[Shape]) -> None:
        super().set_up(bottoms)
        if self.top_count > 1:  # see SoftmaxWithLoss
            raise self.refuse("a second top, which Caffe itself cannot make; add a Softmax layer for the probabilities")
        if self.param.loss_param.HasField("normalize"):
            raise self.refuse("normalize, which this loss does not know; give normalization")
        settings = self.param.infogain_loss_param
        self.classes = self.axis(settings.axis, len(bottoms[0]))
        number = bottoms[0][self.classes]
        if math.prod(bottoms[1]) != math.prod(bottoms[0]) // number:
            raise self.refuse(f"{tuple(bottoms[1])} labels for scores of {tuple(bottoms[0])}")
        matrix = None
        if len(bottoms) == 2:
            if not settings.source:
                raise self.refuse("neither a third bottom nor infogain_loss_param.source has its matrix")
            matrix = torch.from_numpy(blob_values(read_blob(Path(settings.source))).astype("f4"))
        count = math.prod(bottoms[2]) if matrix is None else matrix.numel()
        if count != number * number:
            raise self.refuse(f"a matrix of {count} numbers for {number} classes")
        self.register_buffer("matrix", matrix, persistent=False)

    def forward(self, scores: Tensor, labels: Tensor, matrix: Tensor | None = None) -> tuple[Tensor]:
        outer, number = math.prod(scores.shape[: self.classes]), scores.shape[self.classes]
        logs = torch.log_softmax(scores, self.classes, dtype=torch.promote_types(scores.dtype, torch.float32))
        logs = logs + (logs.clamp(min=math.log(LEAST_PROBABILITY)) - logs).detach()
        labels = labels.reshape(outer, -1).long()
        ignored = self.ignored(labels)
        picked = labels if ignored is None else labels.masked_fill(ignored, 0)
        check_labels(self, picked, number)
        rows = (self.matrix if matrix is None else matrix.detach()).reshape(number, number)[picked]  # outer, inner, K
        each = (rows * logs.reshape(outer, number, -1).transpose(1, 2)).sum(2)
        if ignored is not None:
            each = each.masked_fill(ignored, 0)
        loss = -each.sum() / self.divisor(self.mode(self.param.loss_param.VALID), outer, labels.numel(), ignored)
        return (loss,)
