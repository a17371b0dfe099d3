"""Layers of type "Python": the user's class derived from caffe.Layer, called as pycaffe calls it (BVLC:
python_layer.hpp); or its counterpart for this engine, where its module names one.

A module names counterparts in a table, CAFFE_TORCH_LAYERS: from the name of a class for pycaffe to "module:Class" of a
Layer of this engine, which computes the same without a way through numpy.
"""

from __future__ import annotations

import importlib
import pkgutil
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
from caffe_torch.layers.layer import Layer, Shape, refusal
from caffe_torch.layers.pycaffe import Blob, Blobs, StandIn, provided, stand_in
from caffe_torch.layers.sources import Source

TABLE = "CAFFE_TORCH_LAYERS"


def python_layer(param: Message, phase: str, bottoms: list[Shape]) -> Layer:
    """Builds the layer that python_param names."""
    return (_counterpart(param) or UserLayer)(param, phase, bottoms)


class UserLayer(Source):
    """Calls setup, reshape, forward and backward of the user's class; a source where it has no bottoms."""

    takes = gives = (0, None)

    def set_up(self, bottoms: list[Shape]) -> None:
        self.is_source = not bottoms
        self.bottoms = [Blob(shape) for shape in bottoms]
        named = dict(zip(self.param.bottom, self.bottoms))  # a top in place of a bottom is the same blob, as in Caffe
        self.tops = [named.get(name) or Blob(()) for name in self.param.top]
        self.user = self._made()
        settings = self.param.python_param
        self.user.param_str, self.user.phase = settings.param_str, ("TRAIN", "TEST").index(self.phase)
        self._call("setup")
        self._call("reshape")
        for blob in self.user.blobs:
            self.add_blob(blob.shape, None)
            with torch.no_grad():
                self.blobs[-1].copy_(torch.from_numpy(np.asarray(blob.data, np.float32)))
        self.shapes = [blob.shape for blob in self.tops]

    def _made(self) -> Any:
        if self.param.python_param.share_in_parallel and distributed.is_initialized():
            raise self.refuse("share_in_parallel: processes share no layer; have it look at caffe.solver_rank()")
        made_by = _class_named(self.param)
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

    def reshaped(self, bottoms: list[Shape]) -> list[Shape]:
        """The tops' shapes for bottoms of these shapes."""
        for blob, shape in zip(self.bottoms, bottoms):
            blob.reshape(*shape)
        self._call("reshape")
        return [blob.shape for blob in self.tops]

    def gradients(self, of_tops: tuple[Tensor, ...], needed: tuple[bool, ...]) -> list[np.ndarray]:
        """Of the bottoms and of the parameters, from those of the tops."""
        for blob, values in zip(self.tops, of_tops):
            blob.diff = values.to("cpu", torch.float32).numpy().copy()
        self._call("backward", self.tops, list(needed[: len(self.bottoms)]), self.bottoms)
        return [np.array(blob.diff, np.float32) for blob in (*self.bottoms, *self.user.blobs)]

    def _call(self, name: str, *arguments: Any) -> None:
        with _calling(self.param, name):
            getattr(self.user, name)(*(arguments or (self.bottoms, self.tops)))


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


def _counterpart(param: Message) -> type[Layer] | None:
    """The class that the module's table names for the layer, if it names one."""
    settings, module = param.python_param, _module(param)
    with _calling(param, "import"):
        named = getattr(module, TABLE, {}).get(settings.layer)
        found = None if named is None else pkgutil.resolve_name(named)
    if named is not None and not (isinstance(found, type) and issubclass(found, Layer)):
        raise refusal(param, f"{settings.module}.{TABLE} names {named!r}, which is no Layer of caffe_torch; correct it")
    return found


def _class_named(param: Message) -> type:
    """The class that python_param names."""
    settings, module = param.python_param, _module(param)
    with _calling(param, "import"):
        found = getattr(module, settings.layer, None)
    if not isinstance(found, type):
        raise refusal(param, f"module {settings.module!r} has no class {settings.layer!r}; correct python_param")
    return found


def _module(param: Message) -> ModuleType:
    """The module that python_param names."""
    settings = param.python_param
    if not settings.module or not settings.layer:
        raise refusal(param, "python_param names no module, or no layer; give both")
    with _calling(param, "import"):
        try:
            return importlib.import_module(settings.module)
        except ModuleNotFoundError as error:
            if error.name not in (settings.module, settings.module.partition(".")[0]):
                raise
            raise refusal(param, f"no module {settings.module!r}; put its folder on PYTHONPATH") from None


@contextmanager
def _calling(param: Message, name: str) -> Iterator[None]:
    """Has a `caffe` to import, and says in a line what goes wrong in the user's code."""
    settings = param.python_param
    with provided(stand_in()):
        try:
            yield
        except InputError:
            raise
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            engine = (__file__, importlib.__file__, pkgutil.__file__)
            theirs = [frame for frame in frames if frame.filename[0] != "<" and frame.filename not in engine]
            at = f" ({Path(theirs[-1].filename).name}, line {theirs[-1].lineno})" if theirs else ""
            said = (str(error).splitlines() or [""])[0]
            raise refusal(
                param, f"{settings.module}.{settings.layer}, {name}{at}: {type(error).__name__}: {said}"
            ) from error
