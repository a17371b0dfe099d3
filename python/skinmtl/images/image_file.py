"""Image files to pixels as Caffe takes them: 3 channels in the order B, G, R, upright, 8 bits."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Callable, NamedTuple

import cv2
import numpy as np

from caffe_files.errors import InputError
from caffe_files.first_bytes import ENOUGH, kind_of
from caffe_files.inputs import regular_file
from skinmtl.images import formats, jpeg
from skinmtl.images.colour_profile import in_srgb, profile_of
from skinmtl.images.decoder import ImageError, one_line
from skinmtl.images.formats import Format
from skinmtl.images.image_size import MAX_PIXELS, size_of
from skinmtl.images.jpeg_decoder import REDUCED, decode_jpeg
from skinmtl.images.pixels import decode_other
from skinmtl.images.resizing import resize

__all__ = ["ImageError", "decode", "encode_jpeg", "fitted", "load", "read", "resize_short_side", "resized"]

LONGEST_SIDE = 65500  # the most that libjpeg stores
# libjpeg can decode at 1/2, 1/4 and 1/8 from a part of the coefficients. Our choice: what it makes is at least 1.5
# times as large as is wanted. On scikit-image's and scikit-learn's photographs, made 1.6 to 12 times smaller, that is
# 46 dB from an exact resize (median), where JPEG coding at quality 95 alone is 39.5; at 2 times 47, for a tenth more
# time, at 1.25 times 43.5, at once the wanted size 41.
KEPT_LARGER = 1.5
SIDES_EXCHANGED = 5  # EXIF orientations from here on: stored with rows and columns exchanged
LARGEST_FILE = 1 << 30  # bytes: MAX_PIXELS of 8 bits without compression are less than half of it
# A decoder goes over the whole picture once a scan, and a scan may be of some bytes. Encoders write about ten. Our
# choice: SCANS at any size, and more as far as all of them together pass over SCANNED pixels.
SCANS, SCANNED = 16, 1 << 28


class Resized(NamedTuple):
    """An image, resized.

    pixels          (H, W, 3) uint8, BGR, upright
    had_short_side  the shorter side that the file has
    is_clean        the decoder had nothing to say, and the colours are the file's own
    converted       the colour profile from which they were converted, or ""
    told            what a person should know of it, a line each
    had_size        (height, width) of the file's picture, upright
    """

    pixels: np.ndarray
    had_short_side: int
    is_clean: bool
    converted: str = ""
    told: tuple[str, ...] = ()
    had_size: tuple[int, int] = (0, 0)


def decode(data: bytes) -> np.ndarray:
    """(H, W, 3) uint8, BGR, upright, in sRGB.

    Grey and palette become colour, deeper values become 8 bits, orientation and colour profile are applied, CMYK is
    converted; transparency is laid on white, as a viewer shows it: `formats` says what is understood of which format.
    ImageError where it is none that is read, where the header claims more than MAX_PIXELS or no size at all (nothing is
    decoded then), where the values are not whole numbers of 8 or 16 bits (what is white then?) or not colours that
    OpenCV converts, and where a JPEG ends early or is damaged: libjpeg would fill the rest with grey and go on.
    """
    form, _ = _check_size(data)
    if form is formats.JPEG:
        header = _whole_jpeg(data)
        turned = header.orientation
        pixels, _ = decode_jpeg(data, header)
    else:
        pixels, turned, _ = decode_other(data, form)
    return _upright(in_srgb(pixels, profile_of(data, form)).pixels, turned)


def resized(data: bytes, side: int) -> Resized:
    """The image of a file with its shorter side resized to `side`, its aspect ratio kept, as by `resize_short_side`.

    A JPEG that is much larger is decoded at a reduced scale, see KEPT_LARGER, and then resized nearly so. ImageError as
    from `decode`, and where the longer side would be more than libjpeg stores.
    """
    form, (width, height) = _check_size(data)
    if max(height, width) * side > LONGEST_SIDE * min(height, width):
        raise ImageError(f"{width} x {height} is too narrow for a shorter side of {side}")
    return _resized_to(data, form, (width, height), partial(_resized_size, side=side))


def fitted(data: bytes, side: int) -> Resized:
    """The image of a file with its longer side made `side` where that is longer; never enlarged.

    A JPEG that is much larger is decoded at a reduced scale, as by `resized`. ImageError as from `decode`.
    """
    form, (width, height) = _check_size(data)
    return _resized_to(data, form, (width, height), partial(fitted_size, side=side))


def fitted_size(width: int, height: int, side: int) -> tuple[int, int]:
    """(width, height) with the longer one at most `side`; each at least a pixel.

    >>> fitted_size(3024, 2016, 1024), fitted_size(600, 450, 1024)
    ((1024, 683), (600, 450))
    """
    longer = max(width, height)
    if longer <= side:
        return width, height
    return max(1, round(width * side / longer)), max(1, round(height * side / longer))


def _resized_to(
    data: bytes, form: Format, size: tuple[int, int], size_for: Callable[[int, int], tuple[int, int]]
) -> Resized:
    """`size` is (width, height) as stored; `size_for` gives the size wanted for a width and a height."""
    (width, height), told = size, ""
    try:
        if form is formats.JPEG:
            header = _whole_jpeg(data)
            turned, to, decoded = header.orientation, size_for(width, height), (height, width)
            reduction = max([by for by in REDUCED if KEPT_LARGER * by * min(to) <= min(width, height)], default=1)
            pixels, messages = decode_jpeg(data, header, reduction)
            # the last row and column stand for less than `reduction` pixels where the sides are no multiples
            is_reduced = pixels.shape[:2] == (-(-height // reduction), -(-width // reduction))  # not by early OpenCVs
            extent = (width / reduction, height / reduction) if is_reduced else None
            pixels, is_clean = resize(pixels, to, extent), not messages
        else:
            pixels, turned, told = decode_other(data, form)
            decoded = pixels.shape[:2]  # of HEIC upright already, whatever its header says first
            pixels, is_clean = resize(pixels, size_for(decoded[1], decoded[0])), False
    except cv2.error as error:
        raise ImageError(f"cannot be resized ({one_line(error)})") from None
    pixels, converted, of_colours = in_srgb(pixels, profile_of(data, form))
    told_lines = tuple(line for line in (told, of_colours) if line)
    had_size = (decoded[1], decoded[0]) if turned >= SIDES_EXCHANGED else decoded
    is_clean = is_clean and not converted
    return Resized(_upright(pixels, turned), min(width, height), is_clean, converted, told_lines, had_size)


def read(path: Path) -> bytes:
    """The file's bytes; ImageError where it cannot be read, or is too large to be one photograph."""
    try:
        if regular_file(path).stat().st_size > LARGEST_FILE:
            raise ImageError(f"has more than {LARGEST_FILE} bytes")
        return path.read_bytes()
    except InputError as error:
        raise ImageError(str(error).partition(f"{path}: ")[2]) from None
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror})") from None


class Loaded(NamedTuple):
    """A file's pixels, resized, the shorter side that it had, and what a person should know of it, a line each; or, in
    one line, what is wrong with the file."""

    pixels: np.ndarray | None
    had_short_side: int
    problem: str
    told: tuple[str, ...] = ()


def load(task: tuple[Path, int]) -> Loaded:
    """Reads, decodes and resizes a file, given with the shorter side to have. Never raises: workers call it."""
    path, side = task
    try:
        return loaded(read(path), side)
    except ImageError as error:
        return Loaded(None, 0, str(error))


def loaded(data: bytes, side: int) -> Loaded:
    """As `load`, of a file's bytes."""
    try:
        image = resized(data, side)
    except ImageError as error:
        return Loaded(None, 0, str(error))
    return Loaded(image.pixels, image.had_short_side, "", image.told)


def resize_short_side(image: np.ndarray, side: int) -> np.ndarray:
    """Resizes so that the shorter side is `side` and the aspect ratio stays."""
    height, width = image.shape[:2]
    return resize(image, _resized_size(width, height, side))


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
    """JPEG bytes of a BGR image."""
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _check_size(data: bytes) -> tuple[Format, tuple[int, int]]:
    """The format, and width and height as stored."""
    if not data:
        raise ImageError("the file is empty")
    form = formats.format_of(data)
    size = size_of(data)
    if size is not None and size[0] * size[1] > MAX_PIXELS:
        raise ImageError(f"says that it is {size[0]} x {size[1]} pixels; at most {MAX_PIXELS} are read")
    unread = formats.unread_here(form) if form is not None else ""
    if unread:
        raise ImageError(f"it is {form.name}; {unread}")
    if form is None or size is None:
        raise _cut_jpeg(data) if form is formats.JPEG else ImageError(_no_image(data))
    return form, size


def _cut_jpeg(data: bytes) -> ImageError:
    is_crowded = jpeg.header(data) is None and data.count(b"\xff") >= jpeg.MOST_MARKERS
    what = "has thousands of markers before its picture; save it anew" if is_crowded else "is truncated"
    return ImageError(f"the JPEG {what}")


def _no_image(data: bytes) -> str:
    kind = kind_of(data[:ENOUGH])
    if kind is None or formats.format_of(data) is not None:
        return "not an image that OpenCV reads, or a truncated one"
    return f"it is {kind.name}, which is not read: {kind.remedy}"


def _whole_jpeg(data: bytes) -> jpeg.Header:
    header = jpeg.header(data)
    scans = 0 if header is None else jpeg.n_scans(data, header)
    if header is None or scans == 0:
        raise _cut_jpeg(data)
    if scans > SCANS and scans * header.width * header.height > SCANNED:
        raise ImageError(f"the JPEG has {scans} scans, each over the whole picture; save it anew, encoders write ten")
    return header


def _resized_size(width: int, height: int, side: int) -> tuple[int, int]:
    short = min(width, height)
    return max(side, round(width * side / short)), max(side, round(height * side / short))


def _upright(image: np.ndarray, exif_orientation: int) -> np.ndarray:
    if exif_orientation >= SIDES_EXCHANGED:  # stored with rows and columns exchanged
        image = image.transpose(1, 0, 2)
    if exif_orientation in (3, 4, 7, 8):
        image = image[::-1]
    if exif_orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)
