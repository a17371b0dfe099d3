"""What a PNG's chunks say that OpenCV does not follow: significant bits, colour profile, a transparent grey."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from skinmtl.images.exif import PNG_START, chunks

GREY = 0
CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # colour type -> how many numbers of significant bits
LARGEST_PROFILE = 4 << 20  # bytes, our choice: those of printers have about one million
SRGB_GAMMA, SRGB_PRIMARIES = 45455, (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)  # in 100,000ths
NEAR = 0.03  # our choice: of gamma as a part, of chromaticities as they are


def problem(data: bytes) -> str:
    """Why a PNG is not to be given to OpenCV, or "".

    It does not see the transparent grey of a grey PNG, and shows it as it is. Its later versions make room for whatever
    length a chunk claims, up to 4 GB in a file of some bytes.
    """
    position, name = len(PNG_START), b""
    while name != b"IEND":
        name = data[position + 4 : position + 8]
        position += 12 + int.from_bytes(data[position : position + 4], "big")
        if position > len(data):
            return "the PNG is truncated"
        if name == b"tRNS" and data[25] == GREY:
            return "a grey PNG with a transparent grey; save it with an alpha channel or as RGB"
    return ""


def white(data: bytes, pixels: np.ndarray) -> int:
    """Which of the 16-bit values is white: 65535, or what `sBIT` says where the values were not scaled up as they
    should have been (they all fit into its bits, and the bits below are not the empty ones of a dark picture)."""
    said = _before_pixels(data).get(b"sBIT", b"")
    if not said or len(said) != CHANNELS.get(data[25]):
        return 65535
    bits = max(said)
    if not 8 <= bits < 16 or int(pixels.max()) >= 1 << bits:
        return 65535
    is_scaled = not np.bitwise_and(pixels, (1 << (16 - bits)) - 1).any()
    return 65535 if is_scaled else (1 << bits) - 1


def profile(data: bytes) -> bytes:
    """The ICC profile, b"" where there is none; what cannot be unpacked is a profile that nobody can read."""
    packed = _before_pixels(data).get(b"iCCP", b"")
    name, _, rest = packed.partition(b"\0")
    if not name:
        return b""
    try:
        return zlib.decompressobj().decompress(rest[1:], LARGEST_PROFILE)
    except zlib.error:
        return b"damaged"


def other_colours(data: bytes) -> str:
    """What its numbers say of its colours where that is not sRGB, or ""; not for one with a profile."""
    found = _before_pixels(data)
    if b"cICP" in found:
        return coded_colours(*found[b"cICP"][:2]) if len(found[b"cICP"]) == 4 else ""
    if b"sRGB" in found:
        return ""
    primaries, gamma = found.get(b"cHRM", b""), found.get(b"gAMA", b"")
    if len(primaries) == 32:
        pairs = zip(struct.unpack(">8I", primaries), SRGB_PRIMARIES)
        if max(abs(one - other) for one, other in pairs) > NEAR * 100_000:
            return "primaries of its own (cHRM)"
    if len(gamma) == 4 and abs(int.from_bytes(gamma, "big") / SRGB_GAMMA - 1) > 2 * NEAR:
        return f"gamma {int.from_bytes(gamma, 'big') / 100_000:g}"
    return ""


def coded_colours(primaries: int, transfer: int) -> str:
    """In words, numbers of ITU-T H.273 that do not mean sRGB or what is near it; "" for those that do."""
    if transfer in (16, 18):
        return "HDR (PQ)" if transfer == 16 else "HDR (HLG)"
    if transfer == 8:
        return "linear light"
    return {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}.get(primaries, "")


def _before_pixels(data: bytes) -> dict[bytes, bytes]:
    """Name -> body of the chunks before the picture; the first where one is there twice."""
    found: dict[bytes, bytes] = {}
    for name, body in chunks(data):
        if name in (b"IDAT", b"IEND"):
            break
        found.setdefault(name, body)
    return found
