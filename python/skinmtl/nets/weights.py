"""What a caffemodel fills in a net: Caffe itself skips what it does not know without a word."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from google.protobuf.message import Message

from caffe_files.blobs import blob_shape, blob_values
from caffe_files.errors import InputError
from caffe_files.prototxt import read_caffemodel
from skinmtl.nets.net_probe import NetShapes


@dataclass(frozen=True)
class WeightsReport:
    """Layer names: filled from the caffemodel, left at their initial values, not in the net; what disagrees; and lines
    on what of the file is not known and no weight."""

    filled: tuple[str, ...]
    initial: tuple[str, ...]
    unused: tuple[str, ...]
    disagreeing: tuple[str, ...]
    passed_over: tuple[str, ...]


def compare_weights(shapes: NetShapes, caffemodel: Path) -> WeightsReport:
    """Holds a caffemodel against a net's parameter layers, by name, as Caffe's CopyTrainedLayersFrom does.

    `disagreeing` has a line for each layer whose number of blobs or whose shapes differ, whose values are not all
    finite, or that is a BatchNorm without statistics.
    """
    expected = shapes.params
    passed_over: list[str] = []
    layers = [layer for layer in read_caffemodel(caffemodel, passed_over.append).layer if layer.blobs]
    stored = {layer.name: layer.blobs for layer in layers}
    normal = {layer.name for layer in layers if layer.type == "BatchNorm"}
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
        passed_over=tuple(passed_over),
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


def _fault(shapes: list[list[int]], blobs: list[Message]) -> str:
    if len(blobs) != len(shapes):
        return f"{len(blobs)} blobs in the caffemodel, {len(shapes)} in the net"
    for number, (shape, blob) in enumerate(zip(shapes, blobs)):
        found = blob_shape(blob, len(shape))
        if found != shape:
            return f"blob {number} is {_times(found)} in the caffemodel, {_times(shape)} in the net"
        values = blob_values(blob)
        if len(values) != np.prod(shape, dtype=int):
            return f"blob {number} has {len(values)} values for {_times(shape)}"
        if not np.isfinite(values).all():
            return f"blob {number} has NaN or infinite values"
    return ""


def _unset_statistics(blobs: list[Message]) -> str:
    """BatchNorm's third blob is what Caffe divides the mean and the variance by; a net that never trained has 0."""
    return "" if len(blobs) < 3 or blob_values(blobs[2]).any() else "its statistics were never set (factor 0)"


def _times(shape: list[int]) -> str:
    return " x ".join(map(str, shape))
