"""The part of a given net that leads from its input to some of its blobs, and nothing that could harm in it."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import NamedTuple, Sequence

from google.protobuf.message import Message

from caffe_files.errors import InputError
from skinmtl.nets.layer_shapes import TRUNK_LAYERS
from skinmtl.nets.stock_layers import in_stock_layers

# of stock Caffe, and of its forks where published nets are trained with them
READS = (
    *("AnnotatedData", "Data", "DummyData", "HDF5Data", "ImageData", "ImageSegData", "MemoryData", "WindowData"),
    *("LMDBData", "MultiLabelData", "VideoData"),
)
SHOWN = 3  # names in a message


class Cut(NamedTuple):
    """Layers in the net's order, the name of the input that they start from, and that one's shape, empty if unsaid;
    `replaced` are the types that were written in layers of stock Caffe."""

    layers: list[Message]
    source: str
    shape: tuple[int, ...]
    replaced: list[str]


def cut_net(net: Message, blobs: Sequence[str], path: Path) -> Cut:
    """The layers that `blobs` need, with all that works on them in place.

    InputError where a blob is not there or comes after a loss, where a layer may not be in a trunk, or where they do
    not start from one input of three channels.
    """
    inputs = _inputs(net)
    all_layers = [stock for layer in net.layer for stock in in_stock_layers(layer)]
    made = [top for layer in all_layers if layer.type != "Input" for top in layer.top]
    for blob in blobs:
        if blob not in made:
            near = difflib.get_close_matches(blob, made, SHOWN) or list(dict.fromkeys(made))[-SHOWN:]
            raise InputError(f"{path}: no layer makes a blob {blob!r}; name another, such as {', '.join(near)}")
        if blob in inputs:
            raise InputError(f"{path}: {blob} is the input itself; name a blob that layers make of it")
    wanted, layers = set(blobs), []
    for layer in reversed(all_layers):
        if layer.type != "Input" and wanted.intersection(layer.top):
            _check_layer(layer, blobs[0], path)
            layers.insert(0, layer)
            wanted.update(layer.bottom)
    done: set[str] = set()
    sources: list[str] = []
    for layer in layers:
        sources += [bottom for bottom in layer.bottom if bottom not in done and bottom not in sources]
        done.update(layer.top)
    unknown = [name for name in sources if name not in inputs]
    if unknown:
        raise InputError(f"{path}: nothing makes the blob {unknown[0]!r} that it needs; correct the net")
    if len(sources) != 1:
        found = f"{len(sources)} inputs ({', '.join(sources)})" if sources else "no input"
        raise InputError(f"{path}: {blobs[0]} needs {found}, a trunk has one, the image; name another blob")
    shape = inputs[sources[0]]
    if shape and (len(shape) != 4 or shape[1] != 3):
        raise InputError(
            f"{path}: its input {sources[0]} is {' x '.join(map(str, shape))}, not N x 3 x H x W as photographs are; "
            "give another net"
        )
    names = {layer.name for layer in layers}
    kinds = {layer.name: layer.type for layer in net.layer}
    replaced = sorted({kinds[name] for name in names & set(kinds) if kinds[name] not in TRUNK_LAYERS})
    return Cut(layers, sources[0], shape, replaced)


def _inputs(net: Message) -> dict[str, tuple[int, ...]]:
    """The shapes of a net's inputs in all of Caffe's ways to write them; empty where the file leaves one out."""
    shapes = [tuple(shape.dim) for shape in net.input_shape]
    shapes = shapes or [tuple(net.input_dim[at : at + 4]) for at in range(0, len(net.input_dim), 4)]
    named = dict(zip(net.input, [*shapes, *[()] * len(net.input)]))
    for layer in net.layer:
        if layer.type == "Input":
            given = [tuple(shape.dim) for shape in layer.input_param.shape]
            given = given * len(layer.top) if len(given) == 1 else given  # one for all, as Caffe takes it
            named.update(zip(layer.top, [*given, *[()] * len(layer.top)]))
    return named


def _check_layer(layer: Message, features: str, path: Path) -> None:
    if layer.type in READS:
        raise InputError(
            f"{path}: layer {layer.name!r} reads images ({layer.type}); give the net's deploy.prototxt, which has an "
            "input in its place"
        )
    if layer.type.endswith("Loss") or layer.type == "Accuracy" or any(layer.loss_weight):
        raise InputError(f"{path}: {features} comes after the loss {layer.name!r}; name a blob below it")
    if layer.type not in TRUNK_LAYERS:
        raise InputError(
            f"{path}: layer {layer.name!r} is of type {layer.type}, that no trunk may have here; name --features below "
            "it, or give another net"
        )
    if layer.include or layer.exclude:
        raise InputError(
            f"{path}: layer {layer.name!r} is there in some phases only (include, exclude); give the net's "
            "deploy.prototxt"
        )
