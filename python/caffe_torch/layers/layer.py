"""What every layer is: a module that keeps its blobs in Caffe's order and turns bottoms into tops."""

from __future__ import annotations

import math
from typing import Sequence

import torch
from google.protobuf.message import Message
from torch import Tensor, nn

from caffe_torch.errors import NetError
from caffe_torch.fillers import fill

Shape = Sequence[int]
LARGEST = 2**31 - 1  # numbers of a blob: Caffe counts them in an int


class Layer(nn.Module):
    """A layer of a net, built for bottoms of given shapes.

    Its parameters are blob0, blob1, ... in the order and the shapes of a caffemodel. Subclasses set up what they need
    from `self.param` in `set_up` and compute in `forward(*bottoms)`, which returns the tops as a tuple.
    """

    is_source = False  # makes its tops from nothing: data layers
    is_loss = False  # its first top has a loss weight of 1 by itself

    def __init__(self, param: Message, phase: str, bottoms: list[Shape]) -> None:
        super().__init__()
        self.param, self.phase, self.name = param, phase, param.name
        self.bottom_shapes = [tuple(shape) for shape in bottoms]
        self.top_shapes: list[tuple[int, ...]] = []  # set by the net
        self.blob_count = 0
        self.set_up(bottoms)

    @property
    def blobs(self) -> list[Tensor]:
        """The blobs in a caffemodel's order; looked up each time, since a module's move to a device makes new ones."""
        return [getattr(self, f"blob{number}") for number in range(self.blob_count)]

    def set_up(self, bottoms: list[Shape]) -> None:
        """Reads the settings and makes the blobs."""

    def add_blob(self, shape: Shape, filler: Message | None, learned: bool = True) -> None:
        """Adds a blob, filled as `filler` says (None: zeros); `learned`: gradients flow to it."""
        self.check_size(shape)
        try:
            values = torch.empty(tuple(shape), dtype=torch.float32)
        except RuntimeError:
            raise self.refuse(f"no memory for a blob of {tuple(shape)}") from None
        if filler is None:
            values.zero_()
        else:
            fill(values, filler, self.name)
        name = f"blob{self.blob_count}"
        self.blob_count += 1
        if learned:
            values = nn.Parameter(values)
            self.register_parameter(name, values)
        else:
            self.register_buffer(name, values)

    def refuse(self, what: str) -> NetError:
        """The error that names this layer."""
        return refusal(self.param, what)

    def check_size(self, shape: Shape) -> None:
        """NetError where a blob has no numbers, or more than Caffe can count (BVLC: Blob::Reshape)."""
        if min(shape, default=1) < 1 or math.prod(shape) > LARGEST:
            raise self.refuse(f"a blob of {tuple(shape)}; one has 1 to {LARGEST} numbers")

    def expect(self, bottoms: Sequence, fewest: int, most: int | None = None, tops: int | None = 1) -> None:
        """Checks the numbers of bottoms and tops."""
        most = fewest if most is None else max(fewest, most)
        if not fewest <= len(bottoms) <= most:
            wanted = str(fewest) if fewest == most else f"{fewest} to {most}"
            raise self.refuse(f"{len(bottoms)} bottoms where it takes {wanted}")
        if tops is not None and len(self.param.top) != tops:
            raise self.refuse(f"{len(self.param.top)} tops where it gives {tops}")

    def axis(self, axis: int, dimensions: int) -> int:
        """An axis from 0, where Caffe counts negative ones from the last."""
        if not -dimensions <= axis < dimensions:
            raise self.refuse(f"axis {axis} of a blob with {dimensions} axes")
        return axis % dimensions if dimensions else 0


def refusal(param: Message, what: str) -> NetError:
    """The error that names a layer."""
    return NetError(f"layer {param.name!r} ({param.type}): {what}")
