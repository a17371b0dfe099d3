"""Width and height of an image file, read from its header before anything is decoded.

A file of some hundred bytes can claim any size, and a decoder makes room for what is claimed. Of what is none of
`formats.FORMATS` the size is unknown, and so it is not decoded.
"""

from __future__ import annotations

from skinmtl.images import boxes, formats, jpeg, netpbm, tiff
from skinmtl.images.exif import chunks

# Our choice: above the largest medium-format cameras' 102 million, as 8 bits a channel 400 MB, at worst some 2 GB for a
# moment (16 bits with transparency). OpenCV's own limit is 2 ** 30.
MAX_PIXELS = 1 << 27
CODESTREAM_START = b"\xff\x4f\xff\x51"  # of JPEG 2000


def size_of(data: bytes) -> tuple[int, int] | None:
    """(width, height) as stored, before any turning by EXIF; None where the header tells no size above zero."""
    form = formats.format_of(data)
    found = SIZES[form](data) if form is not None else None
    return found if found and min(found) > 0 else None


def _big(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big") if at + size <= len(data) else 0


def _little(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little") if at + size <= len(data) else 0


def _jpeg(data: bytes) -> tuple[int, int] | None:
    header = jpeg.header(data)
    return header and (header.width, header.height)


def _png(data: bytes) -> tuple[int, int] | None:
    if data[12:16] != b"IHDR":
        return None
    return _big(data, 16, 4), _big(data, 20, 4)


def _bmp(data: bytes) -> tuple[int, int]:
    if _little(data, 14, 4) == 12:  # OS/2's header
        return _little(data, 18, 2), _little(data, 20, 2)
    height = _little(data, 22, 4)
    return _little(data, 18, 4), min(height, (1 << 32) - height)  # below zero where rows go from top to bottom


def _webp(data: bytes) -> tuple[int, int] | None:
    """The larger of the canvas and the first frame, chunk by chunk."""
    sizes = []
    for name, body in chunks(data):
        if name == b"VP8X" and len(body) >= 10:
            sizes.append((1 + _little(body, 4, 3), 1 + _little(body, 7, 3)))
        elif name == b"ANMF" and len(body) >= 12:
            sizes.append((1 + _little(body, 6, 3), 1 + _little(body, 9, 3)))
        elif name == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
            sizes.append((_little(body, 6, 2) & 0x3FFF, _little(body, 8, 2) & 0x3FFF))
        elif name == b"VP8L" and body[:1] == b"\x2f" and len(body) >= 5:
            bits = _little(body, 1, 4)
            sizes.append((1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)))
    return (max(width for width, _ in sizes), max(height for _, height in sizes)) if sizes else None


def _jpeg_2000(data: bytes) -> tuple[int, int] | None:
    """The codestream's size; the box before it may say another, and the larger counts."""
    start = data.find(CODESTREAM_START)
    if start < 0:
        return None
    right, bottom, left, top = (_big(data, start + 8 + 4 * n, 4) for n in range(4))
    box = data.find(b"ihdr", 0, start)
    height, width = (_big(data, box + 4, 4), _big(data, box + 8, 4)) if box >= 0 else (0, 0)
    return max(right - left, width), max(bottom - top, height)


def _gif(data: bytes) -> tuple[int, int]:
    return _little(data, 6, 2), _little(data, 8, 2)


def _sun(data: bytes) -> tuple[int, int]:
    return _big(data, 4, 4), _big(data, 8, 4)


def _netpbm(data: bytes) -> tuple[int, int] | None:
    header = netpbm.header(data)
    return header and header[:2]


SIZES = {
    formats.JPEG: _jpeg,
    formats.PNG: _png,
    formats.TIFF: tiff.size,
    formats.WEBP: _webp,
    formats.BMP: _bmp,
    formats.GIF: _gif,
    formats.JPEG_2000: _jpeg_2000,
    formats.AVIF: boxes.size,
    formats.HEIC: boxes.size,
    formats.NETPBM: _netpbm,
    formats.SUN: _sun,
}
