"""Convolutions that add and rectify what they make before they write it: forward passes on a CPU.

Otherwise the top of a convolution is written, and then read and written once more for a sum behind it and for a ReLU.
oneDNN, which computes PyTorch's convolutions on CPUs, does all three in one pass, with weights that are laid out once
as it reads them. PyTorch has this in the operators that torch.compile makes its programs of; here they are called
without it. They have no gradients, and their ReLU makes 0 of what is not a number (NaN), so that a net that diverged
would answer as if it had not. Hence each pass knows a bound of its numbers, and gives up where one might be infinite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_torch.layers.convolution import Convolution
from caffe_torch.layers.pooling import Pooling
from caffe_torch.layers.shapes import Eltwise
from caffe_torch.plan import MAKERS, Step

NEEDED = ("_convolution_pointwise", "_convolution_pointwise_", "_reorder_convolution_weight")
LARGEST = 1e38  # below the largest float32 and bfloat16, 3.4e38


@dataclass
class Summed(Step):
    """A convolution with the sum, and the ReLU, that follow it; the second bottom is what its top is added to, and is
    written over."""

    convolution: Step | None = None
    rectifies: bool = False


@lru_cache(maxsize=None)
def can_fuse(low_precision: bool) -> bool:
    """Whether this PyTorch has the operators, for float32 or for bfloat16, on this processor."""
    operators = torch.ops.mkldnn
    if not (torch.backends.mkldnn.is_available() and all(hasattr(operators, name) for name in NEEDED)):
        return False
    return not low_precision or (
        hasattr(operators, "_is_mkldnn_bf16_supported") and operators._is_mkldnn_bf16_supported()
    )


def is_fused(step: Step) -> bool:
    """Whether a step is a convolution that can be computed by Packed: of N x C x H x W."""
    first = step.first
    return isinstance(first, Convolution) and step.multiplies and first.channels_at == 1 and first.spatial == 2


def with_sums(plan: Sequence[Step]) -> list[Step]:
    """The plan, with each plain sum of two blobs right behind one of its convolutions taken into that, where nothing
    else reads the convolution's top, nor what is written over."""
    steps: list[Step] = []
    for step in plan:
        last = steps[-1] if steps else None
        merged = _summed(last, step, plan) if last is not None else None
        if merged is None:
            steps.append(step)
        else:
            steps[-1] = merged
    return steps


def _summed(convolution: Step, step: Step, plan: Iterable[Step]) -> Step | None:
    """The two as one step; None where they have to stay two."""
    if isinstance(convolution, Summed) or not is_fused(convolution) or convolution.relu:
        return None
    is_sum = isinstance(step.first, Eltwise) and step.first.is_plain_sum and len(step.bottoms) == 2
    if not is_sum or (step.relu and step.relu.param.relu_param.negative_slope):
        return None
    top, others = convolution.tops[0], [number for number in step.bottoms if number != convolution.tops[0]]
    if len(others) != 1 or not {top, *others} <= set(step.done) or others == convolution.bottoms:
        return None
    if not _is_own(others[0], plan):
        return None
    done = [number for number in (*convolution.done, *step.done) if number != top]
    layers, bottoms = [*convolution.layers, *step.layers], [*convolution.bottoms, *others]
    return Summed(layers, bottoms, step.tops, done=done, convolution=convolution, rectifies=step.relu is not None)


def _is_own(value: int, plan: Iterable[Step]) -> bool:
    """Whether no other value has the same memory: a layer made it, and none that reads it hands it on."""
    for step in plan:
        if value in (*step.tops, *step.bottoms) and not isinstance(step.first, (*MAKERS, Pooling)):
            return False
    return True


class Packed:
    """A convolution's weights, laid out for bottoms of one shape; bottoms of other shapes are computed too. In memory
    the channels of bottoms come last.

    `weight` and `bias` are those of the whole step, with what is folded into them.
    """

    def __init__(self, first: Convolution, weight: Tensor, bias: Tensor | None, bottom: Tensor) -> None:
        self._bias = bias
        # a number of the top is at most this many times the largest of the bottom, and this more
        self.grows = float(weight.double().abs().flatten(1).sum(1).max())
        self.adds = 0.0 if bias is None else float(bias.double().abs().max())
        self._places = (list(first.pad), list(first.stride), list(first.dilation), first.group)
        self._weight = torch.ops.mkldnn._reorder_convolution_weight(
            weight.contiguous(memory_format=torch.channels_last), *self._places, list(bottom.shape)
        )

    def top(self, bottom: Tensor, rectifies: bool) -> Tensor:
        """The convolution's, after a ReLU where one `rectifies`."""
        after = "relu" if rectifies else "none"
        return torch.ops.mkldnn._convolution_pointwise(bottom, self._weight, self._bias, *self._places, after, [], None)

    def added(self, bottom: Tensor, other: Tensor, rectifies: bool) -> Tensor:
        """The same, added to `other` before the ReLU, and written over it."""
        after = "relu" if rectifies else None
        return torch.ops.mkldnn._convolution_pointwise_(
            other, bottom, self._weight, self._bias, *self._places, "add", 1.0, after, [], None
        )


class NotFiniteError(Exception):
    """A number of a pass may be infinite, or is none."""


class FusedPass:
    """What computes the steps of one forward pass of a plan `with_sums`. NotFiniteError where ReLUs might hide a NaN.

    `packed` gives a fused step's weights, for a bottom; `otherwise` computes all other steps.
    """

    def __init__(
        self,
        kind: torch.dtype,
        packed: Callable[[Step, Tensor], Packed],
        otherwise: Callable[[Step, list[Tensor]], Sequence[Tensor]],
    ) -> None:
        self._kind, self._packed, self._otherwise = kind, packed, otherwise
        self._bounds: dict[int, float] = {}  # of values: no number is farther from 0

    def compute(self, step: Step, bottoms: list[Tensor]) -> Sequence[Tensor]:
        """The tops of a step."""
        convolution = step.convolution if isinstance(step, Summed) else step
        if not is_fused(convolution):
            return self._otherwise(step, bottoms)
        bottoms = [bottom.to(self._kind, memory_format=torch.channels_last) for bottom in bottoms]
        packed = self._packed(convolution, bottoms[0])
        self._bounds[step.tops[0]] = bound = self._bound(step, bottoms, packed)
        if isinstance(step, Summed):
            return (packed.added(*bottoms, step.rectifies),)
        slope = step.relu.param.relu_param.negative_slope if step.relu else 0
        self._bounds[step.tops[0]] = bound * max(1, slope)
        top = packed.top(bottoms[0], step.relu is not None and not slope)
        return (F.leaky_relu_(top, slope) if slope else top,)

    def _bound(self, step: Step, bottoms: list[Tensor], packed: Packed) -> float:
        """Of the top; where what is known of the bottoms says too little, they are looked at."""
        known = [self._bounds.get(number, math.inf) for number in step.bottoms]
        bound = _bound_of_top(known, packed)
        if not bound <= LARGEST:
            known = [_largest(bottom) for bottom in bottoms]
            self._bounds.update(zip(step.bottoms, known))
            bound = _bound_of_top(known, packed)
        if not bound <= LARGEST:
            raise NotFiniteError
        return bound


def _largest(bottom: Tensor) -> float:
    """How far its numbers are from 0, in the order of memory, which is ten times as fast as by axes; NaN if one is."""
    lowest, highest = torch.aminmax(bottom.permute(0, 2, 3, 1).reshape(-1))
    return max(abs(float(lowest)), abs(float(highest)))


def _bound_of_top(known: list[float], packed: Packed) -> float:
    return known[0] * packed.grows + packed.adds + sum(known[1:])
