"""What an image file's header says of its format and colours, read without decoding."""

from __future__ import annotations

from typing import NamedTuple

from skinmtl.data import jpeg, tiff
from skinmtl.data.exif import PNG_START, UPRIGHT, orientation
from skinmtl.data.image_size import size_of

GREY, COLOUR, PALETTE, CMYK, TRANSPARENT = "grey", "colour", "palette", "CMYK", "with transparency"
UNKNOWN = "unknown"
PNG_COLOURS = {0: GREY, 2: COLOUR, 3: PALETTE, 4: TRANSPARENT, 6: TRANSPARENT}
TIFF_COLOURS = {0: GREY, 1: GREY, 2: COLOUR, 3: PALETTE, 5: CMYK, 6: COLOUR}
JPEG_COLOURS = {1: GREY, 3: COLOUR, 4: CMYK}
STARTS = (
    *((jpeg.START, "JPEG"), (PNG_START, "PNG"), (b"BM", "BMP"), (b"GIF8", "GIF"), (b"RIFF", "WebP")),
    *((b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"II+\0", "TIFF"), (b"MM\0+", "TIFF")),
    *((b"\0\0\0\x0cjP", "JPEG 2000"), (b"\xff\x4f\xff\x51", "JPEG 2000")),
    *((b"P%d" % n, "PNM") for n in range(1, 8)),
)


class Header(NamedTuple):
    """`width` and `height` as stored, in pixels, `bits` a channel; 0 where the header does not say.

    `turned` is the EXIF orientation 1..8; 5 to 8 show the image with its sides exchanged.
    """

    format: str = UNKNOWN
    width: int = 0
    height: int = 0
    bits: int = 0
    colours: str = UNKNOWN
    turned: int = UPRIGHT


def read_header(data: bytes) -> Header:
    """The header of a whole file; what it does not say has Header's defaults. Never raises, whatever the bytes are."""
    name = next((name for start, name in STARTS if data.startswith(start)), UNKNOWN)
    width, height = size_of(data) or (0, 0)
    bits, colours, turned = 0, UNKNOWN, orientation(data)
    if name == "JPEG":
        found = jpeg.header(data)
        if found is not None:
            bits, colours = found.bits, JPEG_COLOURS.get(len(found.components), UNKNOWN)
            turned = found.orientation
    elif name == "PNG" and len(data) > 25:
        bits, colours = data[24], PNG_COLOURS.get(data[25], UNKNOWN)
    elif name == "TIFF":
        tags = tiff.first_directory(data)
        bits = max(tags.get(tiff.BITS, [1]))
        colours = TIFF_COLOURS.get(tags.get(tiff.PHOTOMETRIC, [-1])[0], UNKNOWN)
    elif name == "BMP":
        a_pixel = int.from_bytes(data[24:26] if data[14:18] == b"\x0c\0\0\0" else data[28:30], "little")
        bits, colours = 8, PALETTE if a_pixel <= 8 else COLOUR
    elif name == "GIF":
        bits, colours = 8, PALETTE
    elif name == "WebP" and len(data) > 24:
        with_alpha = (data[12:16] == b"VP8X" and data[20] & 0x10) or (data[12:16] == b"VP8L" and data[24] & 0x10)
        bits, colours = 8, TRANSPARENT if with_alpha else COLOUR
    return Header(name, width, height, bits, colours, turned)
