"""The EXIF orientation of image files, which OpenCV's versions apply or overlook each in its own way."""

from __future__ import annotations

from typing import Iterator

PNG_START = b"\x89PNG\r\n\x1a\n"
ORIENTATION_TAG = 0x0112
UPRIGHT = 1


def orientation(data: bytes) -> int:
    """1..8 as EXIF counts, of a PNG or a WebP; UPRIGHT for other formats, and where a file says nothing or nonsense."""
    for name, body in chunks(data):
        if name in (b"eXIf", b"EXIF"):
            return tiff_orientation(body[6:] if body.startswith(b"Exif\0\0") else body)
    return UPRIGHT


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields (name, body) of a PNG's or a WebP's chunks, and nothing for another format."""
    if data.startswith(PNG_START):
        position, order, name_at, size_at, after = 8, "big", 4, 0, 4  # a checksum follows
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        position, order, name_at, size_at, after = 12, "little", 0, 4, 0
    else:
        return
    while position + 8 <= len(data):
        name = data[position + name_at : position + name_at + 4]
        size = int.from_bytes(data[position + size_at : position + size_at + 4], order)
        yield name, data[position + 8 : position + 8 + size]
        position += 8 + size + after
        if order == "little":
            position += size % 2  # RIFF pads to even sizes


def tiff_orientation(tiff: bytes) -> int:
    """The orientation that an EXIF block says: it has TIFF's layout."""
    order = {b"II": "little", b"MM": "big"}.get(tiff[:2])
    if order is None:
        return UPRIGHT
    first = int.from_bytes(tiff[4:8], order)
    for n in range(int.from_bytes(tiff[first : first + 2], order)):
        entry = tiff[first + 2 + 12 * n : first + 14 + 12 * n]
        if int.from_bytes(entry[:2], order) == ORIENTATION_TAG:
            value = int.from_bytes(entry[8:10], order)
            return value if 1 <= value <= 8 else UPRIGHT
    return UPRIGHT
