"""A deploy net and its weights as one ONNX file, and that file held against the engine that runs the net."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Sequence

import numpy as np
from google.protobuf.message import Message

from caffe_files.errors import InputError
from skinmtl.publishing.libraries import import_or_refuse
from skinmtl.publishing.onnx_layers import CONVERTERS, Graph, LayerView, batch_norm, is_scale_of_channels

OPSET, IR_VERSION = 13, 7  # of 2020: what is older than a program, it reads
INPUT = "data"
TOLERANCE = 1e-4  # of a probability
CHECKED_CROPS = 2


def onnx_graph(
    net: Message, tops: dict[str, list[int]], parameters: Callable[[str], Sequence[np.ndarray]], outputs: Sequence[str]
) -> Graph:
    """The layers that `outputs` need, as nodes.

    A value has the name of its blob in Caffe. Where layers work in place, the last one's has; an earlier one's is
    BLOB/LAYER. `tops` are the blobs' shapes; `parameters` gives a layer's blobs as in a caffemodel. InputError where a
    layer has no exact counterpart.
    """
    layers = _needed(net, outputs)
    last = {top: number for number, layer in enumerate(layers) for top in layer.top}
    graph, value_of = Graph(), {INPUT: INPUT}
    views = []
    for number, layer in enumerate(layers):
        if layer.type == "Input":
            continue
        if len(layer.top) != 1 or layer.type not in CONVERTERS:
            raise InputError(f"layer {layer.name!r}: type {layer.type} cannot be written as ONNX")
        top = layer.top[0]
        bottoms = [value_of[bottom] for bottom in layer.bottom]
        value_of[top] = top if last[top] == number else f"{top}/{layer.name}"
        shapes = [list(tops[bottom]) for bottom in layer.bottom]
        blobs = list(parameters(layer.name))
        views.append(LayerView(layer, bottoms, shapes, value_of[top], list(tops[top]), blobs, graph))
    after = [*views[1:], None]
    merged = False
    for view, following in zip(views, after):
        if merged:
            merged = False
        elif view.param.type == "BatchNorm" and following is not None and _is_scale_of(following.param, view.param):
            batch_norm(view, following)
            merged = True
        else:
            CONVERTERS[view.param.type](view)
    return graph


def onnx_model(
    graph: Graph, side: int, outputs: dict[str, Sequence[int]], name: str, properties: dict[str, Any]
) -> Any:
    """The onnx.ModelProto: input (N, 3, side, side), outputs (N, ...) by name; `properties` go in as JSON texts."""
    onnx: Any = import_or_refuse("onnx")
    from onnx import TensorProto, helper, numpy_helper

    nodes = [helper.make_node(kind, inputs, [output], name=node, **attributes)
             for kind, node, inputs, output, attributes in graph.nodes]  # fmt: skip
    made = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", 3, side, side])],
        [helper.make_tensor_value_info(top, TensorProto.FLOAT, ["N", *sides]) for top, sides in outputs.items()],
        [numpy_helper.from_array(values, constant) for constant, values in graph.constants.items()],
        doc_string=str(properties.get("input", "")),
    )
    model = helper.make_model(
        made, producer_name="skinmtl", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    texts = {key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
             for key, value in properties.items()}  # fmt: skip
    helper.set_model_props(model, texts)
    onnx.checker.check_model(model, full_check=True)
    return model


def write_onnx(model: Any, path: Path) -> None:
    """Writes the file; the same model gives the same bytes."""
    path.write_bytes(model.SerializeToString(deterministic=True))


def check_onnx(
    path: Path, forward: Callable[[np.ndarray, Sequence[str]], Sequence[np.ndarray]], side: int, engine: str
) -> str:
    """Runs drawn crops through onnxruntime, where there is one, and through `forward` of the engine of that name.

    Returns what was found, in words. InputError where a probability differs by more than TOLERANCE.
    """
    try:
        runtime: Any = import_or_refuse("onnxruntime")
    except InputError:
        return "not run: this Python has no onnxruntime"
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    random = np.random.RandomState(1)
    crops = (random.standard_normal((CHECKED_CROPS, 3, side, side)) * 60).astype(np.float32)
    found = session.run(outputs, {INPUT: crops})
    expected = [np.array(blob) for blob in forward(crops, outputs)]
    largest = max(float(np.abs(one - other).max()) for one, other in zip(found, expected))
    if not largest <= TOLERANCE:
        raise InputError(f"{path.name}: onnxruntime's probabilities differ by {largest:.1g}; export without --onnx")
    return f"onnxruntime {runtime.__version__} on {CHECKED_CROPS} drawn crops: at most {largest:.1g} from {engine}"


def _needed(net: Message, outputs: Sequence[str]) -> list[Message]:
    wanted, layers = set(outputs), []
    for layer in reversed(net.layer):
        if wanted.intersection(layer.top):
            layers.append(layer)
            wanted.update(layer.bottom)
    return layers[::-1]


def _is_scale_of(scale: Message, normal: Message) -> bool:
    return is_scale_of_channels(scale) and list(scale.bottom) == list(normal.top) == list(scale.top)
