"""What decoders hand out, whatever its depth and channels, as 8 bits of B, G and R, and transparency laid on white."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from skinmtl.images import bmp, boxes, formats, heif, netpbm, png, tiff
from skinmtl.images.decoder import ImageError, imdecode
from skinmtl.images.exif import UPRIGHT, orientation
from skinmtl.images.formats import Format

ROWS_AT_ONCE = 256  # laid on white: the floating-point copies stay small
DARK = 8  # our choice: an eighth, or 13 of 16 bits; what 12 bits leave is a sixteenth
TOLD_DARK = "16-bit values, the brightest below an eighth of white: probably 12 bits; save it with 8 bits a channel"
CROPPED = "its crop (`clap`) is not applied: the whole picture is used"


class Decoded(NamedTuple):
    """(H, W, 3) uint8 BGR as stored; how it is to be turned (EXIF's number); what a person should know, in a line."""

    pixels: np.ndarray
    orientation: int
    told: str = ""


def decode_other(data: bytes, form: Format) -> Decoded:
    """Decodes what is no JPEG. ImageError where its values would not become the colours that are meant."""
    problem = PROBLEMS[form](data) if form in PROBLEMS else ""
    if problem:
        raise ImageError(problem)
    if form is formats.HEIC:
        image = heif.decode(data)
        return Decoded(_on_white(image, 255) if image.shape[2] == 4 else image, UPRIGHT)
    if form is formats.TIFF:
        turned, stored = tiff.orientation(data), tiff.stored_upright(data)
    else:
        turned, stored = orientation_of(data, form), data
    image, _ = imdecode(stored, cv2.IMREAD_UNCHANGED)
    if image.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"its values are {image.dtype}; save it with 8 bits a channel")
    channels = 1 if image.ndim == 2 else image.shape[2]
    if channels not in (1, 3, 4):
        raise ImageError(f"has {channels} channels; save it as RGB")
    white = _white(image, data, form)
    told = CROPPED if form is formats.AVIF and boxes.is_cropped(data) else ""
    if white == 65535 and int(image.max()) * DARK < white:
        told = TOLD_DARK
    if channels == 4 and _is_transparent(data, form):
        multiplied = form is formats.TIFF and tiff.transparency(data) == tiff.MULTIPLIED
        return Decoded(_on_white(image, white, multiplied), turned, told)
    if white not in (255, 65535):
        image = np.rint(image * (255.0 / white)).clip(0, 255).astype(np.uint8)
        image = image[:, :, :3] if channels > 1 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    elif image.dtype != np.uint8 or channels != 3 or form is formats.TIFF:
        image, _ = imdecode(stored, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return Decoded(image, turned, told)


def orientation_of(data: bytes, form: Format) -> int:
    """1..8 as EXIF counts, of what is no JPEG."""
    if form is formats.TIFF:
        return tiff.orientation(data)
    return boxes.orientation(data) if form in (formats.AVIF, formats.HEIC) else orientation(data)


PROBLEMS = {formats.TIFF: tiff.problem, formats.PNG: png.problem, formats.NETPBM: netpbm.problem}


def _white(image: np.ndarray, data: bytes, form: Format) -> int:
    """The value that stands for white."""
    if form is formats.NETPBM:
        header = netpbm.header(data)
        # OpenCV scales what is written in figures and has one byte, and bits
        if header is not None and (header.white > 255 or data.startswith((b"P5", b"P6"))):
            return header.white
    if image.dtype == np.uint8:
        return 255
    if form is formats.PNG:
        return png.white(data, image)
    if form is formats.AVIF and image.ndim == 3 and image.shape[2] == 4:
        return (1 << boxes.bits(data)) - 1
    return 65535


def _is_transparent(data: bytes, form: Format) -> bool:
    if form is formats.BMP:
        return bmp.has_transparency(data)
    return form is not formats.TIFF or tiff.transparency(data) != tiff.LEFT_OUT


def _on_white(image: np.ndarray, white: int, multiplied: bool = False) -> np.ndarray:
    laid = np.empty((*image.shape[:2], 3), np.uint8)
    for first in range(0, len(image), ROWS_AT_ONCE):
        rows = image[first : first + ROWS_AT_ONCE]
        alpha = rows[:, :, 3:].astype(np.float32) / white
        colour = rows[:, :, :3].astype(np.float32) * (255.0 / white)
        shown = colour if multiplied else colour * alpha
        laid[first : first + ROWS_AT_ONCE] = np.rint(shown + 255.0 * (1.0 - alpha)).clip(0, 255)
    return laid
