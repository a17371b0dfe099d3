"""Damaged files for readers: bytes, texts, JSON, arrays and messages of a sound file, changed at random.

What a reader may do with one is to return, or to raise InputError: in lines that name the file, within seconds.
Every case is drawn from its number alone, so that one that fails can be had again.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import random
import re
import signal
import zipfile

import numpy as np
import pytest
from google.protobuf.message import Message

from caffe_files.errors import InputError

SECONDS = 5  # of the processor, for one case: a crowded machine slows no test down to a failure
MOST_SHOWN = 400  # bytes of a case that failed

NUMBERS = [
    *(b"0", b"-1", b"1", b"2", b"7", b"255", b"65536", b"2147483647", b"2147483648", b"4294967295", b"-2147483648"),
    *(b"9223372036854775807", b"9" * 40, b"9" * 5000, b"1e999", b"-1e999", b"1e-999", b"nan", b"NaN", b"inf"),
    *(
        b"Infinity",
        b"-0",
        b"0.5",
        b"1_000",
        b"0x10",
        b"1e5",
        b"\xc2\xb2",
        b"\xd9\xa3",
        b"\xef\xbc\x91",
        b"",
        b"+1",
        b" 1 ",
    ),
]
PIECES = [
    *(b"\0", b"\xff", b"\x80", b"\n", b"\r", b"\r\n", b"\t", b" ", b"\x1b[2J", b"\x07", b"\x7f", b"\xc2\x85"),
    *(
        b'"',
        b"'",
        b",",
        b";",
        b":",
        b"{",
        b"}",
        b"[",
        b"]",
        b"(",
        b")",
        b"#",
        b"\\",
        b"/",
        b"..",
        b"../",
        b"%",
        b"=",
        b"-",
    ),
    *(
        "\u2028".encode(),
        "\u202e".encode(),
        "\u200d".encode(),
        "e\u0301".encode(),
        "\ufeff".encode(),
        "\U0001f600".encode(),
    ),
    *(
        b"\xed\xa0\x80",
        b"null",
        b"true",
        b"None",
        b"\\ud800",
        b"\\u0000",
        b"\\x00",
        b"!!python/object:os.system",
        b"&a [*a]",
    ),
    *(b"[" * 3000, b"(" * 300, b"{" * 3000, b'{"a":' * 3000, b"<" * 50, b"x" * 3000, b"\x0a" * 200),
]
STRINGS = [
    *(
        "",
        " ",
        "a",
        "0",
        "-1",
        "nan",
        "x\ny",
        "x\0y",
        "\ud800",
        "\u202ex",
        "\x1b[2J",
        "../x",
        "/x",
        "a;b",
        "a,b",
        "{}",
        "[]",
    ),
    *("x" * 3000, "9" * 400, "null", "None", "ü", "e\u0301", "\U0001f600", "1e999", "²", '"', "'", "\\", "%s", "{0}"),
]
VALUES = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    255,
    10**9,
    2**31,
    2**63,
    -(2**63) - 1,
    10**30,
    0.5,
    -0.5,
    1e308,
    float("nan"),
]
VALUES += [float("inf"), -float("inf"), [], {}, [[]], [None], [0], [1, 2, 3], ["a"], {"a": 1}, {"": None}, [[[[1]]]]]
DEEP = "[" * 400 + "]" * 400


def mutated_bytes(chance: random.Random, data: bytes, others: tuple[bytes, ...] = ()) -> bytes:
    """One to four changes at random places, most of them near the start, where headers are."""
    for _ in range(chance.choice((1, 1, 1, 2, 2, 4))):
        size = len(data)
        at = chance.randrange(size + 1)
        if chance.random() < 0.4:
            at = min(at, chance.randrange(256))
        kind = chance.randrange(9)
        if kind == 0 and size:
            at = min(at, size - 1)
            data = data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at] + bytes([chance.choice((0, 1, 10, 34, 127, 128, 255))]) + data[at + 1 :]
        elif kind == 2:
            data = data[:at]
        elif kind == 3:
            data = data[:at] + data[at + chance.choice((1, 1, 2, 4, 16, 64)) :]
        elif kind == 4:
            piece = data[at : at + chance.choice((1, 4, 16, 100))]
            data = data[:at] + piece * chance.choice((1, 2, 50)) + data[at:]
        elif kind == 5:
            data = data[:at] + chance.choice(PIECES) + data[at:]
        elif kind == 6:
            other = chance.choice((data, *others))
            begin = chance.randrange(len(other) + 1)
            data = data[:at] + other[begin : begin + chance.choice((4, 32, 1000))] + data[at:]
        else:
            numbers = list(re.finditer(rb"\d+(\.\d+)?", data[at : at + 4000])) or list(
                re.finditer(rb"\d+", data[:4000])
            )
            if numbers:
                found = chance.choice(numbers)
                begin = data.find(found.group(), at if found.start() + at < size else 0)
                begin = max(0, begin)
                data = data[:begin] + chance.choice(NUMBERS) + data[begin + len(found.group()) :]
    return data


def mutated_lines(chance: random.Random, data: bytes) -> bytes:
    """Lines of a text left out, doubled, exchanged, cut, emptied; and then its bytes, now and then."""
    lines = data.split(b"\n")
    for _ in range(chance.choice((0, 1, 1, 2, 3))):
        at = chance.randrange(len(lines))
        kind = chance.randrange(7)
        if kind == 0 and len(lines) > 1:
            del lines[at]
        elif kind == 1:
            lines.insert(chance.randrange(len(lines)), lines[at])
        elif kind == 2:
            other = chance.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        elif kind == 3:
            lines[at] = lines[at][: chance.randrange(len(lines[at]) + 1)]
        elif kind == 4:
            lines[at] = chance.choice((b"", b" ", b",", b",,,,", b"#", b"\0"))
        else:
            words = re.split(rb"([,:= ])", lines[at])
            words[chance.randrange(len(words))] = chance.choice(
                (chance.choice(NUMBERS), chance.choice(PIECES), chance.choice(STRINGS).encode("utf-8", "surrogatepass"))
            )
            lines[at] = b"".join(words)
    data = b"\n".join(lines)
    return mutated_bytes(chance, data) if chance.random() < 0.4 else data


def mutated_json(chance: random.Random, data: bytes) -> bytes:
    """The JSON of `data` with values exchanged, dropped, renamed; or its bytes."""
    if chance.random() < 0.25:
        return mutated_bytes(chance, data)
    value = mutated_value(chance, json.loads(data.decode("utf-8")))
    text = json.dumps(value, ensure_ascii=chance.random() < 0.5)
    if chance.random() < 0.05:
        text = text.replace('"', DEEP, 1) if chance.random() < 0.2 else re.sub(r"\d+", "9" * 5000, text, count=1)
    return text.encode("utf-8", "surrogatepass")


def mutated_value(chance: random.Random, value: object) -> object:
    """A JSON value with one to three of its parts changed."""
    value = copy.deepcopy(value)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        places = list(_places(value))
        if not places or chance.random() < 0.02:
            return _hostile(chance)
        holder, key = chance.choice(places)
        kind = chance.randrange(6)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[chance.choice(STRINGS)] = holder.pop(key)
        elif kind == 2 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(chance.choice([holder[key], _hostile(chance)])))
        elif kind == 3:
            other, name = chance.choice(places)
            with contextlib.suppress(LookupError):
                holder[key] = copy.deepcopy(other[name])
        else:
            holder[key] = _hostile(chance)
    return value


def _hostile(chance: random.Random) -> object:
    return copy.deepcopy(chance.choice(VALUES if chance.random() < 0.7 else STRINGS))


def _places(value: object) -> list:
    """(holder, key) of every part within."""
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    else:
        return
    for key in keys:
        yield value, key
        yield from _places(value[key])


def mutated_arrays(chance: random.Random, data: bytes) -> bytes:
    """An .npz whose arrays have other shapes, kinds and values, are missing or doubled; or its bytes."""
    if chance.random() < 0.3:
        return mutated_bytes(chance, data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for _ in range(chance.choice((1, 1, 2, 3))):
        if not members:
            break
        name = chance.choice(list(members))
        kind = chance.randrange(8)
        if kind == 0:
            del members[name]
        elif kind == 1:
            members[name] = mutated_bytes(chance, members[name])
        elif kind == 2:
            members[name] = members[chance.choice(list(members))]
        else:
            members[name] = _npy(_mutated_array(chance, members[name]))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def _mutated_array(chance: random.Random, npy: bytes) -> np.ndarray:
    try:
        array = np.lib.format.read_array(io.BytesIO(npy))
    except Exception:  # damaged by the change before
        return np.zeros(3)
    kind = chance.randrange(8)
    if array.dtype.kind == "U" and array.ndim == 0 and kind < 5:  # the text of a JSON
        with contextlib.suppress(ValueError):
            return np.array(json.dumps(mutated_value(chance, json.loads(array.item()))))
    if kind == 0 and _plain(array):
        return array.astype(chance.choice(("f2", "f8", "i1", "u8", "?", "c8", "U3", "S4", ">f4")))
    if kind == 1:
        return array[: chance.randrange(len(array) + 1)] if array.ndim else array.reshape(1)
    if kind == 2:
        return array[..., None] if chance.random() < 0.5 else array.reshape(-1)
    if kind == 3 and _plain(array) and array.size:
        array = array.copy()
        values = (np.nan, np.inf, -1, 3, 1e9, 0.5) if array.dtype.kind == "f" else (-1, 3, 99, 120)
        array.reshape(-1)[chance.randrange(array.size)] = np.array(chance.choice(values)).astype(array.dtype)
        return array
    if array.dtype.kind == "U" and array.size:
        texts = array.reshape(-1).tolist()
        texts[chance.randrange(len(texts))] = chance.choice([*(each for each in STRINGS if each != "\ud800"), texts[0]])
        return np.array(texts).reshape(array.shape)
    return chance.choice(
        (np.array(0.0), np.zeros((0, 0)), np.array([b"x"]), np.zeros(2, "f4,i4"), np.array("NaT", "M8"), np.array("{}"))
    )


def _plain(array: np.ndarray) -> bool:
    return array.dtype.kind in "biuf"


def _npy(array: np.ndarray) -> bytes:
    made = io.BytesIO()
    np.lib.format.write_array(made, array, allow_pickle=False)
    return made.getvalue()


def mutated_message(chance: random.Random, message: Message) -> bytes:
    """A message with fields set, cleared and doubled, as bytes; or with these changed."""
    made = copy.deepcopy(message)
    for _ in range(chance.choice((0, 1, 1, 2, 3))):
        _change_field(chance, made)
    raw = made.SerializeToString()
    return mutated_bytes(chance, raw) if chance.random() < 0.5 else raw


def _change_field(chance: random.Random, message: Message) -> None:
    while True:
        inner = [(field, value) for field, value in message.ListFields() if field.message_type]
        if not inner or chance.random() < 0.3:
            break
        _, value = chance.choice(inner)
        message = value if isinstance(value, Message) else value[chance.randrange(len(value))]
    field = chance.choice(message.DESCRIPTOR.fields)
    if field.message_type or chance.random() < 0.2:
        message.ClearField(field.name)
        return
    candidates = [
        *VALUES[3:17],
        *STRINGS,
        b"\xff\0",
        True,
        *(field.enum_type.values_by_number if field.enum_type else ()),
    ]
    value = chance.choice(candidates)
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        if isinstance(getattr(message, field.name), (bool, int, float, str, bytes)):
            setattr(message, field.name, value)
        else:
            getattr(message, field.name).append(value)


class Fuzzer:
    """Gives a reader `cases` damaged files, written to `folder`."""

    def __init__(self, folder, cases):
        self.folder, self.cases = folder, cases

    def run(self, name, read, seeds, mutate=mutated_bytes, named=(), share=1.0):
        """`read(path)` is the reader of a file of that name, `seeds` are sound files, which it must read. A message may
        name one of the files `named` instead. Fails with one case for each place in the code that is at fault; returns
        how many cases were read, and how many refused. A slow reader gets a `share` of the cases."""
        path = self.folder / name
        for seed in seeds:
            path.write_bytes(seed)
            read(path)
        counts, faults = {"read": 0, "refused": 0}, {}
        with _limited():
            for number in range(max(1, round(share * self.cases))):
                chance = random.Random(f"{name} {number}")
                data = mutate(chance, seeds[number % len(seeds)])
                if path.exists():
                    path.unlink()  # to write over it would make some disks wait for it
                path.write_bytes(data)
                how, fault = _tried(read, path, named)
                counts[how] = counts.get(how, 0) + 1
                if fault:
                    faults.setdefault(how, f"case {number}: {fault[:1000]}\n    {data[:MOST_SHOWN]!r}")
        if faults:
            listed = "\n".join(f"{name}, {counts[how]} times {how}; {fault}" for how, fault in faults.items())
            pytest.fail(listed, pytrace=False)
        return counts


def _tried(read, path, named):
    """What came of it, and what is wrong with that."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        read(path)
    except InputError as error:
        fault = _fault(str(error), path, named)
        return (fault, str(error)) if fault else ("refused", "")
    except Exception as error:
        trace = error.__traceback__
        while trace.tb_next:
            trace = trace.tb_next
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        return f"{type(error).__name__} at {place}", str(error)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return "read", ""


def _fault(message: str, path, named) -> str:
    """What is wrong with an InputError's text, or nothing."""
    lines = message.splitlines()
    if not lines or not all(line.strip() for line in lines):
        return "has an empty line"
    if not any(name in message for name in (path.name, repr(path.name)[1:-1], *named)):
        return "does not name the file"
    return ""


@contextlib.contextmanager
def _limited():
    def stop(number, frame):
        raise AssertionError(f"took more than {SECONDS} s")

    before = signal.signal(signal.SIGPROF, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGPROF, before)
