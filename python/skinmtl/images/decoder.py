"""OpenCV's decoder, and what the libraries under it say: they write it to file descriptor 2, where our lines belong."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import Iterator

import cv2
import numpy as np

# What libjpeg says where the picture is not what was stored. Bytes too many are damage before a restart, a scan or its
# tables; before other markers some cameras write them, and they are harmless.
DAMAGE = re.compile(
    "premature end|bad huffman code|bad arithmetic code|instead of rst|extraneous bytes before marker 0x(d[0-7]|c4|da)",
    re.IGNORECASE,
)
NO_MEMORY = -4  # the code of OpenCV's errors, StsNoMem; early versions give none
MESSAGES = 1 << 16  # bytes: a pipe's room, so one reading takes them all


class ImageError(Exception):
    """Bytes that are no whole image, or one that is not read; the message says what is wrong with them."""


def imdecode(data: bytes, flags: int) -> tuple[np.ndarray, str]:
    """The pixels, and the libraries' messages. ImageError where OpenCV reads nothing, or libjpeg found damage.

    libjpeg tells its first finding alone, and damage that still looks like codes it cannot find."""
    said: list[str] = []
    try:
        with _heard(said):
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        if getattr(error, "code", 0) == NO_MEMORY:
            raise MemoryError(one_line(error)) from None  # no fault of the file
        raise ImageError(f"OpenCV cannot read it ({one_line(error)})") from None
    if image is None:
        raise ImageError("not an image that OpenCV reads, or a truncated one")
    for line in said:
        if DAMAGE.search(line):
            raise ImageError(f"the JPEG is damaged (libjpeg: {line})")
    return image, "\n".join(said)


def one_line(error: cv2.error) -> str:
    return " ".join(str(error).split())


@contextmanager
def _heard(said: list[str]) -> Iterator[None]:
    """Adds the lines that the block writes to file descriptor 2 to `said`. What a pipe has no room for is lost."""
    stderr = os.dup(2)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)  # or thousands of warnings would wait for ever
    os.set_blocking(reading, False)
    try:
        os.dup2(writing, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(writing)
        os.close(stderr)
        said.extend(os.read(reading, MESSAGES).decode("utf-8", "replace").splitlines())  # all writers are closed
        os.close(reading)
