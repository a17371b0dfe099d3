"""Image files to pixels as Caffe takes them: 3 channels in the order B, G, R, upright, 8 bits."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from skinmtl.data import jpeg, tiff
from skinmtl.data.decoder import ImageError, imdecode, one_line
from skinmtl.data.exif import PNG_START, orientation
from skinmtl.data.image_size import MAX_PIXELS, size_of

__all__ = ["ImageError", "decode", "encode_jpeg", "load", "read", "resize_short_side", "resized"]

LONGEST_SIDE = 65500  # the most that libjpeg stores
# libjpeg can decode at 1/2, 1/4 and 1/8 from a part of the coefficients. Our choice: what it makes is at least 1.5
# times as large as is wanted. On scikit-image's and scikit-learn's photographs, made 1.6 to 12 times smaller, that is
# 46 dB from an exact resize (median), where JPEG coding at quality 95 alone is 39.5; at 2 times 47, for a tenth more
# time, at 1.25 times 43.5, at once the wanted size 41.
REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}
KEPT_LARGER = 1.5
LARGEST_FILE = 1 << 30  # bytes: MAX_PIXELS of 8 bits without compression are less than half of it
ROWS_AT_ONCE = 256  # blended with white: the floating-point copies stay small


class Resized(NamedTuple):
    """(H, W, 3) uint8, BGR, upright; the shorter side that the file has; and whether the decoder had nothing to say."""

    pixels: np.ndarray
    had_short_side: int
    is_clean: bool


def decode(data: bytes) -> np.ndarray:
    """(H, W, 3) uint8, BGR, upright.

    Grey and palette become colour, 16 bits become 8, EXIF orientation is applied, CMYK is converted; transparency is
    laid on white, as a viewer shows it. ImageError where OpenCV reads nothing, where the header claims more than
    MAX_PIXELS or no size at all (nothing is decoded then), where the values are not whole numbers of 8 or 16 bits (what
    is white then?) or not colours that OpenCV converts, and where a JPEG ends early or is damaged: libjpeg would fill
    the rest with grey and go on.
    """
    _check_size(data)
    if data.startswith(jpeg.START):
        header = _whole_jpeg(data)
        pixels, _ = imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        return _upright(pixels, header.orientation)
    return _decode_other(data)


def resized(data: bytes, side: int) -> Resized:
    """The image of a file with its shorter side resized to `side`, its aspect ratio kept, as by `resize_short_side`.

    A JPEG that is much larger is decoded at a reduced scale, see KEPT_LARGER, and then resized nearly so. ImageError as
    from `decode`, and where the longer side would be more than libjpeg stores.
    """
    width, height = _check_size(data)
    if max(height, width) * side > LONGEST_SIDE * min(height, width):
        raise ImageError(f"{width} x {height} is too narrow for a shorter side of {side}")
    try:
        if not data.startswith(jpeg.START):
            return Resized(resize_short_side(_decode_other(data), side), min(width, height), False)
        header = _whole_jpeg(data)
        reduction = max([by for by in REDUCED if KEPT_LARGER * by * side <= min(width, height)], default=1)
        pixels, messages = imdecode(data, REDUCED.get(reduction, cv2.IMREAD_COLOR) | cv2.IMREAD_IGNORE_ORIENTATION)
        pixels = _shrink(pixels, width, height, reduction, side)
    except cv2.error as error:
        raise ImageError(f"cannot be resized ({one_line(error)})") from None
    return Resized(_upright(pixels, header.orientation), min(width, height), not messages)


def read(path: Path) -> bytes:
    """The file's bytes; ImageError where it cannot be read, or is too large to be one photograph."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ImageError(f"has more than {LARGEST_FILE} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror})") from None


class Loaded(NamedTuple):
    """A file's pixels, resized, and the shorter side that it had; or, in one line, what is wrong with the file."""

    pixels: np.ndarray | None
    had_short_side: int
    problem: str


def load(task: tuple[Path, int]) -> Loaded:
    """Reads, decodes and resizes a file, given with the shorter side to have. Never raises: workers call it."""
    path, side = task
    try:
        image = resized(read(path), side)
    except ImageError as error:
        return Loaded(None, 0, str(error))
    return Loaded(image.pixels, image.had_short_side, "")


def resize_short_side(image: np.ndarray, side: int) -> np.ndarray:
    """Resizes so that the shorter side is `side` and the aspect ratio stays: by area down, bicubic up."""
    height, width = image.shape[:2]
    if min(height, width) == side:
        return image
    interpolation = cv2.INTER_AREA if side < min(height, width) else cv2.INTER_CUBIC
    return cv2.resize(image, _resized_size(width, height, side), interpolation=interpolation)


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
    """JPEG bytes of a BGR image."""
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _check_size(data: bytes) -> tuple[int, int]:
    if not data:
        raise ImageError("the file is empty")
    size = size_of(data)
    if size is None:
        if data.startswith(jpeg.START):
            raise ImageError("the JPEG is truncated")
        raise ImageError("not an image that OpenCV reads, or a truncated one")
    width, height = size
    if width * height > MAX_PIXELS:
        raise ImageError(f"says that it is {width} x {height} pixels; at most {MAX_PIXELS} are read")
    return size


def _whole_jpeg(data: bytes) -> jpeg.Header:
    header = jpeg.header(data)
    if header is None or not jpeg.is_whole(data):
        raise ImageError("the JPEG is truncated")
    return header


def _decode_other(data: bytes) -> np.ndarray:
    """Decodes what is no JPEG."""
    problem = tiff.problem(data) or _png_problem(data)
    if problem:
        raise ImageError(problem)
    image, _ = imdecode(data, cv2.IMREAD_UNCHANGED)
    if image.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"its values are {image.dtype}; save it with 8 bits a channel")
    if image.ndim == 3 and image.shape[2] == 4:
        image = _on_white(image)
    elif image.dtype != np.uint8 or image.ndim != 3 or tiff.is_tiff(data):
        image, _ = imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return _upright(image, orientation(data))


def _png_problem(data: bytes) -> str:
    """Why a PNG is not to be given to OpenCV, or "".

    It does not see the transparent grey of a grey PNG, and shows it as it is. Its later versions make room for whatever
    length a chunk claims, up to 4 GB in a file of some bytes.
    """
    if not data.startswith(PNG_START):
        return ""
    position, name = len(PNG_START), b""
    while name != b"IEND":
        name = data[position + 4 : position + 8]
        position += 12 + int.from_bytes(data[position : position + 4], "big")
        if position > len(data):
            return "the PNG is truncated"
        if name == b"tRNS" and data[25] == 0:
            return "a grey PNG with a transparent grey; save it with an alpha channel or as RGB"
    return ""


def _resized_size(width: int, height: int, side: int) -> tuple[int, int]:
    short = min(width, height)
    return max(side, round(width * side / short)), max(side, round(height * side / short))


def _shrink(image: np.ndarray, width: int, height: int, reduction: int, side: int) -> np.ndarray:
    """Resizes what was decoded from a JPEG of `width` x `height` pixels at 1/`reduction`.

    Its last row and column stand for less than `reduction` pixels where the sides are no multiples; so the scale is
    that of the file's pixels, and what is behind its end is cut off. Where it is twice as large as is wanted or more:
    bilinear to 2, 4, ... times the size, which takes in every pixel since that is less than halving, then the mean of
    2 x 2, 4 x 4, ...; against the area filter that is an eighth of its time, for 1 to 2 dB that JPEG coding hides.
    """
    decoded = (-(-height // reduction), -(-width // reduction))
    if image.shape[:2] != decoded or min(width, height) <= side:  # OpenCV's early versions do not reduce
        return resize_short_side(image, side)
    to_width, to_height = _resized_size(width, height, side)
    times = 2 ** int(math.log2(min(width, height) / (reduction * side)))
    scale_x, scale_y = times * to_width * reduction / width, times * to_height * reduction / height
    interpolation = cv2.INTER_LINEAR if times > 1 else cv2.INTER_AREA
    larger = cv2.resize(image, None, fx=scale_x, fy=scale_y, interpolation=interpolation)
    larger = np.ascontiguousarray(larger[: times * to_height, : times * to_width])
    return cv2.resize(larger, (to_width, to_height), interpolation=cv2.INTER_AREA) if times > 1 else larger


def _upright(image: np.ndarray, exif_orientation: int) -> np.ndarray:
    if exif_orientation >= 5:  # stored with rows and columns exchanged
        image = image.transpose(1, 0, 2)
    if exif_orientation in (3, 4, 7, 8):
        image = image[::-1]
    if exif_orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def _on_white(image: np.ndarray) -> np.ndarray:
    largest = np.iinfo(image.dtype).max
    laid = np.empty((*image.shape[:2], 3), np.uint8)
    for first in range(0, len(image), ROWS_AT_ONCE):
        rows = image[first : first + ROWS_AT_ONCE]
        alpha = rows[:, :, 3:].astype(np.float32) / largest
        colour = rows[:, :, :3].astype(np.float32) * (255.0 / largest)
        laid[first : first + ROWS_AT_ONCE] = np.rint(colour * alpha + 255.0 * (1.0 - alpha))
    return laid
