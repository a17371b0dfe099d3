"""Caffemodels and solverstates: read into a net, and written as Caffe writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from google.protobuf.message import DecodeError, Message
from torch import Tensor

from caffe_torch.errors import NetError
from caffe_torch.net import Net
from skinmtl.caffe_files.prototxt import read_caffemodel
from skinmtl.caffe_files.schema import caffe_messages
from skinmtl.common.outputs import new_file


def copy_weights(net: Net, path: Path) -> list[str]:
    """Fills the layers that the caffemodel has by name; returns the names of its layers that the net has not.

    NetError where a layer of one name has blobs of another number or shape, as in Caffe.
    """
    model = read_caffemodel(path)
    if model.layers:
        raise NetError(f"{path}: of before 2014; Caffe's upgrade_net_proto_binary makes it one that can be read")
    ours = {layer.name: layer for layer in net.layers}
    unknown = []
    for layer in model.layer:
        if not layer.blobs:
            continue
        if layer.name not in ours:
            unknown.append(layer.name)
            continue
        blobs = ours[layer.name].blobs
        if len(blobs) != len(layer.blobs):
            raise NetError(f"{path}: layer {layer.name!r} has {len(layer.blobs)} blobs where the net has {len(blobs)}")
        for number, (blob, stored) in enumerate(zip(blobs, layer.blobs)):
            _copy(stored, blob, f"{path}: layer {layer.name!r}, blob {number}")
    return unknown


def write_caffemodel(net: Net, path: Path) -> None:
    """All layers with their settings and blobs."""
    model = caffe_messages().NetParameter(name=net.name)
    for layer in net.layers:
        stored = model.layer.add()
        stored.CopyFrom(layer.param)
        del stored.blobs[:]
        for blob in layer.blobs:
            _store(stored.blobs.add(), blob)
    _write(path, model)


def write_solverstate(path: Path, iteration: int, current_step: int, model: Path, history: list[Tensor]) -> None:
    """The iteration, the caffemodel's path, and the momentum of each learned parameter in the net's order."""
    state = caffe_messages().SolverState(iter=iteration, learned_net=str(model), current_step=current_step)
    for values in history:
        _store(state.history.add(), values)
    _write(path, state)


def read_solverstate(path: Path, history: list[Tensor]) -> Message:
    """Fills the history; returns the message for its iteration, step and model."""
    state = caffe_messages().SolverState()
    try:
        state.ParseFromString(Path(path).read_bytes())
    except OSError as error:
        raise NetError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except DecodeError:
        raise NetError(f"{path}: not a solverstate, or one cut short; use an older one") from None
    if not state.HasField("iter"):
        raise NetError(f"{path}: holds no iteration; it is no solverstate")
    if len(state.history) != len(history):
        raise NetError(f"{path}: a history of {len(state.history)} parameters where the net learns {len(history)}")
    for number, (values, stored) in enumerate(zip(history, state.history)):
        _copy(stored, values, f"{path}: history {number}")
    return state


def _copy(stored: Message, blob: Tensor, where: str) -> None:
    legacy = any(stored.HasField(side) for side in ("num", "channels", "height", "width"))
    if legacy:  # always four sides; those that the blob has not are 1
        sides = [stored.num, stored.channels, stored.height, stored.width]
        wanted = [1] * (4 - blob.dim()) + list(blob.shape)
    else:
        sides, wanted = list(stored.shape.dim), list(blob.shape)
    numbers = stored.double_data or stored.data
    if sides != wanted or len(numbers) != blob.numel():
        raise NetError(f"{where} has the shape {sides} with {len(numbers)} numbers; the net needs {list(blob.shape)}")
    with torch.no_grad():
        values = np.array(numbers, np.float32).reshape(tuple(blob.shape))
        blob.copy_(torch.from_numpy(values))


def _store(stored: Message, values: Tensor) -> None:
    stored.shape.dim.extend(values.shape)
    flat = values.detach().to("cpu", torch.float32).contiguous().numpy().ravel()
    # as it stands in the file, field 5 packed: from a list, 25 million numbers take many seconds
    raw = flat.astype("<f4", copy=False).tobytes()
    stored.MergeFromString(b"\x2a" + _varint(len(raw)) + raw)


def _varint(number: int) -> bytes:
    """protobuf's form of a length: seven bits a byte, the lowest first, the top bit says that more follow."""
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def _write(path: Path, message: Message) -> None:
    with new_file(path) as partial:
        partial.write_bytes(message.SerializeToString())
