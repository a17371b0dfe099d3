"""Image files to pixels as Caffe takes them: 3 channels in the order B, G, R, upright, 8 bits."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

JPEG_START = b"\xff\xd8"


class ImageError(Exception):
    """Bytes that are no whole image; the message says what is wrong with them."""


def decode(data: bytes) -> np.ndarray:
    """(H, W, 3) uint8, BGR, upright.

    Grey and palette become colour, 16 bits become 8, EXIF orientation is applied, CMYK is converted (all by OpenCV);
    transparency is laid on white, as a viewer shows it. ImageError where OpenCV reads nothing, and where a JPEG ends
    early: libjpeg would fill the rest with grey and go on.
    """
    if not data:
        raise ImageError("the file is empty")
    if data.startswith(JPEG_START):
        if not _jpeg_is_whole(data):
            raise ImageError("the JPEG is truncated")
    else:
        layered = _imdecode(data, cv2.IMREAD_UNCHANGED)
        if layered.ndim == 3 and layered.shape[2] == 4:
            return _on_white(layered)
    return _imdecode(data, cv2.IMREAD_COLOR)


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
    return Loaded(resize_short_side(image, side), min(image.shape[:2]), "")


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
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(f"OpenCV cannot read it ({error.err})") from None
    if image is None:
        raise ImageError("not an image that OpenCV reads, or a truncated one")
    return image


def _on_white(image: np.ndarray) -> np.ndarray:
    largest = np.iinfo(image.dtype).max
    alpha = image[:, :, 3:].astype(np.float32) / largest
    colour = image[:, :, :3].astype(np.float32) * (255.0 / largest)
    return np.rint(colour * alpha + 255.0 * (1.0 - alpha)).astype(np.uint8)


def _jpeg_is_whole(data: bytes) -> bool:
    """True where the end marker follows the scan. The header is walked so that a thumbnail's markers do not count."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker == 0xDA:  # start of scan: from here on 0xFF 0xD9 occurs as the end marker only
            return data.find(b"\xff\xd9", position) >= 0
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:  # markers without a length
            position += 2
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return False
