"""What a JPEG file says before its scan: size, orientation, colours; and the file without its notes.

Bytes are read as libjpeg reads them (ITU-T T.81, annex B): it passes over strange bytes between two segments.
"""

from __future__ import annotations

import re
from typing import Iterator, NamedTuple

from skinmtl.images.exif import UPRIGHT, is_adobe_rgb, tiff_orientation

START = b"\xff\xd8"
END = b"\xff\xd9"
START_OF_SCAN = b"\xff\xda"
EXIF = b"Exif\0\0"
PROFILE = b"ICC_PROFILE\0"
SCAN, TABLES_OF_CODES, APP0, APP1, APP2, APP14, COMMENT = 0xDA, 0xC4, 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
FRAMES = frozenset(range(0xC0, 0xD0)) - {TABLES_OF_CODES, 0xC8, 0xCC}
SEQUENTIAL = (0xC0, 0xC1)  # Huffman codes, one pass over the picture
MOST_MARKERS = 1 << 14  # our choice: cameras write some dozens, a large profile or map some hundreds
NOTES = (*range(APP0, APP14 + 2), COMMENT)
AFTER_A_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # what is neither a stuffed byte nor a restart


class Segment(NamedTuple):
    """A marker with its length and body; `start` and `end` are where it lies in the file."""

    marker: int
    start: int
    end: int
    body: bytes


class Header(NamedTuple):
    """A JPEG's header. `coding` is the frame's marker; `orientation` 1..8 as EXIF counts."""

    coding: int
    bits: int
    width: int
    height: int
    components: tuple[int, ...]
    orientation: int
    is_ycc: bool


def segments(data: bytes) -> Iterator[Segment]:
    """Yields the segments before the first scan, and the scan's own header last; an end before it ends them, and so do
    MOST_MARKERS of them: millions of empty ones would keep their reader busy."""
    position = data.find(b"\xff", 2)
    for _ in range(MOST_MARKERS):
        if not 0 <= position < len(data) - 3:
            return
        marker = data[position + 1]
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD8:  # not a marker, or one without a length
            position += 1
        elif marker == END[1]:
            return
        else:
            end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
            yield Segment(marker, position, end, data[position + 4 : end])
            if marker == SCAN:
                return
            position = end
        position = data.find(b"\xff", position)


def header(data: bytes) -> Header | None:
    """What the segments before the scan say; None where no picture can follow."""
    frame: Segment | None = None
    orientation, jfif, adobe = UPRIGHT, False, None
    exif = False
    for segment in segments(data):
        marker, _, _, body = segment
        if marker in FRAMES and frame is None:
            frame = segment
        elif marker == APP0 and body.startswith(b"JFIF\0"):
            jfif = True
        elif marker == APP14 and body.startswith(b"Adobe") and len(body) >= 12:
            adobe = body[11]
        elif marker == APP1 and body.startswith(EXIF) and not exif:
            exif, orientation = True, tiff_orientation(body[len(EXIF) :])
    if frame is None or len(frame.body) < 6 or len(frame.body) < 6 + 3 * frame.body[5]:
        return None
    body = frame.body
    components = tuple(body[6 : 6 + 3 * body[5] : 3])
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    is_ycc = len(components) == 3 and (jfif or (adobe == 1 if adobe is not None else components == (1, 2, 3)))
    return Header(frame.marker, body[0], width, height, components, orientation, is_ycc)


def colours(data: bytes) -> tuple[bytes, str]:
    """The ICC profile, put together from its segments (ICC.1, annex B.4), or b""; and what EXIF says of the colours
    where that is not sRGB, or ""."""
    parts, said, exif = [], "", False
    for marker, _, _, body in segments(data):
        if marker == APP2 and body.startswith(PROFILE):
            parts.append(body[len(PROFILE) :])
        elif marker == APP1 and body.startswith(EXIF) and not exif:
            exif, said = True, "Adobe RGB" if is_adobe_rgb(body[len(EXIF) :]) else ""
    return b"".join(body[2:] for body in sorted(parts, key=lambda body: body[:1])), said


def n_scans(data: bytes, said: Header) -> int:
    """How often the decoder goes over the picture: once where the first scan has all components.

    0 where no end marker follows the first scan, so that the file is not whole; a thumbnail's does not count.
    """
    last = None
    for last in segments(data):  # noqa: B007
        pass
    # in a scan 0xFF 0xD9 occurs as the end marker only
    end = data.find(END, last.start) if last is not None and last.marker == SCAN else -1
    if last is None or end < 0:
        return 0
    if said.coding in SEQUENTIAL and last.body[:1] == bytes([len(said.components)]):
        return 1
    return data.count(START_OF_SCAN, last.start, end)


def without_notes(data: bytes) -> bytes | None:
    """The file without what no decoder of pixels reads; None where it is not laid out plainly from start to end.

    Left out are EXIF, XMP, colour profiles, comments, thumbnails, and all that follows the picture: nothing that reads
    the LMDB looks at them, and they may name a patient or a place. JFIF's and Adobe's segments decide how colours are
    stored and stay. Tables and scans stay byte for byte, and so decode to the same pixels.
    """
    kept = [START]
    position = 2
    while data[position : position + 1] == b"\xff" and position < len(data) - 1:
        marker = data[position + 1]
        if marker == END[1]:
            return b"".join([*kept, END])
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if end < position + 4 or marker == 0xFF:
            return None
        if marker == SCAN:
            after = AFTER_A_SCAN.search(data, end)
            if after is None:
                return None
            end = after.start()
        body = data[position + 4 : end]
        decides_colours = (marker == APP0 and body.startswith(b"JFIF\0")) or (
            marker == APP14 and body.startswith(b"Adobe")
        )
        if marker not in NOTES or decides_colours:
            kept.append(data[position:end])
        position = end
    return None
