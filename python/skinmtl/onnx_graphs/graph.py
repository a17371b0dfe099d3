"""What ONNX nodes are made of: the graph that they are added to, and a layer as its converter sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Sequence

import numpy as np
from google.protobuf.message import Message

from caffe_files.errors import InputError


@dataclass
class Graph:
    """Nodes, (type, name, inputs, outputs, attributes) each, in the order of the net; constants by name."""

    nodes: list[tuple[str, str, list[str], list[str], dict[str, Any]]] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, kind: str, name: str, inputs: Sequence[str], output: str | list[str], **attributes: Any) -> str:
        """Adds a node; returns its output's name, of several the first one's."""
        outputs = [output] if isinstance(output, str) else output
        self.nodes.append((kind, name, list(inputs), outputs, attributes))
        return outputs[0]

    def constant(self, name: str, values: np.ndarray) -> str:
        """Adds a float32 constant; returns its name."""
        self.constants[name] = np.asarray(values, np.float32, order="C")
        return name

    def whole(self, name: str, values: np.ndarray) -> str:
        """Adds an int64 constant; returns its name."""
        self.constants[name] = np.asarray(values, np.int64, order="C")
        return name


@dataclass(frozen=True)
class LayerView:
    """A layer to convert: names of the values that it reads and writes, their shapes in Caffe, its blobs. `top` is the
    first of `tops`; layers of one top are all but those of regions. `any_size`: heights and widths of the shapes are
    those of one input, and others are to be taken too."""

    param: Message
    bottoms: list[str]
    bottom_shapes: list[list[int]]
    tops: list[str]
    top_shape: list[int]
    blobs: list[np.ndarray]
    graph: Graph
    any_size: bool = False

    @property
    def top(self) -> str:
        return self.tops[0]

    @property
    def name(self) -> str:
        return self.param.name

    def refuse(self, what: str) -> InputError:
        """The error that names this layer."""
        return InputError(f"layer {self.name!r} ({self.param.type}): {what}; it cannot be written as ONNX")

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> None:
        """Adds the node that writes the top."""
        self.graph.add(kind, self.name, inputs, self.top, **attributes)

    def step(self, kind: str, suffix: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Adds a node before it; returns its output's name."""
        name = f"{self.name}/{suffix}"
        return self.graph.add(kind, name, inputs, name, **attributes)

    def constant(self, suffix: str, values: np.ndarray) -> str:
        return self.graph.constant(f"{self.name}/{suffix}", values)
