"""Reads .safetensors files with numpy alone, also on a Python that has neither PyTorch nor the safetensors package.

The format is the safetensors project's: the length of a JSON header in 8 bytes, the header with each tensor's dtype,
shape and place, then the tensors.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from caffe_files.errors import InputError

LENGTH = 8  # bytes, the lowest first
DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),  # the upper half of a float32
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Every tensor by name, those of fractions as float32. InputError where the file is damaged."""
    raw = Path(path).read_bytes()
    length = int.from_bytes(raw[:LENGTH], "little")
    start = LENGTH + length
    if len(raw) < LENGTH or start > len(raw):
        raise _damaged(path, "its header is longer than the file")
    try:
        header = json.loads(raw[LENGTH:start].decode("utf-8"))
    except (ValueError, RecursionError):
        raise _damaged(path, "its header is no JSON") from None
    if not isinstance(header, dict):
        raise _damaged(path, "its header is no table of tensors")
    header.pop("__metadata__", None)
    data = memoryview(raw)[start:]
    tensors = {name: _tensor(path, name, entry, data) for name, entry in header.items()}
    reached = 0
    for begin, end in sorted(tuple(entry["data_offsets"]) for entry in header.values()):
        if begin != reached:
            raise _damaged(path, "its tensors do not lie one behind the other")
        reached = end
    if reached != len(data):
        raise _damaged(path, "there is more in it than its tensors")
    return tensors


def _tensor(path: Path, name: str, entry: Any, data: memoryview) -> np.ndarray:
    try:
        kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        whole = all(type(number) is int and number >= 0 for number in (*shape, begin, end))
    except (KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise _damaged(path, f"of the tensor {name!r} it does not say dtype, shape and place")
    if not isinstance(kind, str) or kind not in DTYPES:
        raise InputError(f"{path}: the tensor {name!r} is of the type {kind}; save the weights as float32 or float16")
    count = 1
    for side in shape:
        count *= side
    if end > len(data) or end - begin != count * DTYPES[kind].itemsize:
        raise _damaged(path, f"the tensor {name!r} is not where and as long as the header says")
    try:
        values = np.frombuffer(data[begin:end], DTYPES[kind]).reshape(shape)
    except ValueError:  # more axes, or with an empty one longer others, than numpy can have
        raise _damaged(path, f"the tensor {name!r} has an impossible shape") from None
    if kind == "BF16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32) if values.dtype.kind == "f" else values


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"{path}: no whole .safetensors file: {why}; fetch it again")
