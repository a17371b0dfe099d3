"""What every layer is: a module that keeps its blobs in Caffe's order and turns bottoms into tops."""

from __future__ import annotations

import math
from typing import Any, Sequence

import torch
from google.protobuf.message import Message
from torch import Tensor, nn

from caffe_torch.errors import NetError
from caffe_torch.fillers import fill
from caffe_torch.wiring import is_in_place

Shape = Sequence[int]
LARGEST = 2**31 - 1  # numbers of a blob: Caffe counts them in an int


class Layer(nn.Module):
    """A layer of a net, built for bottoms of given shapes.

    Its parameters are blob0, blob1, ... in the order and the shapes of a caffemodel. Subclasses set up what they need
    from `self.param` in `set_up` and compute in `forward(*bottoms)`, which returns the tops as a tuple.
    """

    is_source = False  # makes its tops from nothing: data layers
    is_loss = False  # its first top has a loss weight of 1 by itself
    # the fewest and the most bottoms and tops, as Caffe's layer of this type has them; None: no most
    takes: tuple[int, int | None] = (0, None)
    gives: tuple[int, int | None] = (0, None)
    gives_as_many = False  # a top for each bottom
    adds_tops = False  # makes the fewest tops also where the net names none (Caffe: AutoTopBlobs)
    works_in_place = True  # Caffe lets it write over its first bottom, and it then reads what it needs before

    def __init__(self, param: Message, phase: str, bottoms: list[Shape]) -> None:
        super().__init__()
        self.param, self.phase, self.name = param, phase, param.name
        self.bottom_shapes = [tuple(shape) for shape in bottoms]
        self.top_shapes: list[tuple[int, ...]] = []  # set by the net
        self._borrowed: dict[str, tuple[Layer, int, Shape]] = {}
        self.index = 0  # its place in the net, set by it
        self.blob_count = 0
        self.top_count = len(param.top) + self.automatic(param)
        self._check_counts()
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

    def borrow(self, number: int, owner: Layer, of_owner: int) -> None:
        """Takes another layer's blob of as many numbers for its own; here it keeps the shape that it has here."""
        name, theirs = f"blob{number}", owner.blobs[of_owner]
        shape = tuple(self.blobs[number].shape)
        if tuple(theirs.shape) == shape and f"blob{of_owner}" not in owner._borrowed:
            setattr(self, name, theirs)
            return
        self._parameters.pop(name, None)
        self._borrowed[name] = (owner, of_owner, shape)

    def storage(self, number: int) -> Tensor:
        """The tensor that holds a blob's numbers, which may be another layer's and of another shape."""
        owner, of_owner, _ = self._borrowed.get(f"blob{number}", (None, 0, ()))
        return self.blobs[number] if owner is None else owner.storage(of_owner)

    def __getattr__(self, name: str) -> Any:
        borrowed = self.__dict__.get("_borrowed", {}).get(name)
        if borrowed is None:
            return super().__getattr__(name)
        owner, of_owner, shape = borrowed
        return owner.blobs[of_owner].reshape(shape)

    def refuse(self, what: str) -> NetError:
        """The error that names this layer."""
        return refusal(self.param, what)

    def check_size(self, shape: Shape) -> None:
        """NetError where a blob has no numbers, or more than Caffe can count (BVLC: Blob::Reshape)."""
        if min(shape, default=1) < 1 or math.prod(shape) > LARGEST:
            raise self.refuse(f"a blob of {tuple(shape)}; one has 1 to {LARGEST} numbers")

    @classmethod
    def automatic(cls, param: Message) -> int:
        """How many tops the layer makes beside those that the net names."""
        return max(0, cls.gives[0] - len(param.top)) if cls.adds_tops else 0

    def _check_counts(self) -> None:
        """NetError where the numbers of bottoms and tops are not the layer's (BVLC: Layer::CheckBlobCounts)."""
        for what, count, verb, (fewest, most) in (
            ("bottoms", len(self.param.bottom), "takes", self.takes),
            ("tops", self.top_count, "gives", self.gives),
        ):
            if count < fewest or (most is not None and count > most):
                wanted = f"{fewest} or more" if most is None else f"{fewest} to {most}"
                raise self.refuse(f"{count} {what} where it {verb} {fewest if fewest == most else wanted}")
        if self.gives_as_many and self.top_count != len(self.param.bottom):
            raise self.refuse(f"{self.top_count} tops for {len(self.param.bottom)} bottoms; it gives one for each")
        if not self.works_in_place and is_in_place(self.param, 0):
            raise self.refuse("cannot work in place; give its top another name")

    def axis(self, axis: int, dimensions: int) -> int:
        """An axis from 0, where Caffe counts negative ones from the last."""
        if not -dimensions <= axis < dimensions:
            raise self.refuse(f"axis {axis} of a blob with {dimensions} axes")
        return axis % dimensions if dimensions else 0


def refusal(param: Message, what: str) -> NetError:
    """The error that names a layer."""
    return NetError(f"layer {param.name!r} ({param.type}): {what}")
