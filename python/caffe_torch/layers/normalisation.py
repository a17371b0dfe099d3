"""BatchNorm, Scale, Bias, LRN and MVN."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from google.protobuf.message import Message
from torch import Tensor

from caffe_torch.layers.layer import LARGEST, Layer, Shape


class BatchNorm(Layer):
    """Subtracts a mean and divides by a deviation, a channel (BVLC: batch_norm_layer.cpp); Scale learns the rest.

    Blobs, never learned: the sums of means and of variances, and the factor that both are to be divided by; a factor
    of 0 makes both 0. `use_global_stats` is false in TRAIN and true in TEST where it is not set. In training the sums
    are multiplied by `moving_average_fraction` before a batch's are added, its variance with Bessel's correction.
    """

    takes = gives = (1, 1)

    def set_up(self, bottoms: list[Shape]) -> None:
        settings = self.param.batch_norm_param
        unset = not settings.HasField("use_global_stats")
        self.uses_global = self.phase == "TEST" if unset else settings.use_global_stats
        if not (settings.eps > 0 or (settings.eps == 0 and self.uses_global)):
            raise self.refuse(f"eps {settings.eps:g}; it must be above 0")
        if len(bottoms[0]) < 2:
            raise self.refuse(f"works on N x C x ... alone, not on {tuple(bottoms[0])}")
        for shape in ([bottoms[0][1]], [bottoms[0][1]], [1]):
            self.add_blob(shape, None, learned=False)
        for spec in self.param.param:
            if spec.lr_mult != 0:
                raise self.refuse("its statistics cannot have a learning rate; set lr_mult: 0")

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and variance, (C) each, from the blobs."""
        factor = torch.where(self.blob2 == 0, torch.zeros_like(self.blob2), 1 / self.blob2)
        return self.blob0 * factor, self.blob1 * factor

    def normalised(self, bottom: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        """The bottom normalised, then times `weight` and plus `bias`, (C) each: one pass with the Scale that follows.

        F.batch_norm takes the statistics of the batch, or those that it is given; its own moving average, which
        differs from Caffe's, is not used.
        """
        settings = self.param.batch_norm_param
        if self.uses_global:
            mean, variance = self.statistics()
            return F.batch_norm(bottom, mean, variance, weight, bias, False, 0.0, settings.eps)
        with torch.no_grad():
            axes = [axis for axis in range(bottom.dim()) if axis != 1]
            variance, mean = torch.var_mean(bottom, axes, unbiased=False)
            count = bottom.numel() // bottom.shape[1]
            kept = settings.moving_average_fraction
            self.blob2.mul_(kept).add_(1)
            self.blob0.mul_(kept).add_(mean)
            self.blob1.mul_(kept).add_(variance * (count / (count - 1) if count > 1 else 1.0))
        if count == 1:  # nothing is left of a number less itself
            top = bottom - bottom
            top = top if weight is None else top * weight.reshape(bottom.shape)
            return top if bias is None else top + bias.reshape(bottom.shape)
        return F.batch_norm(bottom, None, None, weight, bias, True, 0.0, settings.eps)

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        return (self.normalised(bottom, None, None),)


class _Broadcast(Layer):
    """What Scale and Bias share: a blob, learned or the second bottom, laid along axes from `axis` on."""

    takes, gives = (1, 2), (1, 1)

    def set_up(self, bottoms: list[Shape]) -> None:
        settings = self.settings()
        self.from_bottom = len(bottoms) == 2
        first = self.axis(settings.axis, len(bottoms[0]))
        axes = len(bottoms[1]) if self.from_bottom else settings.num_axes
        end = len(bottoms[0]) if axes == -1 else first + axes
        if axes < -1 or end > len(bottoms[0]):
            raise self.refuse(f"{axes} axes from axis {first} of a blob with {len(bottoms[0])}")
        shape = list(bottoms[0][first:end])
        if self.from_bottom and list(bottoms[1]) != shape:
            raise self.refuse(f"its second bottom is {list(bottoms[1])} where the first has {shape} there")
        self.trailing = len(bottoms[0]) - end
        self.is_per_channel = first == 1 and end == 2 and not self.from_bottom
        if not self.from_bottom:
            self.add_blob(shape, self.filler())
        if self.has_bias():
            self.add_blob(shape, settings.bias_filler)

    def settings(self) -> Message:
        """The layer's own settings."""
        return self.param.scale_param

    def filler(self) -> Message:
        """How the multiplier, or the addend, starts: Scale's at 1 where nothing is said."""
        settings = self.settings()
        return settings.filler if settings.HasField("filler") else type(settings.filler)(value=1.0)

    def has_bias(self) -> bool:
        """Whether a second, added blob follows."""
        return False

    def laid(self, values: Tensor) -> Tensor:
        """`values` with the axes behind it that broadcasting needs."""
        return values.reshape(*values.shape, *[1] * self.trailing)


class Scale(_Broadcast):
    """Multiplies, with a learned blob or the second bottom, and adds a bias where `bias_term` is set."""

    def has_bias(self) -> bool:
        return self.settings().bias_term

    def forward(self, bottom: Tensor, factor: Tensor | None = None) -> tuple[Tensor]:
        top = bottom * self.laid(self.blob0 if factor is None else factor)
        if self.has_bias():
            top = top + self.laid(self.blob0 if self.from_bottom else self.blob1)
        return (top,)


class Bias(_Broadcast):
    """Adds a learned blob or the second bottom."""

    def settings(self) -> Message:
        return self.param.bias_param

    def filler(self) -> Message:
        return self.settings().filler

    def forward(self, bottom: Tensor, addend: Tensor | None = None) -> tuple[Tensor]:
        return (bottom + self.laid(self.blob0 if addend is None else addend),)


class LRN(Layer):
    """Local response normalisation (BVLC: lrn_layer.cpp).

    ACROSS_CHANNELS divides by (k + alpha/n x the sum of squares of n channels)^beta, WITHIN_CHANNEL by
    (1 + alpha x the mean of squares of n x n pixels)^beta, where k plays no part.
    """

    takes = gives = (1, 1)
    works_in_place = False

    def set_up(self, bottoms: list[Shape]) -> None:
        size = self.param.lrn_param.local_size
        if size % 2 == 0 or size > LARGEST:
            raise self.refuse(f"local_size {size}; it must be odd, and at most {LARGEST}")

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        settings = self.param.lrn_param
        size = settings.local_size
        squares = bottom * bottom
        if settings.norm_region == settings.ACROSS_CHANNELS:
            half = min(size // 2, bottom.shape[1])  # further channels are not there
            padded = F.pad(squares, (0, 0, 0, 0, half, half))
            mean = sum(padded[:, each : each + bottom.shape[1]] for each in range(2 * half + 1)) / size
            start = settings.k
        else:
            mean = F.avg_pool2d(squares, size, 1, size // 2)
            start = 1.0
        return (bottom * (start + settings.alpha * mean) ** -settings.beta,)


class MVN(Layer):
    """Less the mean and divided by the deviation, which eps is added to: of each channel of an image, or of the whole
    image with `across_channels` (BVLC: mvn_layer.cpp). Without `normalize_variance` less the mean alone."""

    takes = gives = (1, 1)

    def set_up(self, bottoms: list[Shape]) -> None:
        if not 1 <= len(bottoms[0]) <= 4:
            raise self.refuse(f"works on up to four axes, not on {tuple(bottoms[0])}")

    def forward(self, bottom: Tensor) -> tuple[Tensor]:
        settings = self.param.mvn_param
        rows = bottom.shape[:1] if settings.across_channels else bottom.shape[:2]
        centred = bottom.reshape(math.prod(rows), -1)
        centred = centred - centred.mean(1, keepdim=True)
        top = _Divided.apply(centred, settings.eps) if settings.normalize_variance else centred
        return (top.reshape(bottom.shape),)


class _Divided(torch.autograd.Function):
    """Rows of mean 0 by their deviation; Caffe's gradient takes eps for a part of the deviation."""

    @staticmethod
    def forward(context: Any, rows: Tensor, eps: float) -> Tensor:
        deviation = rows.square().mean(1, keepdim=True).sqrt() + eps
        top = rows / deviation
        context.save_for_backward(top, deviation)
        return top

    @staticmethod
    def backward(context: Any, of_top: Tensor) -> tuple[Tensor, None]:
        top, deviation = context.saved_tensors
        return (of_top - top * (of_top * top).mean(1, keepdim=True)) / deviation, None
