"""Small real photographs and masks as the data sets of lesions' masks have them, BMPs of one bit among them."""

from __future__ import annotations

import struct

import cv2
import numpy as np

HEIGHT, WIDTH = 30, 45  # a width whose rows of one bit are padded


def photograph(number):
    """(30, 45, 3) uint8: skin with a spot whose colour and place tell the number."""
    pixels = np.full((HEIGHT, WIDTH, 3), (150, 180, 220), np.uint8)
    pixels[lesion(number)] = (number * 37 % 120, number * 11 % 90, 60)
    return pixels


def lesion(number):
    """(30, 45) bool: the spot."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return ((y - 9 - number % 7) / 8.0) ** 2 + ((x - 14 - number % 11) / 9.0) ** 2 < 1


def encoded(ending, pixels):
    return cv2.imencode(ending, pixels)[1].tobytes()


def png_mask(number):
    """8 bits, 0 and 255, as ISIC's."""
    return encoded(".png", lesion(number).astype(np.uint8) * 255)


def bmp_of_one_bit(mask, top_down=False, white=1):
    """A palette of black and white; the rows from the bottom, or from the top where the height is negative."""
    height, width = mask.shape
    rows = np.packbits(mask if white else ~mask, axis=1)
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
    data = (rows if top_down else rows[::-1]).tobytes()
    palette = b"\0\0\0\0\xff\xff\xff\0" if white else b"\xff\xff\xff\0\0\0\0\0"
    offset = 14 + 40 + len(palette)
    header = b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset)
    size = -height if top_down else height
    return header + struct.pack("<IiiHHIIiiII", 40, width, size, 1, 1, 0, len(data), 2835, 2835, 2, 2) + palette + data


def bmp_of_24_bits(pixels, top_down=False):
    height, width = pixels.shape[:2]
    rows = np.pad(pixels.reshape(height, -1), ((0, 0), (0, -width * 3 % 4)))
    data = (rows if top_down else rows[::-1]).tobytes()
    size = -height if top_down else height
    header = b"BM" + struct.pack("<IHHI", 54 + len(data), 0, 0, 54)
    return header + struct.pack("<IiiHHIIiiII", 40, width, size, 1, 24, 0, len(data), 2835, 2835, 0, 0) + data


def put(root, files):
    """Writes the files (name -> bytes or text) below the root, which is returned."""
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8"))
    return root


def masks_of(imported):
    """image -> its mask in the manifest."""
    return {row.image: row.mask for row in imported.manifest.rows}
