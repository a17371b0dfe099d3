"""A deploy net and its weights as one ONNX model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Sequence

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


def onnx_graph(
    net: Message,
    tops: dict[str, list[int]],
    parameters: Callable[[str], Sequence[np.ndarray]],
    outputs: Sequence[str],
    of_one_image: bool = False,
) -> Graph:
    """The layers that `outputs` need, as nodes.

    A value has the name of its blob in Caffe. Where layers work in place, the last one's has; an earlier one's is
    BLOB/LAYER. `tops` are the blobs' shapes; `parameters` gives a layer's blobs as in a caffemodel. InputError where a
    layer has no exact counterpart. `of_one_image`: the net is of regions, whose layers are written for one image.
    """
    layers = _needed(net, outputs)
    last = {top: number for number, layer in enumerate(layers) for top in layer.top}
    converters = {**CONVERTERS, **({**OF_ONE_IMAGE, **REGION_CONVERTERS} if of_one_image else {})}
    graph, value_of = Graph(), {INPUT: INPUT, WINDOW: WINDOW}
    views = []
    for number, layer in enumerate(layers):
        if layer.type == "Input":
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
        views.append(LayerView(layer, bottoms, shapes, written, list(tops[layer.top[0]]), blobs, graph))
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
    """The onnx.ModelProto: input (N, 3, side, side), outputs (N, ...) by name; `properties` go in as JSON texts.
    `of_one_image`: N is 1, `window` (1, 4) is an input too, and outputs have the shapes that are given."""
    onnx: Any = import_or_refuse("onnx")
    from onnx import TensorProto, helper, numpy_helper

    inputs_of_net: dict[str, list[Any]] = {INPUT: ["N", 3, side, side]}
    first, opset, ir_version = ["N"], OPSET, IR_VERSION
    if of_one_image:
        inputs_of_net = {INPUT: [1, 3, side, side], WINDOW: [1, 4]}
        first, opset, ir_version = [], OPSET_OF_REGIONS, IR_VERSION_OF_REGIONS
    nodes = [helper.make_node(kind, inputs, outputs_of_node, name=node, **attributes)
             for kind, node, inputs, outputs_of_node, attributes in graph.nodes]  # fmt: skip
    made = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(each, TensorProto.FLOAT, shape) for each, shape in inputs_of_net.items()],
        [helper.make_tensor_value_info(top, TensorProto.FLOAT, [*first, *sides]) for top, sides in outputs.items()],
        [numpy_helper.from_array(values, constant) for constant, values in graph.constants.items()],
        doc_string=str(properties.get("input", "")),
    )
    model = helper.make_model(
        made, producer_name="skinmtl", opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version
    )
    texts = {key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
             for key, value in properties.items()}  # fmt: skip
    helper.set_model_props(model, texts)
    onnx.checker.check_model(model, full_check=True)
    return model


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
