"""Image files to pixels as Caffe takes them: 3 channels in the order B, G, R, upright, 8 bits."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, NamedTuple

import cv2
import numpy as np

from skinmtl.data.exif import orientation

JPEG_START = b"\xff\xd8"
LONGEST_SIDE = 65500  # the most that libjpeg stores


class ImageError(Exception):
    """Bytes that are no whole image; the message says what is wrong with them."""


def decode(data: bytes) -> np.ndarray:
    """(H, W, 3) uint8, BGR, upright.

    Grey and palette become colour, 16 bits become 8, EXIF orientation is applied, CMYK is converted; transparency is
    laid on white, as a viewer shows it. ImageError where OpenCV reads nothing, where the values are not whole numbers
    of 8 or 16 bits (what is white then?), and where a JPEG ends early: libjpeg would fill the rest with grey and go on.
    """
    if not data:
        raise ImageError("the file is empty")
    if data.startswith(JPEG_START):
        if not _jpeg_is_whole(data):
            raise ImageError("the JPEG is truncated")
        return _imdecode(data, cv2.IMREAD_COLOR)
    layered = _imdecode(data, cv2.IMREAD_UNCHANGED)
    if layered.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"its values are {layered.dtype}; save it with 8 bits a channel")
    if layered.ndim == 3 and layered.shape[2] == 4:
        image = _on_white(layered)
    else:
        image = _imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return _upright(image, orientation(data))


class Loaded(NamedTuple):
    """A file's pixels, resized, and the shorter side that it had; or, in one line, what is wrong with the file."""

    pixels: np.ndarray | None
    had_short_side: int
    problem: str


def load(task: tuple[Path, int]) -> Loaded:
    """Reads, decodes and resizes a file, given with the shorter side to have. Never raises: workers call it."""
    path, side = task
    try:
        image = decode(path.read_bytes())
    except OSError as error:
        return Loaded(None, 0, f"cannot be read ({error.strerror})")
    except ImageError as error:
        return Loaded(None, 0, str(error))
    height, width = image.shape[:2]
    if max(height, width) * side > LONGEST_SIDE * min(height, width):
        return Loaded(None, 0, f"{width} x {height} is too narrow for a shorter side of {side}")
    try:
        return Loaded(resize_short_side(image, side), min(height, width), "")
    except cv2.error as error:
        return Loaded(None, 0, f"cannot be resized ({_one_line(error)})")


def resize_short_side(image: np.ndarray, side: int) -> np.ndarray:
    """Resizes so that the shorter side is `side` and the aspect ratio stays: by area down, bicubic up."""
    height, width = image.shape[:2]
    short = min(height, width)
    if short == side:
        return image
    size = (max(side, round(width * side / short)), max(side, round(height * side / short)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if side < short else cv2.INTER_CUBIC)


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
    """JPEG bytes of a BGR image."""
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _imdecode(data: bytes, flags: int) -> np.ndarray:
    try:
        with _silent_decoders():
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(f"OpenCV cannot read it ({_one_line(error)})") from None
    if image is None:
        raise ImageError("not an image that OpenCV reads, or a truncated one")
    return image


def _one_line(error: cv2.error) -> str:
    return " ".join(str(error).split())


@contextmanager
def _silent_decoders() -> Iterator[None]:
    """libpng, libjpeg and OpenCV write to file descriptor 2; what is wrong with a file is ours to say, in one line."""
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)


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
    alpha = image[:, :, 3:].astype(np.float32) / largest
    colour = image[:, :, :3].astype(np.float32) * (255.0 / largest)
    return np.rint(colour * alpha + 255.0 * (1.0 - alpha)).astype(np.uint8)


def _jpeg_is_whole(data: bytes) -> bool:
    """True where the end marker follows the scan. The header is walked so that a thumbnail's markers do not count."""
    position = data.find(b"\xff", 2)
    while 0 <= position < len(data) - 3:
        marker = data[position + 1]
        if marker == 0xDA:  # start of scan: from here on 0xFF 0xD9 occurs as the end marker only
            return data.find(b"\xff\xd9", position) >= 0
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD8:  # not a marker, or one without a length
            position += 1
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        position = data.find(b"\xff", position)  # decoders pass over strange bytes between two segments
    return False
