"""What the first directory of a TIFF file says, before anything is decoded (TIFF 6.0; BigTIFF as libtiff reads it)."""

from __future__ import annotations

from typing import Iterator, NamedTuple

from skinmtl.images.exif import UPRIGHT

WIDTH, HEIGHT, BITS, PHOTOMETRIC, TILE_WIDTH, TILE_HEIGHT, SAMPLE_FORMAT = 256, 257, 258, 262, 322, 323, 339
ORIENTATION, CHANNELS, PLANES, EXTRA_SAMPLES, PROFILE = 274, 277, 284, 338, 34675
KIND, DNG_VERSION = 254, 50706
REDUCED = 1  # in KIND
SEPARATE = 2  # in PLANES
FLOATING_POINT = 3  # in SAMPLE_FORMAT
COMPRESSION, JPEG_COMPRESSION = 259, 7
YCBCR = 6
NO_RGB = {8: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*", 32844: "LogL", 32845: "LogLuv"}
CHANNELS_OF = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3}  # photometric interpretation -> channels without extra ones
READ_BITS = (1, 2, 4, 8, 16)
# What an extra channel is (ExtraSamples): no transparency at all; colours multiplied by it; colours as they are.
LEFT_OUT, MULTIPLIED, STRAIGHT = 0, 1, 2
LARGEST_PROFILE = 4 << 20  # bytes, our choice: those of printers have about one million
LARGEST_DIRECTORY = 4096  # entries; the standard knows some hundred tags
# BYTE, SHORT, LONG, LONG8 and their signed kin, which libtiff takes too: below zero they are read as very large
BYTES_OF_TYPE = {1: 1, 3: 2, 4: 4, 16: 8, 6: 1, 7: 1, 8: 2, 9: 4, 17: 8}  # and UNDEFINED, of a profile


def is_tiff(data: bytes) -> bool:
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class Entry(NamedTuple):
    """One of a directory: its first numbers (a value a channel; longer lists are offsets), and where its values lie."""

    tag: int
    numbers: list[int]
    start: int
    size: int
    count: int


def first_directory(data: bytes) -> dict[int, list[int]]:
    """Tag -> its whole numbers, of the first directory; a tag that is there twice has the numbers of both."""
    found: dict[int, list[int]] = {}
    for entry in filter(lambda entry: entry.numbers, _entries(data)):
        found.setdefault(entry.tag, []).extend(entry.numbers)
    return found


def _entries(data: bytes) -> Iterator[Entry]:
    if not is_tiff(data):
        return
    order = _order(data)
    big = 43 in data[2:4]
    word, count_size, length = (8, 8, 20) if big else (4, 2, 12)

    def number(start: int, size: int) -> int:
        return int.from_bytes(data[start : start + size], order)

    first = number(word, word)
    for n in range(min(number(first, count_size), LARGEST_DIRECTORY)):
        entry = first + count_size + length * n
        size = BYTES_OF_TYPE.get(number(entry + 2, 2))
        if size is None or entry + length > len(data):
            continue
        count = number(entry + 4, word)
        values = entry + 4 + word
        if size * count > word:
            values = number(values, word)
        numbers = [number(values + size * k, size) for k in range(min(count, 8))]
        if numbers:
            yield Entry(number(entry, 2), numbers, values, size, count)


def _order(data: bytes) -> str:
    return "little" if data[:2] == b"II" else "big"


def size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of the first picture; None where it says none, or has tiles much larger than it is itself."""
    tags = first_directory(data)
    width, height = max(tags.get(WIDTH, [0])), max(tags.get(HEIGHT, [0]))
    tile = max(tags.get(TILE_WIDTH, [0])) * max(tags.get(TILE_HEIGHT, [0]))
    if tile > max(4 * width * height, 1 << 20):  # a decoder makes room for a whole tile
        return None
    return width, height


def orientation(data: bytes) -> int:
    """1..8, as EXIF counts; UPRIGHT where it says nothing, or nonsense."""
    said = first_directory(data).get(ORIENTATION, [UPRIGHT])[:1]
    return said[0] if said and 1 <= said[0] <= 8 else UPRIGHT


def stored_upright(data: bytes) -> bytes:
    """The file with the orientation UPRIGHT: OpenCV's versions turn strips, but tiles each in their own way."""
    if orientation(data) == UPRIGHT:
        return data
    changed = bytearray(data)
    for entry in _entries(data):
        if entry.tag == ORIENTATION and entry.start + entry.size <= len(data):
            changed[entry.start : entry.start + entry.size] = UPRIGHT.to_bytes(entry.size, _order(data))
    return bytes(changed)


def profile(data: bytes) -> bytes:
    """The ICC profile; b"" where there is none."""
    for entry in _entries(data):
        if entry.tag == PROFILE and entry.size == 1:
            return data[entry.start : entry.start + min(entry.count, LARGEST_PROFILE)]
    return b""


def transparency(data: bytes) -> int:
    """LEFT_OUT, MULTIPLIED or STRAIGHT, of an RGB file with a fourth channel that `problem` lets through.

    Where the file does not say what the channel is, it is STRAIGHT, as OpenCV itself and others write it. Of 8 bits
    libtiff hands out colours that it has multiplied.
    """
    tags = first_directory(data)
    said = tags.get(EXTRA_SAMPLES, [])
    if not said:
        return STRAIGHT
    return MULTIPLIED if said[0] == STRAIGHT and max(tags.get(BITS, [1])) == 8 else said[0]


def problem(data: bytes) -> str:
    """Why its values would not become the colours that are meant, or ""."""
    tags = first_directory(data)
    if max(tags.get(KIND, [0])) & REDUCED or DNG_VERSION in tags or data[8:10] == b"CR":
        return "its first picture is a reduced one, as in a camera's raw file; save it as JPEG or PNG"
    colours = set(tags.get(PHOTOMETRIC, []))
    for code in sorted(colours & set(NO_RGB)):
        return f"its colours are {NO_RGB[code]}; save it as RGB with 8 bits a channel"
    if YCBCR in colours and JPEG_COMPRESSION not in tags.get(COMPRESSION, []):
        return "its colours are YCbCr, which OpenCV's versions read differently; save it as RGB"
    bits = max(tags.get(BITS, [1]))
    if bits not in READ_BITS or FLOATING_POINT in tags.get(SAMPLE_FORMAT, []):
        return f"its values have {bits} bits; save it as RGB with 8 bits a channel"
    return _extra_problem(tags, bits)


def _extra_problem(tags: dict[int, list[int]], bits: int) -> str:
    """Why its channels beyond grey or colour cannot be told from them, or ""."""
    colours = tags.get(PHOTOMETRIC, [-1])[0]
    channels = max(tags.get(CHANNELS, [1]))
    extra = channels - CHANNELS_OF.get(colours, channels)
    said = tags.get(EXTRA_SAMPLES, [])
    if extra < 1:
        return ""
    if channels == 4 and CHANNELS_OF.get(colours) == 3:
        separate = max(tags.get(PLANES, [1])) == SEPARATE
        if separate and bits == 16 and said[:1] != [LEFT_OUT]:
            return "16 bits with transparency in a plane of its own; save it with 8 bits"
        if said and said[0] not in (LEFT_OUT, MULTIPLIED, STRAIGHT):
            return f"a fourth channel of the unknown kind {said[0]}; save it as RGB"
        return ""
    if extra == 1 and said[:1] == [LEFT_OUT] and channels == 2:
        return ""
    if channels == 2:
        return "grey with transparency; save it as RGB, with or without transparency"
    return f"{channels} channels, of which {extra} {'is' if extra == 1 else 'are'} no colour; save it as RGB"
