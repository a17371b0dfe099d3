"""Layers of type "Python": one that this engine has itself, or the user's class derived from caffe.Layer, called as
pycaffe calls it (BVLC: python_layer.hpp)."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Iterator

import numpy as np
import torch
from google.protobuf.message import Message
from torch import Tensor, distributed

from caffe_files.errors import InputError
from caffe_torch.layers.jittered import JitteredImageData
from caffe_torch.layers.layer import Layer, Shape
from caffe_torch.layers.sources import Source

NATIVE = {("skinmtl.layers", "JitteredImageData"): JitteredImageData}


def python_layer(param: Message, phase: str, bottoms: list[Shape]) -> Layer:
    """Builds the layer that python_param names."""
    named = (param.python_param.module, param.python_param.layer)
    return NATIVE.get(named, UserLayer)(param, phase, bottoms)


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


class UserLayer(Source):
    """Calls setup, reshape, forward and backward of the user's class; a source where it has no bottoms."""

    def set_up(self, bottoms: list[Shape]) -> None:
        settings = self.param.python_param
        self.is_source = not bottoms
        self.caffe = stand_in()
        self.bottoms = [Blob(shape) for shape in bottoms]
        named = dict(zip(self.param.bottom, self.bottoms))  # a top in place of a bottom is the same blob, as in Caffe
        self.tops = [named.get(name) or Blob(()) for name in self.param.top]
        with self._calling("import"):
            self.user = self._made()
        self.user.param_str, self.user.phase = settings.param_str, ("TRAIN", "TEST").index(self.phase)
        self._call("setup")
        self._call("reshape")
        for blob in self.user.blobs:
            self.add_blob(blob.shape, None)
            with torch.no_grad():
                self.blobs[-1].copy_(torch.from_numpy(np.asarray(blob.data, np.float32)))
        self.shapes = [blob.shape for blob in self.tops]

    def _made(self) -> Any:
        settings = self.param.python_param
        if not settings.module or not settings.layer:
            raise self.refuse("python_param names no module, or no layer; give both")
        if settings.share_in_parallel and distributed.is_initialized():
            raise self.refuse("share_in_parallel: processes share no layer; have it look at caffe.solver_rank()")
        try:
            module = importlib.import_module(settings.module)
        except ModuleNotFoundError as error:
            if error.name not in (settings.module, settings.module.partition(".")[0]):
                raise
            raise self.refuse(f"no module {settings.module!r}; put its folder on PYTHONPATH") from None
        made_by = getattr(module, settings.layer, None)
        if not isinstance(made_by, type):
            raise self.refuse(f"module {settings.module!r} has no class {settings.layer!r}; correct python_param")
        if issubclass(made_by, StandIn):
            return made_by(self.param)
        user = made_by.__new__(made_by)  # pycaffe's own Layer wants a message of C++ to be made with
        user.__dict__["blobs"] = Blobs()
        return user

    def forward(self, *bottoms: Tensor) -> tuple[Tensor, ...]:
        if any(bottom.is_meta for bottom in bottoms):  # the net asks for shapes
            return tuple(torch.empty(shape, device="meta") for shape in self.shapes)
        return _Call.apply(self, *bottoms, *self.blobs)

    def compute(self, bottoms: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The tops of bottoms, on their device."""
        for blob, values in zip(self.bottoms, bottoms):
            blob.take(values)
        for blob, values in zip(self.user.blobs, self.blobs):
            blob.take(values)
        self._call("reshape")
        self._call("forward")
        device = bottoms[0].device if bottoms else "cpu"
        return tuple(torch.from_numpy(np.array(blob.data, np.float32)).to(device) for blob in self.tops)

    def gradients(self, of_tops: tuple[Tensor, ...], needed: tuple[bool, ...]) -> list[np.ndarray]:
        """Of the bottoms and of the parameters, from those of the tops."""
        for blob, values in zip(self.tops, of_tops):
            blob.diff = values.to("cpu", torch.float32).numpy().copy()
        self._call("backward", self.tops, list(needed[: len(self.bottoms)]), self.bottoms)
        return [np.array(blob.diff, np.float32) for blob in (*self.bottoms, *self.user.blobs)]

    def _call(self, name: str, *arguments: Any) -> None:
        with self._calling(name):
            getattr(self.user, name)(*(arguments or (self.bottoms, self.tops)))

    @contextmanager
    def _calling(self, name: str) -> Iterator[None]:
        """Has a `caffe` to import, and says in a line what goes wrong in the user's code."""
        settings = self.param.python_param
        with provided(self.caffe):
            try:
                yield
            except InputError:
                raise
            except Exception as error:
                frames = traceback.extract_tb(error.__traceback__)
                engine = (__file__, importlib.__file__)
                theirs = [frame for frame in frames if frame.filename[0] != "<" and frame.filename not in engine]
                at = f" ({Path(theirs[-1].filename).name}, line {theirs[-1].lineno})" if theirs else ""
                said = (str(error).splitlines() or [""])[0]
                raise self.refuse(
                    f"{settings.module}.{settings.layer}, {name}{at}: {type(error).__name__}: {said}"
                ) from error


class _Call(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, layer: UserLayer, *inputs: Tensor) -> tuple[Tensor, ...]:
        context.layer, context.likes = layer, [(each.device, each.dtype) for each in inputs]
        return layer.compute(inputs[: len(layer.bottoms)])

    @staticmethod
    def backward(context: Any, *of_tops: Tensor) -> tuple[Tensor | None, ...]:
        needed = context.needs_input_grad[1:]
        found = context.layer.gradients(of_tops, needed)
        gradients = (
            torch.from_numpy(values).to(device, dtype) if wanted else None
            for values, wanted, (device, dtype) in zip(found, needed, context.likes)
        )
        return (None, *gradients)


class StandIn:
    """caffe.Layer where there is no pycaffe."""

    def __init__(self, param: Message) -> None:
        self.blobs, self.type = Blobs(), param.type

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Called once."""

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Called before every forward: gives the tops their shapes."""


def stand_in() -> ModuleType | None:
    """A module `caffe` with what layers use of it; None where pycaffe can be imported."""
    if importlib.util.find_spec("caffe") is not None:
        return None
    module = ModuleType("caffe", "What a Python layer needs of pycaffe.")
    module.Layer, module.TRAIN, module.TEST = StandIn, 0, 1
    module.solver_count = lambda: distributed.get_world_size() if distributed.is_initialized() else 1
    module.solver_rank = lambda: distributed.get_rank() if distributed.is_initialized() else 0
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
