"""What is stored of an image: its file's own coded picture where that is what is wanted, else one coded anew."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from caffe_files.schema import caffe_messages
from skinmtl.data.trained_on import digest
from skinmtl.images import image_file, jpeg
from skinmtl.images.exif import UPRIGHT

JPEG_QUALITY = 95  # our choice: hardly visible loss at about a tenth of PNG's size
# Our choice: above it, a JPEG takes two to three times the room of one of JPEG_QUALITY for what few would see.
LARGEST_PASSED = 1.5  # bytes a pixel


class Stored(NamedTuple):
    """What became of an image: the Datum's bytes or, in one line, what is wrong with the file.

    `had_short_side` is the file's; `is_passed` says that its JPEG data were not coded anew; `converted` is the colour
    profile that was applied, or ""; `told` is what a person should know of the image, a line each. `size` is the
    file's, in bytes, and `contents` their digest. `had_size` is the file's picture's (height, width), upright, and
    `stored_size` that of what is stored.
    """

    datum: bytes
    problem: str
    had_short_side: int
    is_passed: bool
    converted: str = ""
    told: tuple[str, ...] = ()
    size: int = -1
    contents: str = ""
    had_size: tuple[int, int] | None = None
    stored_size: tuple[int, int] = (0, 0)


def image_datum(task: tuple[Path, int] | tuple[Path, int, int]) -> Stored:
    """Reads, resizes and encodes one image, given with the shorter side to store, or with 0 and the longest side.

    Never raises for a bad file.
    """
    path, side, *longest = task
    try:
        data = image_file.read(path)
        image = image_file.resized(data, side) if side else image_file.fitted(data, longest[0])
    except image_file.ImageError as error:
        return Stored(b"", str(error), 0, False)
    height, width = image.pixels.shape[:2]
    passed = _as_it_is(data, height, width) if image.is_clean and image.had_size == (height, width) else None
    stored = passed or image_file.encode_jpeg(image.pixels, JPEG_QUALITY)
    datum = caffe_messages().Datum(channels=3, height=height, width=width, encoded=True, data=stored)
    stored_bytes, is_passed = datum.SerializeToString(), passed is not None
    return Stored(
        *(stored_bytes, "", image.had_short_side, is_passed, image.converted, image.told),
        size=len(data),
        contents=digest(data),
        had_size=image.had_size,
        stored_size=(height, width),
    )


def _as_it_is(data: bytes, height: int, width: int) -> bytes | None:
    """The JPEG without its notes, where Caffe decodes it to the pixels to be stored and nothing is won by coding anew.

    That is at any lower quality too: what is lost is lost, and coding a second time loses more. A progressive JPEG is
    coded anew, since Caffe would take two to three times as long to decode it, in every epoch.
    """
    header = jpeg.header(data) if data.startswith(jpeg.START) else None
    if header is None or header.coding not in jpeg.SEQUENTIAL or header.bits != 8 or not header.is_ycc:
        return None
    if (header.width, header.height) != (width, height) or header.orientation != UPRIGHT:
        return None
    passed = jpeg.without_notes(data)
    if passed is None or len(passed) > LARGEST_PASSED * header.width * header.height:
        return None
    return passed
