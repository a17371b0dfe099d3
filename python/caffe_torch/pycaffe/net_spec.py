"""caffe.NetSpec, caffe.layers and caffe.params: nets written in Python."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Any, Callable

from google.protobuf.message import Message

from caffe_torch.pycaffe.proto import caffe_pb2

OWN = ("ntop", "in_place")  # settings of the writing, not of the layer


class Function:
    """A layer of a type, of tops of others."""

    def __init__(self, kind: str, inputs: tuple[Top, ...], settings: dict[str, Any]) -> None:
        if not all(isinstance(each, Top) for each in inputs):
            raise TypeError(f"{kind}: its bottoms must be tops of other layers")
        self.kind, self.inputs, self.settings = kind, inputs, settings
        self.tops = tuple(Top(self) for _ in range(settings.get("ntop", 1)))


class Top:
    """A top of a layer."""

    def __init__(self, fn: Function) -> None:
        self.fn = fn

    def to_proto(self) -> Message:
        """The net that leads here."""
        return to_proto(self)


class Layers:
    """`L.ReLU(top, in_place=True)` is a top of a layer, or its tops where `ntop` says how many, or with none the layer.

    What LayerParameter has not is a setting of the type's own message, such as ConvolutionParameter.
    """

    def __getattr__(self, kind: str) -> Callable:
        def layer(*inputs: Top, **settings: Any) -> Any:
            made = Function(kind, inputs, settings)
            return made.tops[0] if len(made.tops) == 1 else made.tops or made

        return layer


class Params:
    """`P.Pooling.MAX` is the value of that name in PoolingParameter."""

    def __getattr__(self, kind: str) -> type[Message]:
        return getattr(caffe_pb2, f"{kind}Parameter")


class NetSpec:
    """Tops that are set as attributes, or by `[name]`, are named so; `to_proto` is the net that leads to them all."""

    def __init__(self) -> None:
        super().__setattr__("tops", OrderedDict())

    def __setattr__(self, name: str, value: Top | Function) -> None:
        self.tops[name] = value

    def __getattr__(self, name: str) -> Top | Function:
        if name not in self.tops:
            raise AttributeError(name)
        return self.tops[name]

    __setitem__ = __setattr__

    def __getitem__(self, name: str) -> Top | Function:
        return self.tops[name]

    def to_proto(self) -> Message:
        """The NetParameter."""
        return _net(list(self.tops.values()), {value: name for name, value in self.tops.items()})


def to_proto(*tops: Top | Function) -> Message:
    """The net that leads to some tops; names are made of types and counts."""
    return _net(list(tops), {})


def _net(ends: list[Top | Function], names: dict[Top | Function, str]) -> Message:
    net, counts, done = caffe_pb2.NetParameter(), Counter(), set()

    def named(what: Top | Function, kind: str) -> str:
        if what not in names:
            counts[kind] += 1
            names[what] = f"{kind}{counts[kind]}"
        return names[what]

    def blob(top: Top) -> str:
        return blob(top.fn.inputs[0]) if top.fn.settings.get("in_place") else named(top, top.fn.kind)

    def add(fn: Function) -> None:
        if fn in done:
            return
        done.add(fn)
        bottoms = []
        for each in fn.inputs:
            add(each.fn)
            bottoms.append(blob(each))
        name = named((*fn.tops, fn)[0], fn.kind)
        layer = net.layer.add(name=name, type=fn.kind, bottom=bottoms, top=[blob(top) for top in fn.tops])
        for field, value in fn.settings.items():
            if field not in OWN:
                _assign(layer if field in layer.DESCRIPTOR.fields_by_name else _settings(layer), field, value)

    for end in ends:
        add(end.fn if isinstance(end, Top) else end)
    return net


def _settings(layer: Message) -> Message:
    for field in layer.DESCRIPTOR.fields:
        if field.message_type is not None and field.message_type.name == f"{layer.type}Parameter":
            return getattr(layer, field.name)
    raise AttributeError(f"a layer of type {layer.type} has no settings of its own")


def _assign(message: Message, name: str, value: Any) -> None:
    field = getattr(message, name)
    if hasattr(field, "extend"):
        for each in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(each, dict):
                made = field.add()
                for inner, of_inner in each.items():
                    _assign(made, inner, of_inner)
            else:
                field.append(each)
    elif isinstance(value, dict):
        field.SetInParent()
        for inner, of_inner in value.items():
            _assign(field, inner, of_inner)
    else:
        setattr(message, name, value)


layers, params = Layers(), Params()
