"""Prototxt and caffemodel files: read and written as protobuf messages."""

from __future__ import annotations

import inspect
import json
import warnings
from pathlib import Path
from typing import Any, Sequence

from google.protobuf import text_format
from google.protobuf.message import DecodeError, Message

from skinmtl.caffe_files.schema import caffe_messages
from skinmtl.common.errors import InputError


def read_net(path: Path, strict: bool = False) -> Message:
    """A prototxt's NetParameter; what the schema does not list is skipped, or with `strict` an error."""
    net = caffe_messages().NetParameter()
    try:
        text_format.Parse(Path(path).read_text(encoding="utf-8"), net, **({} if strict else _unknown_fields_pass()))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise InputError(f"{path}:{error}: not a net prototxt; check the file") from None
    return net


def read_solver(path: Path) -> Message:
    """A solver's SolverParameter. A field that the schema does not list is an error: none is dropped without a word."""
    solver = caffe_messages().SolverParameter()
    try:
        text_format.Parse(Path(path).read_text(encoding="utf-8"), solver)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise InputError(f"{path}:{error}: not a solver prototxt, or not in a form known here; correct it") from None
    return solver


def _unknown_fields_pass() -> dict[str, bool]:
    """protobuf before 3.8 cannot pass over fields: there a net may only have those of the schema."""
    name = "allow_unknown_field"
    return {name: True} if name in inspect.signature(text_format.Parse).parameters else {}


def read_caffemodel(path: Path) -> Message:
    """A caffemodel's NetParameter, with the blobs in `layer` or, where the file is older, in `layers`."""
    net = caffe_messages().NetParameter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what protobuf has to say of a damaged file is said below
            net.ParseFromString(Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except DecodeError:
        raise InputError(f"{path}: not a caffemodel, or one cut short; make or fetch it again") from None
    if not (net.layer or net.layers):
        raise InputError(f"{path}: holds no layers; make or fetch it again")
    return net


def message_text(message: Message, indent: str = "") -> str:
    """The message as prototxt: fields by number, floats in the shortest form that float32 needs.

    protobuf's own text differs between its versions in how it prints floats; generated files must not.
    """
    lines = []
    for field, value in message.ListFields():
        values = value if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else [value]
        for one in values:
            if field.message_type:
                lines.append(f"{indent}{field.name} {{\n{message_text(one, indent + '  ')}{indent}}}\n")
            else:
                lines.append(f"{indent}{field.name}: {_scalar_text(field, one)}\n")
    return "".join(lines)


def _scalar_text(field: Any, value: Any) -> str:
    if field.enum_type:
        return field.enum_type.values_by_number[value].name
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        quoted = json.dumps(value, ensure_ascii=False)
        if '"' in value and "'" not in value and quoted.count("\\") == value.count('"'):
            return f"'{value}'"  # JSON in a param_str stays readable
        return quoted
    return f"{value:.7g}" if isinstance(value, float) else str(value)
