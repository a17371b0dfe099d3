"""What a net computes in one step: a layer, or several of which nobody sees what they hand on.

Convolution and InnerProduct take the layers behind them that multiply and add by channel (BatchNorm with fixed
statistics, Scale, Bias) into their weights: conv(x, W) f + a = conv(x, W f) + a, and so do the gradients, by the chain
rule. BatchNorm and Scale are one pass where there is nothing before them to be taken into. A ReLU, and a sum, write
over what they read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_torch.layers.activations import ReLU
from caffe_torch.layers.convolution import Convolution, Deconvolution, InnerProduct
from caffe_torch.layers.layer import Layer
from caffe_torch.layers.normalisation import BatchNorm, Bias, Scale
from caffe_torch.layers.shapes import Eltwise, Silence
from caffe_torch.wiring import Wires

# These make their top anew, and no gradient needs it: where one layer alone reads it, that layer may write over it.
MAKERS = (BatchNorm, Bias, Convolution, Deconvolution, Eltwise, InnerProduct, Scale)


@dataclass
class Step:
    """Layers that are computed at once, each on the top of the one before; `first` alone may have several bottoms.

    `bottoms` and `tops` are numbers of values (caffe_torch.wiring); `done` are values that no later step reads; `onto`
    is the place of the bottom that a sum is written over.
    """

    layers: list[Layer]
    bottoms: list[int]
    tops: list[int]
    onto: int | None = None
    done: list[int] = field(default_factory=list)

    @property
    def first(self) -> Layer:
        return self.layers[0]

    @property
    def relu(self) -> ReLU | None:
        """The ReLU that ends several layers."""
        return self.layers[-1] if isinstance(self.layers[-1], ReLU) and len(self.layers) > 1 else None

    @property
    def linear(self) -> list[Layer]:
        """All but the ReLU."""
        return self.layers[:-1] if self.relu else self.layers

    @property
    def multiplies(self) -> bool:
        """Whether it is a multiplication by weights, with what is taken into them."""
        return isinstance(self.first, (Convolution, InnerProduct)) and len(self.bottoms) == 1

    def compute(
        self, bottoms: Sequence[Tensor], weights: tuple[Tensor, Tensor | None] | None = None
    ) -> Sequence[Tensor]:
        """The tops. `weights`: of a step that multiplies, where they are known already."""
        if self.multiplies and (weights or self._folds(bottoms[0])):
            top = self.first.multiplied(bottoms[0], *(weights or folded(self.linear)))
        elif self.onto is not None:
            top = bottoms[self.onto]
            for place, bottom in enumerate(bottoms):
                if place != self.onto:
                    top.add_(bottom)
        elif len(self.layers) == 1:
            return self.first(*bottoms)
        else:
            top = one_by_one(self.linear, bottoms)
        if self.relu:
            slope = self.relu.param.relu_param.negative_slope
            top = F.leaky_relu_(top, slope) if slope else F.relu_(top)
        return (top,)

    def _folds(self, bottom: Tensor) -> bool:
        """Whether it is less work to change the weights than the top.

        In training both take several passes, of the weights about twice as many; and on a GPU many small kernels take
        longer than few large ones (not measured: our choice). Not where the weights' gradient would be needed for the
        factors alone.
        """
        if len(self.linear) == 1 or not torch.is_grad_enabled():
            return True
        if bottom.is_cuda or not self.first.blob0.requires_grad:
            return False
        numbers_of_top = bottom.shape[0] * math.prod(self.first.top_shapes[0][1:])
        return 2 * self.first.blob0.numel() < numbers_of_top


def make_plan(layers: Iterable[Layer], wires: Wires, kept: set[int]) -> list[Step]:
    """The steps that lead to the values `kept`, of layers in their order."""
    bottoms, tops = wires.bottoms, wires.tops
    needed, chosen = set(kept), []
    for layer in reversed(list(layers)):
        for_itself = not tops[layer.index] and not isinstance(layer, Silence)
        if for_itself or needed.intersection(tops[layer.index]):
            needed.update(bottoms[layer.index])
            chosen.insert(0, layer)
    readers: dict[int, list[Layer]] = {}
    for layer in chosen:
        for number in bottoms[layer.index]:
            readers.setdefault(number, []).append(layer)
    private = {number for number, layers in readers.items() if len(layers) == 1} - kept
    steps, taken, free = [], set(), set()
    for layer in chosen:
        if layer.index in taken:
            continue
        chain = [layer]
        while isinstance(layer, MAKERS) and len(tops[layer.index]) == 1 and tops[chain[-1].index][0] in private:
            (following,) = readers[tops[chain[-1].index][0]]
            if not _goes_with(chain, following):
                break
            chain.append(following)
        taken.update(each.index for each in chain)
        step = Step(chain, bottoms[layer.index], tops[chain[-1].index])
        if isinstance(layer, Eltwise) and layer.is_plain_sum:
            step.onto = next((place for place, number in enumerate(step.bottoms) if number in free), None)
        steps.append(step)
        if isinstance(layer, MAKERS) and not step.relu:  # a ReLU's gradient needs its top
            free.update(private.intersection(step.tops))
    last = {number: step for step in steps for number in (*step.bottoms, *step.tops) if number not in kept}
    for number, step in last.items():
        step.done.append(number)
    return steps


def _goes_with(chain: list[Layer], following: Layer) -> bool:
    """Whether a layer, which alone reads a chain's top, is computed together with it."""
    first, last = chain[0], chain[-1]
    if isinstance(last, ReLU) or following.param.propagate_down:
        return False
    if isinstance(following, ReLU):
        return following.param.relu_param.negative_slope >= 0
    channels_at = {Convolution: "channels_at", InnerProduct: "first"}.get(type(first))
    if channels_at and getattr(first, channels_at) == 1:
        return is_affine(following)
    return _is_pair(last, following) and len(chain) == 1


def _is_pair(one: Layer, other: Layer) -> bool:
    """A BatchNorm and a Scale that one pass does."""
    is_scale = isinstance(other, Scale) and other.is_per_channel
    return isinstance(one, BatchNorm) and is_scale


def one_by_one(layers: Sequence[Layer], bottoms: Sequence[Tensor]) -> Tensor:
    """The top of layers, each on the one before; a BatchNorm with its Scale in one pass."""
    left = list(layers)
    while left:
        layer = left.pop(0)
        if left and _is_pair(layer, left[0]):
            scale = left.pop(0)
            top = layer.normalised(bottoms[0], scale.blob0, scale.blob1 if scale.has_bias() else None)
        else:
            (top,) = layer(*bottoms)
        bottoms = (top,)
    return top


def is_affine(layer: Layer) -> bool:
    """Whether a layer multiplies each channel by a number and adds another, and that alone."""
    if isinstance(layer, BatchNorm):
        return layer.uses_global and len(layer.bottom_shapes[0]) > 1
    return isinstance(layer, (Bias, Scale)) and layer.is_per_channel


def affine(layer: Layer, kind: torch.dtype) -> tuple[Tensor | None, Tensor | None]:
    """The factor and the addend of each channel, of a layer that is affine; None where it has none."""
    if isinstance(layer, BatchNorm):
        mean, variance = (each.to(kind) for each in layer.statistics())
        factor = (variance + layer.param.batch_norm_param.eps).rsqrt()
        return factor, -mean * factor
    first = layer.blob0.to(kind)
    if isinstance(layer, Bias):
        return None, first
    return first, layer.blob1.to(kind) if layer.has_bias() else None


def folded(chain: Sequence[Layer], kind: torch.dtype = torch.float32) -> tuple[Tensor, Tensor | None]:
    """Weights and bias of a Convolution or InnerProduct that does what it and the affine layers behind it do."""
    first = chain[0]
    weight, bias = first.blob0, first.bias
    if len(chain) == 1:
        return weight, bias
    factor = None
    bias = None if bias is None else bias.to(kind)
    for layer in chain[1:]:
        times, plus = affine(layer, kind)
        if times is not None:
            factor = times if factor is None else factor * times
            bias = None if bias is None else bias * times
        if plus is not None:
            bias = plus if bias is None else bias + plus
    if factor is not None:
        transposed = isinstance(first, InnerProduct) and first.param.inner_product_param.transpose
        weight = weight.to(kind) * (factor if transposed else factor.reshape(-1, *[1] * (weight.dim() - 1)))
    return weight, bias
