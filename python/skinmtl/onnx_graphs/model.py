"""A deploy net and its weights as one ONNX model."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence, Union

import numpy as np
from google.protobuf.message import Message

from caffe_files.errors import InputError
from skinmtl.common.libraries import import_or_refuse
from skinmtl.nets.allowed_layers import OWN_MODULE
from skinmtl.onnx_graphs.graph import Graph, LayerView
from skinmtl.onnx_graphs.layers import CONVERTERS, OF_ONE_IMAGE, batch_norm, is_scale_of_channels
from skinmtl.onnx_graphs.regions import IR_VERSION as IR_VERSION_OF_REGIONS
from skinmtl.onnx_graphs.regions import OPSET as OPSET_OF_REGIONS
from skinmtl.onnx_graphs.regions import REGION_CONVERTERS

OPSET, IR_VERSION = 13, 7  # of 2020: what is older than a program, it reads
INPUT, WINDOW = "data", "window"
Shape = Sequence[Union[int, str]]


def onnx_graph(
    net: Message,
    tops: dict[str, list[int]],
    parameters: Callable[[str], Sequence[np.ndarray]],
    outputs: Sequence[str],
    of_one_image: bool = False,
    any_size: bool = False,
) -> Graph:
    """The layers that `outputs` need, as nodes.

    A value has the name of its blob in Caffe. Where layers work in place, the last one's has; an earlier one's is
    BLOB/LAYER. `tops` are the blobs' shapes; `parameters` gives a layer's blobs as in a caffemodel. InputError where a
    layer has no exact counterpart. `of_one_image`: some layers are written for one image, as those of regions.
    `any_size`: the input's height and width are not known.
    """
    layers = _needed(net, outputs)
    _require_own_names(layers)
    last = {top: number for number, layer in enumerate(layers) for top in layer.top}
    converters = {**CONVERTERS, **({**OF_ONE_IMAGE, **REGION_CONVERTERS} if of_one_image else {})}
    graph, value_of = Graph(), {}
    views = []
    for number, layer in enumerate(layers):
        if layer.type == "Input":
            value_of.update(zip(layer.top, layer.top))
            continue
        kind = _kind(layer)
        if kind not in converters or (len(layer.top) != 1 and layer.type != "Python"):
            raise InputError(f"layer {layer.name!r}: type {kind} cannot be written as ONNX")
        bottoms = [value_of[bottom] for bottom in layer.bottom]
        for top in layer.top:
            value_of[top] = top if last[top] == number else f"{top}/{layer.name}"
        shapes = [list(tops[bottom]) for bottom in layer.bottom]
        blobs = list(parameters(layer.name))
        written = [value_of[top] for top in layer.top]
        views.append(LayerView(layer, bottoms, shapes, written, list(tops[layer.top[0]]), blobs, graph, any_size))
    after = [*views[1:], None]
    merged = False
    for view, following in zip(views, after):
        if merged:
            merged = False
        elif view.param.type == "BatchNorm" and following is not None and _is_scale_of(following.param, view.param):
            batch_norm(view, following)
            merged = True
        else:
            converters[_kind(view.param)](view)
    return graph


def inputs_of(net: Message, outputs: Sequence[str]) -> list[str]:
    """The inputs that lead to some blobs."""
    return [top for layer in _needed(net, outputs) if layer.type == "Input" for top in layer.top]


def is_of_one_image(net: Message, outputs: Sequence[str]) -> bool:
    """Whether a layer that leads to some blobs can be written for one image alone."""
    return any(_kind(layer) in {**OF_ONE_IMAGE, **REGION_CONVERTERS} for layer in _needed(net, outputs))


def _require_own_names(layers: Sequence[Message]) -> None:
    """InputError where two layers have one name: nodes and constants go by it."""
    counts = Counter(layer.name for layer in layers if layer.type != "Input")
    for name, count in counts.items():
        if count > 1:
            raise InputError(f"{count} layers are named {name!r}; they cannot be written as ONNX")


def _kind(layer: Message) -> str:
    """A layer's type; of our own of type Python its name."""
    settings = layer.python_param
    own = layer.type == "Python" and settings.module == OWN_MODULE
    return settings.layer if own else layer.type


def onnx_model(
    graph: Graph,
    side: int,
    outputs: dict[str, Sequence[int]],
    name: str,
    properties: dict[str, Any],
    of_one_image: bool = False,
) -> Any:
    """The onnx.ModelProto, checked: input (N, 3, side, side), outputs (N, ...) by name; `properties` go in as JSON
    texts. `of_one_image`: N is 1, `window` (1, 4) is an input too, and outputs have the shapes that are given."""
    onnx: Any = import_or_refuse("onnx")
    inputs: dict[str, Shape] = {INPUT: ["N", 3, side, side]}
    shapes: dict[str, Shape | None] = {top: ["N", *sides] for top, sides in outputs.items()}
    if of_one_image:
        inputs, shapes = {INPUT: [1, 3, side, side], WINDOW: [1, 4]}, dict(outputs)
    model = unchecked_model(graph, inputs, shapes, name, of_one_image, str(properties.get("input", "")))
    texts = {key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
             for key, value in properties.items()}  # fmt: skip
    onnx.helper.set_model_props(model, texts)
    onnx.checker.check_model(model, full_check=True)
    return model


def unchecked_model(
    graph: Graph,
    inputs: Mapping[str, Shape],
    outputs: Mapping[str, Shape | None],
    name: str,
    of_one_image: bool = False,
    doc: str = "",
) -> Any:
    """The onnx.ModelProto of float32 inputs and outputs by name; a side that is a name may be of any length, and where
    a shape is None nothing is said of it."""
    import_or_refuse("onnx")
    from onnx import TensorProto, helper, numpy_helper

    opset, ir_version = (OPSET_OF_REGIONS, IR_VERSION_OF_REGIONS) if of_one_image else (OPSET, IR_VERSION)
    nodes = [helper.make_node(kind, read, written, name=node, **attributes)
             for kind, node, read, written, attributes in graph.nodes]  # fmt: skip
    made = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(each, TensorProto.FLOAT, shape) for each, shape in inputs.items()],
        [helper.make_tensor_value_info(each, TensorProto.FLOAT, shape) for each, shape in outputs.items()],
        [numpy_helper.from_array(values, constant) for constant, values in graph.constants.items()],
        doc_string=doc,
    )
    return helper.make_model(
        made, producer_name="skinmtl", opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version
    )


def write_onnx(model: Any, path: Path) -> None:
    """Writes the file; the same model gives the same bytes."""
    path.write_bytes(model.SerializeToString(deterministic=True))


def _needed(net: Message, outputs: Sequence[str]) -> list[Message]:
    wanted, layers = set(outputs), []
    for layer in reversed(net.layer):
        if wanted.intersection(layer.top):
            layers.append(layer)
            wanted.update(layer.bottom)
    return layers[::-1]


def _is_scale_of(scale: Message, normal: Message) -> bool:
    return is_scale_of_channels(scale) and list(scale.bottom) == list(normal.top) == list(scale.top)
