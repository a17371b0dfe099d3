"""A file's blobs as arrays, and arrays as its blobs: by way of bytes, since one by one 25 million numbers take long."""

from __future__ import annotations

from typing import Sequence

import numpy as np
from google.protobuf.message import Message

LEGACY_SIDES = ("num", "channels", "height", "width")


def blob_values(blob: Message) -> np.ndarray:
    """A BlobProto's numbers in their order: (N) float32, or float64 where it holds doubles; read only."""
    values = type(blob)()
    if blob.double_data:
        values.double_data.MergeFrom(blob.double_data)
        count, kind = len(blob.double_data), np.dtype("<f8")
    else:
        values.data.MergeFrom(blob.data)
        count, kind = len(blob.data), np.dtype("<f4")
    raw = values.SerializeToString()  # a head, then the numbers as they are in memory
    return np.frombuffer(raw, kind, count, len(raw) - count * kind.itemsize)


def blob_shape(blob: Message, axes: int) -> list[int]:
    """A BlobProto's shape as a net takes it that has `axes` axes there.

    Before 2015 a blob always had four sides; leading ones of size 1 are not the net's (BVLC: Blob::ShapeEquals).
    """
    if not any(blob.HasField(side) for side in LEGACY_SIDES):
        return list(blob.shape.dim)
    shape = [getattr(blob, side) for side in LEGACY_SIDES]
    while len(shape) > axes and shape[0] == 1:
        shape = shape[1:]
    return shape


def store_blob(blob: Message, values: np.ndarray, shape: Sequence[int] | None = None) -> None:
    """Fills an empty BlobProto with an array as float32, and with its shape or the one given."""
    blob.shape.dim.extend(values.shape if shape is None else shape)
    raw = np.ascontiguousarray(values, "<f4").tobytes()
    blob.MergeFromString(b"\x2a" + _varint(len(raw)) + raw)  # field 5, packed: as it stands in a file


def _varint(number: int) -> bytes:
    """protobuf's form of a length: seven bits a byte, the lowest first, the top bit says that more follow."""
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])
