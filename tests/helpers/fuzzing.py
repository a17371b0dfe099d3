"""Damaged files for readers: bytes, texts, JSON, arrays and messages of a sound file, changed at random.

What a reader may do with one is to return, or to raise InputError: in lines that name the file, within seconds.
Every case is drawn from its number alone, so that one that fails can be had again.
"""

from __future__ import annotations

import contextlib
import copy
import json
import random
import re
import signal

import pytest
from fuzzing_values import DEEP, NUMBERS, PIECES, STRINGS, VALUES

from caffe_files.errors import InputError

SECONDS = 5  # of the processor, for one case: a crowded machine slows no test down to a failure
MOST_SHOWN = 400  # bytes of a case that failed


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
