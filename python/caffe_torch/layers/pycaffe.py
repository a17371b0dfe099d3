"""What a layer of type "Python" sees of pycaffe: blobs, and a module `caffe` where there is no pycaffe."""

from __future__ import annotations

import importlib.util
import sys
from contextlib import contextmanager
from functools import lru_cache
from types import ModuleType
from typing import Iterator

import numpy as np
import torch
from google.protobuf.message import Message
from torch import Tensor, distributed

from caffe_torch.layers.layer import Shape


class Blob:
    """A bottom, a top or a parameter as a Python layer of pycaffe sees it: float32 on the CPU."""

    def __init__(self, shape: Shape) -> None:
        self.reshape(*shape)

    def reshape(self, *shape: int) -> None:
        """Another shape; numbers are lost where it changes."""
        shape = tuple(int(side) for side in shape)
        if getattr(self, "shape", None) != shape:
            self.shape, self.data, self.diff = shape, np.zeros(shape, np.float32), np.zeros(shape, np.float32)

    def take(self, values: Tensor) -> None:
        """Fills `data`; a layer that keeps the array of the pass before keeps its numbers too."""
        self.shape, self.data = tuple(values.shape), values.detach().to("cpu", torch.float32).numpy().copy()
        self.diff = np.zeros(self.shape, np.float32)

    @property
    def count(self) -> int:
        """How many numbers."""
        return self.data.size

    def _side(self, axis: int) -> int:
        if len(self.shape) > 4:
            raise ValueError(f"num, channels, height and width of a blob with {len(self.shape)} axes")
        return self.shape[axis] if axis < len(self.shape) else 1

    num = property(lambda self: self._side(0))
    channels = property(lambda self: self._side(1))
    height = property(lambda self: self._side(2))
    width = property(lambda self: self._side(3))


class Blobs(list):
    """The parameters of a layer, which its setup adds."""

    def add_blob(self, *shape: int) -> None:
        """One more, of zeros."""
        self.append(Blob(shape))


class StandIn:
    """caffe.Layer where there is no pycaffe."""

    def __init__(self, param: Message) -> None:
        self.blobs, self.type = Blobs(), param.type

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Called once."""

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Called before every forward: gives the tops their shapes."""


def solver_count() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def solver_rank() -> int:
    """Which of them this one is, from 0 on."""
    return distributed.get_rank() if distributed.is_initialized() else 0


@lru_cache(maxsize=None)
def stand_in() -> ModuleType | None:
    """A module `caffe` with what layers use of it; None where pycaffe can be imported."""
    if importlib.util.find_spec("caffe") is not None:
        return None
    module = ModuleType("caffe", "What a Python layer needs of pycaffe.")
    module.Layer, module.TRAIN, module.TEST = StandIn, 0, 1
    module.solver_count, module.solver_rank = solver_count, solver_rank
    return module


@contextmanager
def provided(module: ModuleType | None) -> Iterator[None]:
    """`module` can be imported as caffe, and no longer afterwards: others look whether there is a pycaffe."""
    if module is None or "caffe" in sys.modules:
        yield
        return
    sys.modules["caffe"] = module
    try:
        yield
    finally:
        del sys.modules["caffe"]
