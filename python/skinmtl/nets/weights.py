"""What a caffemodel fills in a net: Caffe itself skips what it does not know without a word."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from google.protobuf.message import Message

from skinmtl.caffe_files.prototxt import read_caffemodel
from skinmtl.common.errors import InputError
from skinmtl.nets.net_probe import NetShapes


@dataclass(frozen=True)
class WeightsReport:
    """Layer names: filled from the caffemodel, left at their initial values, not in the net; and what disagrees."""

    filled: tuple[str, ...]
    initial: tuple[str, ...]
    unused: tuple[str, ...]
    disagreeing: tuple[str, ...]


def compare_weights(shapes: NetShapes, caffemodel: Path) -> WeightsReport:
    """Holds a caffemodel against a net's parameter layers, by name, as Caffe's CopyTrainedLayersFrom does.

    `disagreeing` has a line for each layer whose number of blobs or whose shapes differ, whose values are not all
    finite, or that is a BatchNorm without statistics.
    """
    expected = shapes.params
    layers = [layer for layer in _layers(read_caffemodel(caffemodel)) if layer.blobs]
    stored = {layer.name: layer.blobs for layer in layers}
    normal = {layer.name for layer in layers if getattr(layer, "type", "") == "BatchNorm"}  # older layers have none
    disagreeing = {}
    for name in expected:
        if name in stored:
            fault = _fault(expected[name], stored[name]) or (name in normal and _unset_statistics(stored[name]))
            if fault:
                disagreeing[name] = f"{name}: {fault}"
    return WeightsReport(
        filled=tuple(name for name in expected if name in stored and name not in disagreeing),
        initial=tuple(name for name in expected if name not in stored),
        unused=tuple(name for name in stored if name not in expected),
        disagreeing=tuple(disagreeing.values()),
    )


def require_all_filled(prototxt: Path, caffemodel: Path, shapes: NetShapes) -> None:
    """InputError unless every parameter layer of the net is filled with its own shape and finite values."""
    report = compare_weights(shapes, caffemodel)
    of_another_net = f"{caffemodel}: not of the net {prototxt}"
    if report.disagreeing:
        raise InputError(f"{of_another_net}: {report.disagreeing[0]}; give a snapshot of this net")
    if report.initial:
        raise InputError(
            f"{of_another_net}: nothing in it for {', '.join(report.initial)}; give a snapshot of this net"
        )


def _layers(net: Message) -> list[Message]:
    return list(net.layer) or list(net.layers)


def _fault(shapes: list[list[int]], blobs: list[Message]) -> str:
    if len(blobs) != len(shapes):
        return f"{len(blobs)} blobs in the caffemodel, {len(shapes)} in the net"
    for number, (shape, blob) in enumerate(zip(shapes, blobs)):
        found = _shape(blob, len(shape))
        if found != shape:
            return f"blob {number} is {_times(found)} in the caffemodel, {_times(shape)} in the net"
        values = _values(blob)
        if len(values) != np.prod(shape, dtype=int):
            return f"blob {number} has {len(values)} values for {_times(shape)}"
        if not np.isfinite(values).all():
            return f"blob {number} has NaN or infinite values"
    return ""


def _unset_statistics(blobs: list[Message]) -> str:
    """BatchNorm's third blob is what Caffe divides the mean and the variance by; a net that never trained has 0."""
    return "" if _values(blobs[2])[0] else "its statistics were never set (factor 0)"


def _values(blob: Message) -> np.ndarray:
    """The blob's values by way of their bytes: number by number, AlexNet's 60 million would take many seconds."""
    values = type(blob)()
    values.data.MergeFrom(blob.data)
    if values.data:
        return np.frombuffer(values.SerializeToString()[-4 * len(values.data) :], "<f4")
    values.double_data.MergeFrom(blob.double_data)
    count = len(values.double_data)
    return np.frombuffer(values.SerializeToString()[-8 * count :] if count else b"", "<f8")


def _shape(blob: Message, axes: int) -> list[int]:
    """The blob's shape; an older one has four dimensions, of which leading ones of size 1 are not the net's."""
    if blob.HasField("shape"):
        return list(blob.shape.dim)
    shape = [blob.num, blob.channels, blob.height, blob.width]
    while len(shape) > axes and shape[0] == 1:
        shape = shape[1:]
    return shape


def _times(shape: list[int]) -> str:
    return " x ".join(map(str, shape))
