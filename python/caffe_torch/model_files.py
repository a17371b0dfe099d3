"""Caffemodels and solverstates: read into a net, and written as Caffe writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Iterator

import torch
from google.protobuf.message import Message
from torch import Tensor

from caffe_files import prototxt
from caffe_files.blobs import blob_shape, blob_values, store_blob
from caffe_files.outputs import new_file
from caffe_files.schema import caffe_messages
from caffe_torch.errors import NetError
from caffe_torch.hdf5_files import copy_hdf5, is_hdf5
from caffe_torch.hdf5_states import read_hdf5_state
from caffe_torch.net import Net, by_name


def copy_weights(net: Net, path: Path, tell: Callable[[str], None] | None = None) -> list[str]:
    """Fills the layers that the caffemodel has by name; returns the names of its layers that the net has not.

    Of several layers of one name each takes the blobs of its like, where Caffe gives all of them to the first.
    NetError where a layer of one name has blobs of another number or shape, as in Caffe; before anything is filled.
    `tell` gets a line on what of the file is not known and no weight. The weights may be in HDF5 as well.
    """
    if is_hdf5(path):
        return copy_hdf5(net, path)
    model = prototxt.read_caffemodel(path, tell)
    ours = dict(by_name(net.layers))
    unknown, found = [], []
    for name, layer in by_name(model.layer):
        if name not in ours:
            unknown += [layer.name] * bool(layer.blobs)
            continue
        target = ours[name]
        blobs = target.blobs
        if len(blobs) != len(layer.blobs):
            raise NetError(f"{path}: layer {layer.name!r} has {len(layer.blobs)} blobs where the net has {len(blobs)}")
        for number, (blob, stored) in enumerate(zip(blobs, layer.blobs)):
            _check(stored, blob, f"{path}: layer {layer.name!r}, blob {number}")
            found.append((stored, target.storage(number)))
    for stored, blob in found:
        _copy(stored, blob)
    return unknown


def write_caffemodel(net: Net, path: Path) -> None:
    """All layers with their settings and blobs."""
    messages = caffe_messages()

    def parts() -> Iterator[Message]:
        yield messages.NetParameter(name=net.name)
        for layer in net.layers:
            part = messages.NetParameter()
            stored = part.layer.add()
            stored.CopyFrom(layer.param)
            del stored.blobs[:]
            for blob in layer.blobs:
                _store(stored.blobs.add(), blob)
            yield part

    _write(path, parts())


def write_solverstate(path: Path, iteration: int, current_step: int, model: Path, history: list[Tensor]) -> None:
    """The iteration, the caffemodel's path, and the history of each learned parameter in the net's order."""
    kind = caffe_messages().SolverState

    def parts() -> Iterator[Message]:
        yield kind(iter=iteration, learned_net=str(model))
        for values in history:
            part = kind()
            _store(part.history.add(), values)
            yield part
        yield kind(current_step=current_step)

    _write(path, parts())


def read_solverstate(path: Path, history: list[Tensor]) -> Message:
    """Fills the history; returns the message for its iteration, step and model. The file may be in HDF5 as well."""
    if is_hdf5(path):
        return read_hdf5_state(path, history)
    state = prototxt.read_solverstate(path)
    if len(state.history) != len(history):
        raise NetError(f"{path}: a history of {len(state.history)} blobs where this solver's has {len(history)}")
    if state.iter < 0 or state.current_step < 0:
        raise NetError(f"{path}: iteration {state.iter}, step {state.current_step}; use another solverstate")
    for number, (stored, values) in enumerate(zip(state.history, history)):
        _check(stored, values, f"{path}: history {number}")
    for stored, values in zip(state.history, history):
        _copy(stored, values)
    return state


def model_of(state: Message, path: Path) -> Path | None:
    """The caffemodel that a solverstate names, or where it is gone, that of the same name beside the solverstate.

    Caffe knows the path as it was written alone, from the working folder on; so a folder that was moved fails there.
    """
    if not isinstance(state.learned_net, str) or "\0" in state.learned_net:
        raise NetError(f"{path}: names a caffemodel {state.learned_net!r}; use another solverstate")
    if not state.learned_net:
        return None
    written, beside = Path(state.learned_net), path.with_name(Path(state.learned_net).name)
    if not written.is_file() and not beside.is_file():
        raise NetError(f"{path}: its caffemodel is neither {state.learned_net!r} nor beside it; put it there")
    return written if written.is_file() else beside


def _check(stored: Message, blob: Tensor, where: str) -> None:
    shape, wanted = blob_shape(stored, blob.dim()), list(blob.shape)
    numbers = len(stored.double_data) or len(stored.data)
    if shape != wanted or numbers != blob.numel():
        raise NetError(f"{where} has the shape {shape} with {numbers} numbers; the net needs {wanted}")


@torch.no_grad()
def _copy(stored: Message, blob: Tensor) -> None:
    values = blob_values(stored).astype("f4")  # a copy, of this machine's byte order, that PyTorch may own
    blob.copy_(torch.from_numpy(values).reshape(blob.shape))


def _store(stored: Message, values: Tensor) -> None:
    store_blob(stored, values.detach().to("cpu", torch.float32).numpy())


def _write(path: Path, parts: Iterator[Message]) -> None:
    """One message in parts: protobuf reads messages behind each other as one, and memory need not hold them all."""
    with new_file(path) as partial, partial.open("wb") as file:
        for part in parts:
            file.write(part.SerializeToString())
