"""The losses of labels with weights, for pycaffe. Write loss_weight in the net: Caffe gives such a layer none."""

from __future__ import annotations

from typing import Any, Sequence

from skinmtl.layers.blob_shapes import of_labels, of_one_label
from skinmtl.layers.caffe_losses import LossLayer, Shape
from skinmtl.layers.label_losses import sigmoid_loss, softmax_loss


class WeightedSigmoidLoss(LossLayer):
    """Bottoms: scores (N, P) before the sigmoid, labels (N, P) or (N, P, 1, 1), 0 or 1: see label_losses.py."""

    bottom_names = ("scores", "labels")

    def wanted_shapes(self, shapes: Sequence[Shape]) -> Any:
        return of_labels(shapes, self.settings.positive)

    def loss(self, *bottom: Any) -> tuple[float, Any]:
        return sigmoid_loss(*bottom, self.settings.positive, self.settings.gamma)


class WeightedSoftmaxLoss(LossLayer):
    """Bottoms: scores (N, P) before the softmax, labels (N, P) or (N, P, 1, 1), one of them 1, or (N, 1) or (N, 1, 1,
    1), the label's number: see label_losses.py."""

    bottom_names = ("scores", "labels")

    def wanted_shapes(self, shapes: Sequence[Shape]) -> Any:
        return of_one_label(shapes, self.settings.weights)

    def loss(self, *bottom: Any) -> tuple[float, Any]:
        return softmax_loss(*bottom, self.settings.weights)
