"""What EXIF says of orientation and colours: OpenCV's versions apply the one each in its own way, the other never."""

from __future__ import annotations

from typing import Iterator

PNG_START = b"\x89PNG\r\n\x1a\n"
ORIENTATION_TAG, EXIF_TAG, COLOUR_SPACE_TAG, INTEROPERABILITY_TAG, INDEX_TAG = 0x0112, 0x8769, 0xA001, 0xA005, 1
UNCALIBRATED = 0xFFFF
ORDERS = {b"II": "little", b"MM": "big"}
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
    value = _short(tiff, _directory(tiff, tiff[4:8]).get(ORIENTATION_TAG, b""))
    return value if 1 <= value <= 8 else UPRIGHT


def is_adobe_rgb(tiff: bytes) -> bool:
    """True where an EXIF block says so, as cameras do that embed no profile: uncalibrated, interoperability R03."""
    exif = _directory(tiff, _directory(tiff, tiff[4:8]).get(EXIF_TAG, b""))
    if _short(tiff, exif.get(COLOUR_SPACE_TAG, b"")) != UNCALIBRATED:
        return False
    return _directory(tiff, exif.get(INTEROPERABILITY_TAG, b"")).get(INDEX_TAG, b"")[:3] == b"R03"


def _directory(tiff: bytes, at: bytes) -> dict[int, bytes]:
    """Tag -> its four bytes of value or offset, of the directory at the offset `at`; the first where one is twice."""
    order = ORDERS.get(tiff[:2])
    if order is None or len(at) < 4:
        return {}
    first = int.from_bytes(at, order)
    found: dict[int, bytes] = {}
    for n in range(int.from_bytes(tiff[first : first + 2], order) if first else 0):
        entry = tiff[first + 2 + 12 * n : first + 14 + 12 * n]
        if not entry:
            break
        found.setdefault(int.from_bytes(entry[:2], order), entry[8:12])
    return found


def _short(tiff: bytes, value: bytes) -> int:
    return int.from_bytes(value[:2], ORDERS.get(tiff[:2], "big"))
