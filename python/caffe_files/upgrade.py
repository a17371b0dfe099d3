"""Nets and solvers of older Caffe in today's form, as Caffe itself upgrades them (BVLC: upgrade_proto.cpp)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from caffe_files.errors import InputError

# where a type is not its old name's words with capitals
TYPES = {
    "NONE": "",
    "ABSVAL": "AbsVal",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "LRN": "LRN",
    "MVN": "MVN",
    "RELU": "ReLU",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "TANH": "TanH",
}
SOLVERS = {
    "SGD": "SGD",
    "NESTEROV": "Nesterov",
    "ADAGRAD": "AdaGrad",
    "RMSPROP": "RMSProp",
    "ADADELTA": "AdaDelta",
    "ADAM": "Adam",
}
CHANGED = ("type", "param", "blob_share_mode", "blobs_lr", "weight_decay", "layer")  # fields without their like today
READS_IMAGES = {"DATA": "data_param", "IMAGE_DATA": "image_data_param", "WINDOW_DATA": "window_data_param"}


def upgraded_net(net: Message, path: Path) -> Message:
    """The net with `layer` where it has the `layers` of before 2014, blobs included; else the net itself.

    InputError, naming `path`, where it has both, or layers of 2013.
    """
    for layer in net.layer:
        if layer.type == "BatchNorm" and len(layer.param) == 3:  # once written to keep its statistics from learning
            layer.ClearField("param")
    if not net.layers:
        return net
    if net.layer:
        raise InputError(f"{path}: has `layer` and the `layers` of before 2014; give it one kind")
    if any(layer.HasField("layer") for layer in net.layers):
        raise InputError(
            f"{path}: a net of 2013; bring it up to date with Caffe's upgrade_net_proto_text (prototxt) or "
            "upgrade_net_proto_binary (caffemodel)"
        )
    new = type(net)()
    for field, value in net.ListFields():
        if field.name != "layers":
            _set(new, field.name, value)
    for layer in net.layers:
        _upgrade(layer, new.layer.add())
    return new


def upgrade_solver(solver: Message, path: Path) -> None:
    """Turns `solver_type`, an enum, into `type`, in place. InputError where both are given."""
    if solver.HasField("solver_type"):
        if solver.HasField("type"):
            raise InputError(f"{path}: has type and the older solver_type; keep type")
        solver.type = SOLVERS[_enum_name(solver, "solver_type")]
        solver.ClearField("solver_type")


def _upgrade(old: Message, new: Message) -> None:
    kind = _enum_name(old, "type")
    new.type = TYPES.get(kind, "".join(word.capitalize() for word in kind.split("_")))
    for field, value in old.ListFields():
        if field.name not in CHANGED:
            _set(new, field.name, value)
    for source, target in (
        ("param", "name"),
        ("blob_share_mode", "share_mode"),
        ("blobs_lr", "lr_mult"),
        ("weight_decay", "decay_mult"),
    ):
        for number, value in enumerate(getattr(old, source)):
            while len(new.param) <= number:
                new.param.add()
            setattr(new.param[number], target, value)
    if kind in READS_IMAGES:  # what is done to images was once said with their source
        source = getattr(new, READS_IMAGES[kind])
        for name in ("scale", "mean_file", "crop_size", "mirror"):
            if source.HasField(name):
                setattr(new.transform_param, name, getattr(source, name))
                source.ClearField(name)


def _set(message: Message, name: str, value: Any) -> None:
    if isinstance(value, Message):
        getattr(message, name).CopyFrom(value)
    elif isinstance(value, (str, bytes, int, float)):
        setattr(message, name, value)
    else:
        getattr(message, name).extend(value)


def _enum_name(message: Message, name: str) -> str:
    values = message.DESCRIPTOR.fields_by_name[name].enum_type.values_by_number
    return values[getattr(message, name)].name
