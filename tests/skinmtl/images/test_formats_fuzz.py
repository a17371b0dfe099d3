"""Small files of every format that is read here, damaged: an image, or ImageError, and what a header says."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from fuzzing import mutated_bytes
from made_photos import exif, jpeg, photograph, with_segment

from caffe_files.errors import InputError
from skinmtl.description.headers import read_header
from skinmtl.images import image_file
from skinmtl.images.decoder import ImageError

PIXELS = photograph(24, 20)
ALPHA = np.dstack([PIXELS, PIXELS[:, :, 0]])
LARGER = photograph(40, 36)  # OpenJPEG's smallest is 32
DEEP = PIXELS.astype(np.uint16) * 16
KINDS = {
    "jpg": [(".jpg", PIXELS, ()), (".jpg", PIXELS, (cv2.IMWRITE_JPEG_PROGRESSIVE, 1))],
    "png": [(".png", PIXELS, ()), (".png", ALPHA, ()), (".png", DEEP, ())],
    "tiff": [(".tiff", PIXELS, ()), (".tiff", ALPHA, ()), (".tiff", DEEP, ())],
    "webp": [(".webp", PIXELS, ()), (".webp", ALPHA, (cv2.IMWRITE_WEBP_QUALITY, 101))],
    "bmp": [(".bmp", PIXELS, ()), (".bmp", ALPHA, ())],
    "gif": [(".gif", PIXELS, ())],
    "avif": [(".avif", PIXELS, ()), (".avif", ALPHA, ())],
    "jp2": [(".jp2", LARGER, ()), (".jp2", LARGER.astype(np.uint16) * 16, ())],
    "ppm": [(".ppm", PIXELS, ()), (".pam", PIXELS, ()), (".ppm", DEEP, ())],
    "sr": [(".sr", PIXELS, ())],
}
SLOW = {"avif": 0.1, "jp2": 0.25}  # of the cases: a millisecond and more each


def seeds(kind):
    """Those that this OpenCV writes and reads."""
    for suffix, pixels, options in KINDS[kind]:
        try:
            data = cv2.imencode(suffix, pixels, list(options))[1].tobytes()
            image_file.decode(data)
        except (cv2.error, ImageError):
            continue
        yield data
    if kind == "jpg":
        yield with_segment(jpeg(PIXELS), b"Exif\0\0" + exif(6))
        yield with_segment(jpeg(PIXELS), b"ICC_PROFILE\0\1\1" + bytes(128), marker=0xE2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_image(fuzzer, kind):
    made = list(seeds(kind))
    if not made:
        pytest.skip(f"this OpenCV does not write and read {kind}")

    def read(path):
        data = path.read_bytes()
        read_header(data)
        try:
            pixels = image_file.resized(data, 16).pixels
        except ImageError as error:
            raise InputError(f"{path}: {error}") from None
        assert min(pixels.shape[:2]) == 16
        assert pixels.dtype == np.uint8

    counts = fuzzer.run(f"x.{kind}", read, made, mutated_bytes, share=SLOW.get(kind, 1.0))
    assert counts["refused"] > 0
