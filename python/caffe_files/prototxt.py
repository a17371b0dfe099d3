"""Prototxts, caffemodels, solverstates and mean files: read and written as protobuf messages."""

from __future__ import annotations

import inspect
import json
import warnings
from pathlib import Path
from typing import Any, Callable, Sequence

from google.protobuf import text_format
from google.protobuf.message import DecodeError, Message

from caffe_files.errors import InputError
from caffe_files.inputs import regular_file
from caffe_files.schema import caffe_messages
from caffe_files.unknown_fields import unknown_field, unknown_fields
from caffe_files.upgrade import upgrade_solver, upgraded_net

WEIGHTS = ("name", "type", "blobs")  # of a layer: what a caffemodel is read for


def read_net(path: Path, strict: bool = False) -> Message:
    """A prototxt's NetParameter, upgraded where it is of before 2014.

    What the schema does not list is skipped, or with `strict` an error.
    """
    net = caffe_messages().NetParameter()
    _parse(path, net, "not a net prototxt; check the file", {} if strict else _unknown_fields_pass())
    return upgraded_net(net, path)


def read_solver(path: Path) -> Message:
    """A solver's SolverParameter. A field that the schema does not list is an error: none is dropped without a word."""
    solver = caffe_messages().SolverParameter()
    _parse(path, solver, "not a solver prototxt, or not in a form known here; correct it", {})
    upgrade_solver(solver, path)
    return solver


def _parse(path: Path, message: Message, otherwise: str, settings: dict[str, bool]) -> None:
    try:
        # byte for byte: for Caffe a comment goes on behind a lone \r, which read_text would make the end of a line
        text_format.Parse(regular_file(path).read_bytes().decode("utf-8"), message, **settings)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise InputError(f"{path}:{error}: {otherwise}") from None
    except RecursionError:
        raise InputError(f"{path}: nested deeper than any net; {otherwise}") from None
    except ValueError as error:  # a path, from a file, that no path can be
        raise InputError(f"{str(path)!r}: cannot be read ({error}); check the path") from None


def _unknown_fields_pass() -> dict[str, bool]:
    """protobuf before 3.8 cannot pass over fields: there a net may only have those of the schema."""
    name = "allow_unknown_field"
    return {name: True} if name in inspect.signature(text_format.Parse).parameters else {}


def read_caffemodel(path: Path, tell: Callable[[str], None] | None = None) -> Message:
    """A caffemodel's NetParameter, with its blobs in `layer` also where it is of before 2014.

    What the schema does not list is an error in a layer's name, type and blobs. Elsewhere it is passed over, as in
    Caffe: published files have settings of layers that came later. `tell` gets a line on it.
    """
    net, raw = _read(path, "NetParameter", "not a caffemodel, or one cut short; make or fetch it again")
    if not (net.layer or net.layers):
        raise InputError(f"{path}: holds no layers; make or fetch it again")
    passed_over = []
    for way, found in unknown_fields(raw, net.DESCRIPTOR):
        if not way or (way[0] in ("layer", "layers") and (len(way) == 1 or way[1] in WEIGHTS)):
            raise _unlisted(path, found)
        passed_over.append(found)
    if passed_over and tell:
        more = f", and {len(passed_over) - 1} more," if len(passed_over) > 1 else ""
        tell(f"{path}: {passed_over[0]}{more} is not known here; it is no weight, and is not read")
    name = _no_text(net)
    if name:
        raise InputError(f"{path}: a {name} in it is no UTF-8 text; make or fetch it again")
    return upgraded_net(net, path)


def read_solverstate(path: Path) -> Message:
    """A solverstate's SolverState; what the schema does not list is an error."""
    state, raw = _read(path, "SolverState", "not a solverstate, or one cut short; use an older one")
    if not state.HasField("iter"):
        raise InputError(f"{path}: holds no iteration, so it is no solverstate; use another")
    _refuse_unknown(path, raw, state)
    return state


def read_blob(path: Path) -> Message:
    """A file of one BlobProto, such as a mean file; what the schema does not list is an error."""
    blob, raw = _read(path, "BlobProto", "not a BlobProto, or one cut short; make it again")
    _refuse_unknown(path, raw, blob)
    return blob


def _read(path: Path, kind: str, otherwise: str) -> tuple[Message, bytes]:
    message = getattr(caffe_messages(), kind)()
    try:
        raw = regular_file(path).read_bytes()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            message.ParseFromString(raw)
        if said:  # protobuf 3.12 has read a part of the file, and only warns
            raise DecodeError
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (DecodeError, UnicodeDecodeError):  # the second from protobuf's Python form
        raise InputError(f"{path}: {otherwise}") from None
    except ValueError as error:  # a path, from a file, that no path can be
        raise InputError(f"{str(path)!r}: cannot be read ({error}); check the path") from None
    return message, raw


def _no_text(message: Message) -> str:
    """The first field of text that has none, in words, or nothing. Some releases of protobuf give bytes there."""
    for field, value in message.ListFields():
        if field.type in (field.TYPE_STRING, field.TYPE_MESSAGE):
            for one in [value] if isinstance(value, (str, bytes, Message)) else value:
                if isinstance(one, bytes):
                    return f"{message.DESCRIPTOR.name}'s {field.name}"
                # blobs are many and hold numbers alone
                found = isinstance(one, Message) and one.DESCRIPTOR.name != "BlobProto" and _no_text(one)
                if found:
                    return found
    return ""


def _refuse_unknown(path: Path, raw: bytes, message: Message) -> None:
    found = unknown_field(raw, message.DESCRIPTOR)
    if found:
        raise _unlisted(path, found)


def _unlisted(path: Path, found: str) -> InputError:
    return InputError(f"{path}: {found} is not known here; make the file with BVLC Caffe or caffe-torch")


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
