"""Holds the stored masks against the images beside them and against their source files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from google.protobuf.message import Message

from caffe_files.errors import InputError
from skinmtl.data.stored_mask import stored_mask
from skinmtl.images.decoder import ImageError, imdecode
from skinmtl.images.masks import read_mask


def check_mask(where: str, datum: Message, image: np.ndarray) -> np.ndarray:
    """(H, W) bool of a record's mask. InputError unless it is one channel of 0 and 255, of the image's size."""
    try:
        pixels, _ = imdecode(datum.data, cv2.IMREAD_UNCHANGED)
    except ImageError as error:
        raise InputError(f"{where}: the mask does not decode: {error}; build the LMDBs again") from None
    height, width = image.shape[:2]
    if pixels.shape != (height, width):
        raise InputError(
            f"{where}: the mask is stored as {pixels.shape}, its image as {height} x {width}; build the LMDBs again"
        )
    if (datum.channels, datum.height, datum.width, datum.encoded) != (1, height, width, True):
        raise InputError(f"{where}: the mask Datum does not describe its {width} x {height} mask; build again")
    if not np.isin(pixels, (0, 255)).all():
        raise InputError(f"{where}: the mask holds other values than 0 and 255; build the LMDBs again")
    return pixels > 0


def compare_mask(where: str, stored: np.ndarray, source: Path, components: str) -> None:
    """InputError unless each pixel of a stored mask is the one that its source file gives."""
    try:
        expected = stored_mask(read_mask(source), components, *stored.shape)
    except ImageError as error:
        raise InputError(f"{where}: its source {source} cannot be compared ({error}); give --masks") from None
    differing = int((expected != stored).sum())
    if differing:
        raise InputError(f"{where}: {differing} pixels are not those of the mask {source}; build again")
