"""Values of 12 bits are not taken for 16, and the largest value that a header names is white."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from skinmtl.images import pixels as of_pixels
from skinmtl.images.image_file import ImageError, decode, resized

HEIGHT, WIDTH = 32, 48
ROWS, COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH]
RGB = np.stack([COLUMNS * 5, ROWS * 8, np.full((HEIGHT, WIDTH), 255)], axis=2).astype(np.uint8)
ALPHA = (255 - COLUMNS * 5).astype(np.uint8)
ON_WHITE = np.rint(RGB * (ALPHA[:, :, np.newaxis] / 255) + 255 * (1 - ALPHA[:, :, np.newaxis] / 255))
TWELVE = np.rint(RGB * (4095 / 255)).astype(np.uint16)


def compare(data, expected=RGB, tolerance=1):
    pixels = decode(data)[:, :, ::-1].astype(int)
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).max() <= tolerance


def png(values, significant=0):
    """A 16-bit PNG of (H, W), (H, W, 3) or (H, W, 4), with sBIT where that is said."""
    channels = 1 if values.ndim == 2 else values.shape[2]
    order = {1: slice(None), 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    data = cv2.imencode(".png", values if channels == 1 else np.ascontiguousarray(values[:, :, order]))[1].tobytes()
    body = b"sBIT" + bytes([significant] * channels)
    chunk = struct.pack(">I", channels) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + (chunk if significant else b"") + data[33:]


def test_a_png_whose_values_were_not_scaled_up():
    """`sBIT` says 12, and all values fit in: they were written as they came from the sensor."""
    compare(png(TWELVE, 12))
    compare(png(TWELVE[:, :, 0], 12), np.repeat(RGB[:, :, :1], 3, axis=2))
    alpha = np.rint(ALPHA * (4095 / 255)).astype(np.uint16)
    compare(png(np.dstack([TWELVE, alpha]), 12), ON_WHITE)
    ten = np.rint(RGB * (1023 / 255)).astype(np.uint16)
    compare(png(ten, 10))


def test_a_png_whose_values_were_scaled_up_as_the_standard_says():
    scaled = (TWELVE << 4) | (TWELVE >> 8)
    compare(png(scaled, 12))
    dark = scaled // 4096 * 16  # all below 4096, and still the dark picture that they say
    compare(png(dark, 12), dark / 257)


def test_a_16_bit_image_that_is_too_dark_to_be_meant_is_told_of():
    assert resized(png(TWELVE), 16).told == (of_pixels.TOLD_DARK,)
    for data in (png(TWELVE, 12), png(RGB.astype(np.uint16) * 257), png((RGB.astype(np.uint16) * 257) // 7)):
        assert resized(data, 16).told == ()
    assert resized(png(np.full((32, 32), 8191, np.uint16)), 16).told == (of_pixels.TOLD_DARK,)
    assert resized(png(np.full((32, 32), 8192, np.uint16)), 16).told == ()


def netpbm(kind, white, values):
    """P2 and P3 are written in figures, P5 and P6 in bytes."""
    if kind in (2, 3):
        body = b" ".join(b"%d" % value for value in values.ravel().tolist()) + b"\n"
    else:
        body = values.astype(">u2" if white > 255 else np.uint8).tobytes()
    return b"P%d\n%d %d\n%d\n" % (kind, WIDTH, HEIGHT, white) + body


@pytest.mark.parametrize("white", [100, 255, 1023, 4095, 65535])
def test_the_largest_value_of_netpbm(white):
    values = np.rint(RGB * (white / 255.0)).astype(np.int64)
    for kind in (3, 6):
        compare(netpbm(kind, white, values), tolerance=2)
    for kind in (2, 5):
        compare(netpbm(kind, white, values[:, :, 0]), np.repeat(RGB[:, :, :1], 3, axis=2), 2)


@pytest.mark.parametrize("depth, white", [(2, 255), (4, 255), (3, 4095), (3, 100)])
def test_a_pam_that_opencv_reads_wrongly_is_refused(depth, white):
    header = f"P7\nWIDTH 8\nHEIGHT 8\nDEPTH {depth}\nMAXVAL {white}\nTUPLTYPE RGB\nENDHDR\n".encode()
    with pytest.raises(ImageError, match=f"a PAM of {depth} channels up to {white}; save it as PNG"):
        decode(header + bytes(8 * 8 * depth * 2))


def bmp(fourth, mask, header=124):
    """32 bits a pixel: with masks in a header of 56 bytes or more, without in one of 40."""
    pixels = np.dstack([RGB[:, :, ::-1], fourth])[::-1].tobytes()
    compression = 3 if header > 40 else 0
    body = struct.pack("<IiiHHIIiiII", header, WIDTH, HEIGHT, 1, 32, compression, len(pixels), 0, 0, 0, 0)
    if header > 40:
        body += struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, mask)
    body = body.ljust(header, b"\0")
    return b"BM" + struct.pack("<IHHI", 14 + header + len(pixels), 0, 0, 14 + header) + body + pixels


def test_the_fourth_byte_of_a_bmp_is_transparency_only_where_its_header_says_so():
    """Windows writes zeros there: an OpenCV that takes them for transparency shows a white image."""
    nothing = np.zeros((HEIGHT, WIDTH), np.uint8)
    compare(bmp(nothing, 0, 40), RGB, 0)
    compare(bmp(ALPHA, 0, 40), RGB, 0)
    compare(bmp(nothing, 0, 108), RGB, 0)
    compare(bmp(ALPHA, 0xFF000000, 108), ON_WHITE)
    compare(bmp(ALPHA, 0xFF000000, 124), ON_WHITE)
