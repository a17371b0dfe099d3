"""Width and height of an image file, read from its header before anything is decoded.

A file of some hundred bytes can claim any size, and a decoder makes room for what is claimed. The formats are those
that OpenCV reads with 8 or 16 bits a channel; of every other one the size is unknown, and so it is not decoded.
"""

from __future__ import annotations

import re

from skinmtl.data import jpeg, tiff
from skinmtl.data.exif import PNG_START, chunks

# Our choice: above the largest medium-format cameras' 102 million, as 8 bits a channel 400 MB, at worst some 2 GB for a
# moment (16 bits with transparency). OpenCV's own limit is 2 ** 30.
MAX_PIXELS = 1 << 27
PNM = re.compile(rb"P[1-6](?:\s|#[^\n\r]*[\n\r])+(\d{1,10})(?:\s|#[^\n\r]*[\n\r])+(\d{1,10})\s")
PAM = re.compile(rb"^(WIDTH|HEIGHT)[ \t]+(\d{1,10})\s", re.MULTILINE)
PAM_FIELDS = (b"WIDTH", b"HEIGHT")
HEADER = 4096  # bytes in which a PNM's numbers must stand: comments come before them
JP2_START = b"\0\0\0\x0cjP  \r\n\x87\n"
CODESTREAM_START = b"\xff\x4f\xff\x51"
SUN_START = b"\x59\xa6\x6a\x95"


def size_of(data: bytes) -> tuple[int, int] | None:
    """(width, height) as stored, before any turning by EXIF; None where the header tells no size above zero."""
    if data.startswith(jpeg.START):
        found = _jpeg(data)
    elif data.startswith(PNG_START):
        found = _png(data)
    elif tiff.is_tiff(data):
        found = tiff.size(data)
    elif data[:2] == b"BM":
        found = _bmp(data)
    elif data[:4] == b"RIFF":
        found = _webp(data)
    elif data[:6] in (b"GIF87a", b"GIF89a"):
        found = (_little(data, 6, 2), _little(data, 8, 2))
    elif data.startswith((JP2_START, CODESTREAM_START)):
        found = _jpeg_2000(data)
    elif data[4:8] == b"ftyp" and b"avi" in data[8:64]:
        found = _avif(data)
    elif data.startswith(SUN_START):
        found = (_big(data, 4, 4), _big(data, 8, 4))
    else:
        found = _pnm(data)
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


def _avif(data: bytes) -> tuple[int, int] | None:
    """The largest of the sizes that its items have: they stand in the box `meta`."""
    position, sizes = 0, []
    while position + 8 <= len(data):
        length = _big(data, position, 4)
        if data[position + 4 : position + 8] == b"meta":
            box = data[position : position + length] if length else data[position:]
            sizes = [(_big(box, at.end() + 4, 4), _big(box, at.end() + 8, 4)) for at in re.finditer(b"ispe", box)]
            break
        position += max(8, length)
    return max(sizes, key=lambda size: size[0] * size[1]) if sizes else None


def _pnm(data: bytes) -> tuple[int, int] | None:
    start = data[:HEADER]
    if start.startswith(b"P7"):
        said = PAM.findall(start.partition(b"ENDHDR")[0])
        width, height = (max([int(n) for name, n in said if name == which], default=0) for which in PAM_FIELDS)
        return width, height
    found = PNM.match(start)
    return (int(found.group(1)), int(found.group(2))) if found else None
