"""What an image file's header says of its format and colours, read without decoding."""

from __future__ import annotations

from typing import NamedTuple

from skinmtl.images import bmp, boxes, formats, jpeg, netpbm, tiff
from skinmtl.images.exif import UPRIGHT
from skinmtl.images.image_size import size_of
from skinmtl.images.pixels import orientation_of

GREY, COLOUR, PALETTE, CMYK, TRANSPARENT = "grey", "colour", "palette", "CMYK", "with transparency"
UNKNOWN = "unknown"
PNG_COLOURS = {0: GREY, 2: COLOUR, 3: PALETTE, 4: TRANSPARENT, 6: TRANSPARENT}
TIFF_COLOURS = {0: GREY, 1: GREY, 2: COLOUR, 3: PALETTE, 5: CMYK, 6: COLOUR}
JPEG_COLOURS = {1: GREY, 3: COLOUR, 4: CMYK}


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
    form = formats.format_of(data)
    if form is None:
        return Header()
    width, height = size_of(data) or (0, 0)
    bits, colours, turned = 0, UNKNOWN, UPRIGHT
    if form is formats.JPEG:
        found = jpeg.header(data)
        if found is not None:
            bits, colours = found.bits, JPEG_COLOURS.get(len(found.components), UNKNOWN)
            turned = found.orientation
    else:
        turned = orientation_of(data, form)
    if form is formats.PNG and len(data) > 25:
        bits, colours = data[24], PNG_COLOURS.get(data[25], UNKNOWN)
    elif form is formats.TIFF:
        tags = tiff.first_directory(data)
        bits = max(tags.get(tiff.BITS, [1]))
        colours = TIFF_COLOURS.get(tags.get(tiff.PHOTOMETRIC, [-1])[0], UNKNOWN)
    elif form is formats.BMP:
        a_pixel = int.from_bytes(data[24:26] if data[14:18] == b"\x0c\0\0\0" else data[28:30], "little")
        bits, colours = 8, PALETTE if a_pixel <= 8 else TRANSPARENT if bmp.has_transparency(data) else COLOUR
    elif form is formats.GIF:
        bits, colours = 8, PALETTE
    elif form is formats.WEBP and len(data) > 24:
        with_alpha = (data[12:16] == b"VP8X" and data[20] & 0x10) or (data[12:16] == b"VP8L" and data[24] & 0x10)
        bits, colours = 8, TRANSPARENT if with_alpha else COLOUR
    elif form in (formats.AVIF, formats.HEIC):
        bits, colours = boxes.bits(data), COLOUR
    elif form is formats.NETPBM:
        said = netpbm.header(data)
        if said is not None:
            bits, colours = said.white.bit_length(), GREY if said.channels == 1 else COLOUR
    return Header(form.name, width, height, bits, colours, turned)
