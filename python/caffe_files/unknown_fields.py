"""What a binary file holds that Caffe's messages, as listed in caffe.proto, do not: protobuf itself keeps silent.

The bytes are walked through, since protobuf's own ways to ask differ from release to release, and 3.6 has none.
"""

from __future__ import annotations

from typing import Any, Iterator, Sequence

from google.protobuf.descriptor import Descriptor, FieldDescriptor

VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5  # protobuf's wire types
WIRE_TYPES = {
    FieldDescriptor.TYPE_DOUBLE: EIGHT_BYTES,
    FieldDescriptor.TYPE_FLOAT: FOUR_BYTES,
    FieldDescriptor.TYPE_STRING: LENGTH,
    FieldDescriptor.TYPE_BYTES: LENGTH,
    FieldDescriptor.TYPE_MESSAGE: LENGTH,
}


def unknown_field(raw: bytes, message: Descriptor) -> str:
    """Where the first unknown field of a message's bytes is, such as "layer 'conv1': param: field 9"; "" if none is.

    `raw` must be what protobuf has parsed. An enum's unknown value, a field in another form than its own, and text that
    is no UTF-8 count too: protobuf passes over the first two, and each of its releases does as it likes with the third.
    """
    return next((text for _, text in unknown_fields(raw, message)), "")


def unknown_fields(raw: bytes, message: Descriptor) -> Iterator[tuple[tuple[str, ...], str]]:
    """All of them, each with the names of the fields that lead to it."""
    try:
        yield from _unknown(memoryview(raw), message, ())
    except IndexError:  # protobuf 3.12 passes over what is behind an odd tag
        yield (), "a field that is cut short"


def _unknown(raw: memoryview, message: Descriptor, way: Sequence[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    for number, wire_type, value in _fields(raw):
        field = message.fields_by_number.get(number)
        if field is None:
            yield (*way, ""), f"field {number}"
            continue
        here = (*way, field.name)
        expected = WIRE_TYPES.get(field.type, VARINT)
        packed = wire_type == LENGTH and expected != LENGTH  # several numbers in one
        if wire_type != expected and not packed:
            yield here, f"{field.name} in a form of its own"
        elif field.message_type:
            for further, inner in _unknown(value, field.message_type, here):
                yield further, f"{field.name}{_name(value, field.message_type)}: {inner}"
        elif field.enum_type and not packed and value not in field.enum_type.values_by_number:
            yield here, f"{field.name} {value}"
        elif field.type == FieldDescriptor.TYPE_STRING and not _is_text(value):
            yield here, f"{field.name} that is no UTF-8 text"


def _fields(raw: memoryview) -> Iterator[tuple[int, int, Any]]:
    """Number, wire type, and value of each field: a number where it is a varint, else bytes."""
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        wire_type = tag & 7
        if wire_type == VARINT:
            value, at = _varint(raw, at)
            yield tag >> 3, wire_type, value
            continue
        length = {EIGHT_BYTES: 8, FOUR_BYTES: 4}.get(wire_type, 0)
        if wire_type == LENGTH:
            length, at = _varint(raw, at)
        if at + length > len(raw):
            raise IndexError
        yield tag >> 3, wire_type, raw[at : at + length]
        at += length


def _varint(raw: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first; and where the next begins."""
    number = shift = 0
    while True:
        byte = raw[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at


def _name(raw: memoryview, message: Descriptor) -> str:
    """The name that a message has, quoted, to find it by."""
    field = message.fields_by_name.get("name")
    names = [bytes(value) for number, _, value in _fields(raw) if field and number == field.number]
    return f" {names[-1].decode(errors='replace')!r}" if names else ""


def _is_text(raw: memoryview) -> bool:
    try:
        bytes(raw).decode()
    except UnicodeDecodeError:
        return False
    return True
