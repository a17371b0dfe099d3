"""Damaged and hostile forms of a file, drawn by hypothesis, and the rule for what reads one."""

from __future__ import annotations

import re

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

from caffe_files.errors import InputError

NUMBERS = [
    *("0", "-1", "1", "2", "3", "7", "255", "65536", "999999999", "1000000000", "1000000001", "2147483647"),
    *(
        "2147483648",
        "4294967295",
        "-2147483648",
        "9223372036854775807",
        "9" * 400,
        "nan",
        "inf",
        "-inf",
        "1e39",
        "-0.5",
    ),
]
INF, NAN = float("inf"), float("nan")
FLOATS = (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE)
STRINGS = [
    "",
    "a",
    "in",
    "conv",
    "label",
    "x\ny",
    "\0",
    "/",
    "gaussian",
    "uniform",
    "bilinear",
    "msra",
    "Pooling",
    "LRN",
]
CHARACTERS = ["{", "}", ":", "'", "\n", "\0", "é", "#", "[", " dim: 3 "]
WORDS = ["true", "false", "MAX", "AVE", "TRAIN", "FULL", "NONE", "PROD", "'\\n'", "'x\\ny'", "'\\000'", "'\\377'", "''"]


@st.composite
def damaged_bytes(draw, raw):
    """Cut short, or with some bytes changed, put in, taken out or repeated."""
    data = bytearray(raw)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.sampled_from(["flip", "set", "insert", "remove", "repeat", "cut"]))
        if kind == "flip" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set" and data:
            data[at] = draw(st.sampled_from([0, 1, 127, 128, 255]))
        elif kind == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=12))
        elif kind == "remove":
            del data[at : at + draw(st.integers(1, 9))]
        elif kind == "repeat":
            data[at:at] = data[at : at + draw(st.integers(1, 60))]
        elif kind == "cut":
            del data[at:]
    return bytes(data)


@st.composite
def damaged_text(draw, text):
    """With some values replaced by hostile ones, lines repeated, moved or taken out, and characters put in."""
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["number", "number", "number", "word", "line", "character", "copy"]))
        if kind in ("number", "word"):
            found = list(re.finditer(r"(?<=: )-?[\d.]+" if kind == "number" else r"(?<=: )('[^']*'|[A-Za-z]+)", text))
            match = found[draw(st.integers(0, len(found) - 1))] if found else None
            if match:
                text = text[: match.start()] + draw(st.sampled_from(NUMBERS + WORDS)) + text[match.end() :]
        elif kind == "character":
            at = draw(st.integers(0, len(text)))
            text = text[:at] + draw(st.sampled_from(CHARACTERS)) + text[at:]
        else:
            lines = text.split("\n")
            line = lines[draw(st.integers(0, len(lines) - 1))]
            if kind == "line":
                lines.remove(line)
            else:
                lines.insert(draw(st.integers(0, len(lines))), line)
            text = "\n".join(lines)
    return text


@st.composite
def damaged_message(draw, message):
    """In place: one to three of a message's fields, or of its messages', with hostile values of their own kind."""
    for _ in range(draw(st.integers(1, 3))):
        target = message
        while True:
            inner = [field for field, _ in target.ListFields() if field.message_type]
            if not inner or (target is not message and draw(st.integers(0, 2)) == 0):
                break
            value = getattr(target, draw(st.sampled_from(inner)).name)
            target = value if isinstance(value, Message) else value[draw(st.integers(0, len(value) - 1))]
        scalars = [field for field in target.DESCRIPTOR.fields if not field.message_type]
        present = [field for field, _ in target.ListFields() if not field.message_type]
        if not scalars:
            continue
        field = draw(st.sampled_from(present if present and draw(st.booleans()) else scalars))
        value = draw(hostile_value(field))
        if isinstance(getattr(target, field.name), (int, float, str, bytes)):
            setattr(target, field.name, value)
        else:
            values = getattr(target, field.name)
            if len(values) and draw(st.booleans()):
                values[draw(st.integers(0, len(values) - 1))] = value
            else:
                values.append(value)
    return message


def hostile_value(field):
    """Of the field's own kind."""
    if field.enum_type:
        return st.sampled_from([value.number for value in field.enum_type.values])
    kinds = {FieldDescriptor.TYPE_BOOL: st.booleans(), FieldDescriptor.TYPE_STRING: st.sampled_from(STRINGS)}
    kinds.update(dict.fromkeys(FLOATS, st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 1e-38, 1e38, INF, -INF, NAN])))
    signed = [-(2**31), -1, 0, 1, 2, 3, 4, 5, 7, 20000, 10**9, 2**31 - 1]
    kinds[FieldDescriptor.TYPE_INT32] = st.sampled_from(signed)
    kinds[FieldDescriptor.TYPE_INT64] = st.sampled_from([*signed, 2**31, 2**32, 2**62, 2**63 - 1])
    kinds[FieldDescriptor.TYPE_UINT32] = st.sampled_from([each for each in signed if each >= 0] + [2**31, 2**32 - 1])
    return kinds[field.type]


def one_line_or_done(action):
    """Runs it: an InputError must be one line, and nothing else may be raised. Returns what it returned, or None."""
    try:
        return action()
    except InputError as error:
        assert len(str(error).splitlines()) == 1, error
        return None
