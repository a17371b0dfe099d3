"""The losses of Song et al. (2020), for pycaffe. Write loss_weight in the net: Caffe gives such a layer none itself."""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from skinmtl.layers.caffe_checked import CheckedLayer, blobs, no_gradients
from skinmtl.regions.losses import focal_loss, jaccard_loss, smooth_l1_loss

Shape = Sequence[int]


class LossLayer(CheckedLayer):
    """Top: one number. The gradient goes to the first bottom alone."""

    top_names = ("loss",)

    def shapes_of_tops(self, shapes: Sequence[Shape]) -> Any:
        return ((),)

    def compute(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        value, self._gradient = self.loss(*bottom)
        top[0].data[...] = value

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        """Called by Caffe; the top's diff is the loss_weight."""
        no_gradients(propagate_down[1:], blobs(bottom)[1:])
        if propagate_down[0]:
            np.multiply(self._gradient, top[0].diff.ravel()[0], out=bottom[0].diff)

    def loss(self, *bottom: Any) -> tuple[float, Any]:
        """The value, and the gradient with respect to the first bottom."""
        raise NotImplementedError


class FocalLoss(LossLayer):
    """Bottoms: scores (N, C, M) or (R, C), labels (N, M) or (R) with -1 ignored: see regions/losses.py."""

    bottom_names = ("scores", "labels")

    def wanted_shapes(self, shapes: Sequence[Shape]) -> Any:
        return (("N", "C", "M"), ("N", "M")) if len(shapes[0]) == 3 else (("R", "C"), ("R",))

    def loss(self, *bottom: Any) -> tuple[float, Any]:
        return focal_loss(*bottom, self.settings.alpha, self.settings.beta)


class SmoothL1Loss(LossLayer):
    """Bottoms: prediction, target, weight, of one shape: see regions/losses.py."""

    bottom_names = ("prediction", "target", "weight")

    def wanted_shapes(self, shapes: Sequence[Shape]) -> Any:
        return (shapes[0],) * 3

    def loss(self, *bottom: Any) -> tuple[float, Any]:
        return smooth_l1_loss(*bottom, self.settings.sigma)


class JaccardLoss(LossLayer):
    """Bottoms: mask scores before the sigmoid and mask_targets, both (F, C, m, m): see regions/losses.py."""

    bottom_names = ("mask scores", "mask_targets")

    def wanted_shapes(self, shapes: Sequence[Shape]) -> Any:
        return (("F", "C", "H", "W"),) * 2

    def loss(self, *bottom: Any) -> tuple[float, Any]:
        return jaccard_loss(*bottom, self.settings.smooth, self.settings.weight)
