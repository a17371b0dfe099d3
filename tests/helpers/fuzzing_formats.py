"""Damaged .npz files and protobuf messages: see fuzzing.py."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import random
import zipfile

import numpy as np
from fuzzing import mutated_bytes, mutated_value
from fuzzing_values import STRINGS, VALUES
from google.protobuf.message import Message


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
