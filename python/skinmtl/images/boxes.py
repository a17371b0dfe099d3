"""Boxes of AVIF, HEIC and JP2 files (ISO 14496-12, 23008-12): how a picture is turned, its depth, its colours.

Of the properties those count that belong to the primary item. Bytes that make no sense tell nothing; none raises.
"""

from __future__ import annotations

import re
from typing import Iterator, NamedTuple

from skinmtl.images.exif import UPRIGHT

CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0}  # bytes before the first box inside
MOST = 1 << 12  # boxes in one, items and their properties that are looked at: of a grid there may be hundreds
# after (the rotation's quarters against the clock, what is mirrored then): EXIF's number
TURNED = {
    **{(quarter, None): number for quarter, number in enumerate((1, 8, 3, 6))},
    **{(quarter, "left and right"): number for quarter, number in enumerate((2, 7, 4, 5))},
    **{(quarter, "top and bottom"): number for quarter, number in enumerate((4, 5, 2, 7))},
}


class Colours(NamedTuple):
    """An embedded ICC profile or b"", and the numbers of primaries and transfer (ITU-T H.273), 2 where not said."""

    profile: bytes = b""
    primaries: int = 2
    transfer: int = 2


def size(data: bytes) -> tuple[int, int] | None:
    """The largest (width, height) that an item has, as stored; None where none says one."""
    meta = next((body for name, body in _boxes(data) if name == b"meta"), b"")
    sizes = [_two(meta, at.end() + 4) for at in re.finditer(b"ispe", meta)]
    return max(sizes, key=lambda of: of[0] * of[1]) if sizes else None


def orientation(data: bytes) -> int:
    """1..8 as EXIF counts, of `irot` and `imir`. EXIF's own is not to be followed here (23008-12, annex A)."""
    quarters, mirrored = 0, None
    for name, body in _of_primary_item(data):
        if name == b"irot" and body:
            quarters, turn = (quarters + (body[0] & 3)) % 4, body[0] & 3
            if mirrored and turn % 2:  # turned after it was mirrored: the mirror turns with it
                mirrored = "top and bottom" if mirrored == "left and right" else "left and right"
        elif name == b"imir" and body:
            now = "left and right" if body[0] & 1 else "top and bottom"
            if mirrored is None:
                mirrored = now
            else:
                quarters, mirrored = (quarters + (0 if mirrored == now else 2)) % 4, None
    return TURNED.get((quarters, mirrored), UPRIGHT)


def is_cropped(data: bytes) -> bool:
    """True where a part of the picture is meant to be shown alone."""
    return any(name == b"clap" for name, _ in _of_primary_item(data))


def bits(data: bytes) -> int:
    """Bits a channel of the primary item; 8 where it does not say."""
    for name, body in _of_primary_item(data):
        if name == b"av1C" and len(body) >= 3:
            return 8 if not body[2] & 0x40 else 12 if body[2] & 0x20 else 10
        if name == b"pixi" and len(body) >= 6:
            return body[5]
    return 8


def colours(data: bytes) -> Colours:
    """What the primary item says of its colours; a profile goes before numbers."""
    found = Colours()
    for name, body in _of_primary_item(data):
        if name != b"colr":
            continue
        if body[:4] in (b"prof", b"rICC"):
            return Colours(body[4:])
        if body[:4] == b"nclx" and len(body) >= 8:
            found = Colours(b"", int.from_bytes(body[4:6], "big"), int.from_bytes(body[6:8], "big"))
    return found


def profile_of_jpeg_2000(data: bytes) -> bytes:
    """The ICC profile of a JP2 file (ISO 15444-1, annex I); b"" where there is none."""
    for name, body in _boxes(_inside(data, b"jp2h")):
        if name == b"colr" and body[:1] == b"\x02":
            return body[3:]
    return b""


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields (name, body) of the boxes that lie one after the other."""
    position = 0
    for _ in range(MOST):
        if position + 8 > len(data):
            return
        length, name, start = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8], 8
        if length == 1:
            length, start = int.from_bytes(data[position + 8 : position + 16], "big"), 16
        end = position + length if length else len(data)
        if end < position + start:
            return
        yield name, data[position + start : end]
        position = end


def _inside(data: bytes, *names: bytes) -> bytes:
    """What the first box of that name holds, and in it the next one; b"" where there is none."""
    for wanted in names:
        data = next((body[CONTAINERS.get(name, 0) :] for name, body in _boxes(data) if name == wanted), b"")
    return data


def _of_primary_item(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields (name, body) of its properties, in the order in which they are to be applied."""
    meta = _inside(data, b"meta")
    primary = _inside(meta, b"pitm")
    wanted = int.from_bytes(primary[4:8] if primary[:1] != b"\0" else primary[4:6], "big")
    properties = list(_boxes(_inside(meta, b"iprp", b"ipco")))
    for name, body in _boxes(_inside(meta, b"iprp")):
        if name == b"ipma":
            for index in _associated(body, wanted):
                if 1 <= index <= len(properties):
                    yield properties[index - 1]


def _associated(body: bytes, wanted: int) -> list[int]:
    """The numbers, from 1, of an item's properties, as a box `ipma` has them."""
    id_size, index_size = (2 if body[:1] == b"\0" else 4), (2 if body[3:4] and body[3] & 1 else 1)
    position = 8
    for _ in range(min(int.from_bytes(body[4:8], "big"), MOST)):
        item = int.from_bytes(body[position : position + id_size], "big")
        count = body[position + id_size] if position + id_size < len(body) else 0
        first = position + id_size + 1
        position = first + count * index_size
        if item == wanted:
            indices = (body[at : at + index_size] for at in range(first, position, index_size))
            return [int.from_bytes(index, "big") & ((1 << (8 * index_size - 1)) - 1) for index in indices]
        if position >= len(body):
            break
    return []


def _two(data: bytes, at: int) -> tuple[int, int]:
    return int.from_bytes(data[at : at + 4], "big"), int.from_bytes(data[at + 4 : at + 8], "big")
