"""TIFF files written plainly, with what other libraries do not write: any meaning of a channel, tiles, planes, tags."""

from __future__ import annotations

import struct

RGB, GREY = 2, 1
TILE = 16


def tiff(pixels, colours=RGB, extra=None, separate=False, tiled=False, more=()):
    """Bytes of an uncompressed TIFF of (H, W, C) uint8 or uint16; `extra` is ExtraSamples, `more` tags of one SHORT."""
    height, width, channels = pixels.shape
    planes = [pixels[:, :, n : n + 1] for n in range(channels)] if separate else [pixels]
    pieces = [piece.astype(pixels.dtype.newbyteorder("<")).tobytes() for plane in planes for piece in cut(plane, tiled)]
    tags = {
        256: [width],
        257: [height],
        258: [8 * pixels.dtype.itemsize] * channels,
        259: [1],
        262: [colours],
        277: [channels],
        284: [2 if separate else 1],
        **({322: [TILE], 323: [TILE]} if tiled else {278: [height]}),
        **({} if extra is None else {338: list(extra)}),
        **{tag: [value] for tag, value in more},
    }
    first = 8
    offsets = []
    for piece in pieces:
        offsets.append(first)
        first += len(piece)
    longs = {324 if tiled else 273: offsets, 325 if tiled else 279: [len(piece) for piece in pieces]}
    entries, values = b"", b""
    at = first + 2 + 12 * (len(tags) + 2) + 4
    for tag, numbers in sorted({**tags, **longs}.items()):
        kind, letter = (4, "I") if tag in longs else (3, "H")
        body = struct.pack(f"<{len(numbers)}{letter}", *numbers)
        if len(body) > 4:
            body, values = struct.pack("<I", at + len(values)), values + body + bytes(len(body) % 2)
        entries += struct.pack("<HHI", tag, kind, len(numbers)) + body.ljust(4, b"\0")
    directory = struct.pack("<H", len(tags) + 2) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", first) + b"".join(pieces) + directory + values


def cut(plane, tiled):
    if not tiled:
        return [plane]
    height, width = plane.shape[:2]
    assert height % TILE == width % TILE == 0
    return [plane[y : y + TILE, x : x + TILE] for y in range(0, height, TILE) for x in range(0, width, TILE)]
