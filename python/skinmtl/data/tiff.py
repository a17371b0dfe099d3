"""What the first directory of a TIFF file says, before anything is decoded (TIFF 6.0; BigTIFF as libtiff reads it)."""

from __future__ import annotations

WIDTH, HEIGHT, BITS, PHOTOMETRIC, TILE_WIDTH, TILE_HEIGHT, SAMPLE_FORMAT = 256, 257, 258, 262, 322, 323, 339
FLOATING_POINT = 3
COMPRESSION, JPEG_COMPRESSION = 259, 7
YCBCR = 6
NO_RGB = {8: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*", 32844: "LogL", 32845: "LogLuv"}
LARGEST_DIRECTORY = 4096  # entries; the standard knows some hundred tags
# BYTE, SHORT, LONG, LONG8 and their signed kin, which libtiff takes too: below zero they are read as very large
BYTES_OF_TYPE = {1: 1, 3: 2, 4: 4, 16: 8, 6: 1, 8: 2, 9: 4, 17: 8}


def is_tiff(data: bytes) -> bool:
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def first_directory(data: bytes) -> dict[int, list[int]]:
    """Tag -> its whole numbers, of the first directory; a tag that is there twice has the numbers of both."""
    if not is_tiff(data):
        return {}
    order = "little" if data[:2] == b"II" else "big"
    big = 43 in data[2:4]
    word, count_size, length = (8, 8, 20) if big else (4, 2, 12)

    def number(start: int, size: int) -> int:
        return int.from_bytes(data[start : start + size], order)

    first = number(word, word)
    found: dict[int, list[int]] = {}
    for n in range(min(number(first, count_size), LARGEST_DIRECTORY)):
        entry = first + count_size + length * n
        size = BYTES_OF_TYPE.get(number(entry + 2, 2))
        if size is None or entry + length > len(data):
            continue
        count = number(entry + 4, word)
        values = entry + 4 + word
        if size * count > word:
            values = number(values, word)
        many = min(count, 8)  # a value a channel; longer lists are offsets
        found.setdefault(number(entry, 2), []).extend(number(values + size * k, size) for k in range(many))
    return found


def size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of the first picture; None where it says none, or has tiles much larger than it is itself."""
    tags = first_directory(data)
    width, height = max(tags.get(WIDTH, [0])), max(tags.get(HEIGHT, [0]))
    tile = max(tags.get(TILE_WIDTH, [0])) * max(tags.get(TILE_HEIGHT, [0]))
    if tile > max(4 * width * height, 1 << 20):  # a decoder makes room for a whole tile
        return None
    return width, height


def problem(data: bytes) -> str:
    """Why its values would not become the colours that are meant, or ""."""
    tags = first_directory(data)
    colours = set(tags.get(PHOTOMETRIC, []))
    for code in sorted(colours & set(NO_RGB)):
        return f"its colours are {NO_RGB[code]}; save it as RGB with 8 bits a channel"
    if YCBCR in colours and JPEG_COMPRESSION not in tags.get(COMPRESSION, []):
        return "its colours are YCbCr, which OpenCV's versions read differently; save it as RGB"
    bits = max(tags.get(BITS, [1]))
    if bits > 16 or FLOATING_POINT in tags.get(SAMPLE_FORMAT, []):
        return f"its values have {bits} bits; save it as RGB with 8 bits a channel"
    return ""
