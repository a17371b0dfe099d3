"""Drawn photographs, their EXIF blocks, and how near two images are."""

from __future__ import annotations

import math
import struct
from functools import lru_cache

import cv2
import numpy as np

TURNED = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].transpose(1, 0, 2),
    8: lambda image: np.rot90(image),
}


@lru_cache(maxsize=None)
def photograph(width, height, seed=0):
    """Colours and texture at every scale, an edge, and sensor noise."""
    random = np.random.RandomState(seed)
    picture = np.full((height, width, 3), 120, np.float32)
    contrast, cells = 45.0, 4
    while cells < min(width, height):
        grid = random.standard_normal((cells, cells, 3 if cells < 64 else 1)).astype(np.float32)
        picture += contrast * cv2.resize(grid, (width, height)).reshape(height, width, -1)
        contrast, cells = contrast * 0.62, cells * 2
    cv2.circle(picture, (width // 3, height // 2), min(width, height) // 4, (40, 60, 90), -1)
    picture += random.standard_normal((height, width, 1)).astype(np.float32) * 3
    return picture.clip(0, 255).astype(np.uint8)


def jpeg(pixels, quality=92, **options):
    """JPEG bytes; options are OpenCV's without IMWRITE_JPEG_, in small letters."""
    said = [cv2.IMWRITE_JPEG_QUALITY, quality]
    for name, value in options.items():
        said += [getattr(cv2, f"IMWRITE_JPEG_{name.upper()}"), value]
    return cv2.imencode(".jpg", pixels, said)[1].tobytes()


def exif(orientation, order=">"):
    """A TIFF structure that says how the picture is to be turned."""
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(order + "IH", 8, 1) + entry + b"\0\0\0\0"


def with_segment(data, body, marker=0xE1):
    """The JPEG with one more segment at its start."""
    return data[:2] + b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body + data[2:]


def psnr(one, other):
    """Peak signal-to-noise ratio in dB, of 8 bits."""
    squared = np.square(one.astype(float) - other).mean()
    return 10 * math.log10(255**2 / max(squared, 1e-4))


def read_small(path, side):
    """(H, W, 3) uint8 of a file with its shorter side resized to `side`, by OpenCV alone: what the tools are to make of
    a JPEG that is less than three times too large, which is decoded in full."""
    image = cv2.imread(str(path))
    larger = min(image.shape[:2]) / side
    width, height = round(image.shape[1] / larger), round(image.shape[0] / larger)
    if larger < 1.2:
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if larger > 1 else cv2.INTER_CUBIC)
    twice = cv2.resize(image, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR).astype(int)
    return ((twice.reshape(height, 2, width, 2, 3).sum(axis=(1, 3)) + 2) // 4).astype(np.uint8)
