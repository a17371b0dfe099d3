"""Caffe's protobuf messages without pycaffe and without generated code, from `caffe.proto` beside this file.

Generated code serves one range of protobuf versions only; descriptors built at run time serve them all. They live in
a pool of their own, so that pycaffe's messages of the same names do not clash.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Field = descriptor_pb2.FieldDescriptorProto
LABELS = {"optional": Field.LABEL_OPTIONAL, "repeated": Field.LABEL_REPEATED}
SCALARS = ("bool", "bytes", "double", "float", "int32", "int64", "string", "uint32")
FIELD = re.compile(r"(optional|repeated) (\w+) (\w+) = (\d+)(?: \[(packed|default) = (.+)\])?;")
ENUM = re.compile(r"enum (\w+) \{ (.+); \}")


@lru_cache(maxsize=None)
def caffe_messages() -> SimpleNamespace:
    """The message classes by name: `caffe_messages().Datum`."""
    file = _parse(Path(__file__).with_name("caffe.proto").read_text(encoding="utf-8"))
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    if hasattr(message_factory, "GetMessageClass"):  # protobuf 4.22 and later
        message_class = message_factory.GetMessageClass
    else:
        message_class = message_factory.MessageFactory(pool).GetPrototype
    names = [message.name for message in file.message_type]
    return SimpleNamespace(**{name: message_class(pool.FindMessageTypeByName(f"caffe.{name}")) for name in names})


def _parse(text: str) -> descriptor_pb2.FileDescriptorProto:
    """Reads the plain form that `caffe.proto` is kept in: a field or a brace a line, an enum on one or several."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe_files/caffe.proto", package="caffe", syntax="proto2")
    text = re.sub(r"enum \w+ \{[^}]*\}", lambda enum: " ".join(enum.group().split()), re.sub(r"//.*", "", text))
    lines = [line.strip() for line in text.splitlines()]
    messages = {line.split()[1] for line in lines if line.startswith("message ")}
    message = file  # an enum that several messages use stands outside of them
    for line in lines:
        field, enum = FIELD.match(line), ENUM.match(line)
        if line.startswith("message "):
            message = file.message_type.add(name=line.split()[1])
        elif enum:
            values = message.enum_type.add(name=enum.group(1)).value
            for value in enum.group(2).split("; "):
                name, number = value.split(" = ")
                values.add(name=name, number=int(number))
        elif field:
            shared_enums = {enum.name for enum in file.enum_type}
            _add_field(message, messages, shared_enums, *field.groups())
        elif line == "}":
            message = file
        elif line not in ("", "package caffe;", 'syntax = "proto2";'):
            raise ValueError(f"caffe.proto: cannot read {line!r}")
    return file


def _add_field(
    message: descriptor_pb2.DescriptorProto,
    messages: set[str],
    shared_enums: set[str],
    label: str,
    kind: str,
    name: str,
    number: str,
    option: str | None,
    value: str | None,
) -> None:
    field = message.field.add(name=name, number=int(number), label=LABELS[label])
    if kind in SCALARS:
        field.type = getattr(Field, f"TYPE_{kind.upper()}")
    elif kind in messages:
        field.type, field.type_name = Field.TYPE_MESSAGE, f".caffe.{kind}"
    else:
        scope = ".caffe" if kind in shared_enums else f".caffe.{message.name}"
        field.type, field.type_name = Field.TYPE_ENUM, f"{scope}.{kind}"
    if option == "packed":
        field.options.packed = value == "true"
    elif option == "default":
        field.default_value = value.strip('"')
