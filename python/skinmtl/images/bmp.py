"""What the header of a BMP file says of transparency and colours."""

from __future__ import annotations

HEADER = 14  # bytes before the header that tells its own size
WITH_ALPHA_MASK, V5 = 56, 124  # sizes of headers
MASKS, MASKS_WITH_ALPHA = 3, 6  # compression
EMBEDDED = b"DEBM"  # "MBED" in a number whose low byte comes first


def has_transparency(data: bytes) -> bool:
    """True where 32 bits a pixel have a mask for transparency. Without one the fourth byte means nothing; zero mostly,
    so that OpenCV's versions that follow it show nothing at all."""
    size, compression = _number(data, HEADER), _number(data, 30)
    if compression not in (MASKS, MASKS_WITH_ALPHA) or (size < WITH_ALPHA_MASK and compression == MASKS):
        return False
    return _number(data, 66) != 0


def profile(data: bytes) -> bytes:
    """The embedded ICC profile; b"" where there is none."""
    if _number(data, HEADER) < V5 or data[70:74] != EMBEDDED:
        return b""
    start = HEADER + _number(data, HEADER + 112)
    return data[start : start + _number(data, HEADER + 116)]


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")
