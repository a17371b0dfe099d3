"""Masks as people have them: bits in BMPs of both row orders, JPEGs, and small data sets of images with masks."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import cv2
import numpy as np
from made_photos import photograph


def oval(height, width, seed=0, share=0.35):
    """(H, W) bool: an oval about the middle, of another shape for each seed, away from the border."""
    random = np.random.RandomState(seed)
    y, x = np.mgrid[0:height, 0:width]
    across = [side * share * random.uniform(0.7, 1.0) for side in (height, width)]
    middle = [side * random.uniform(0.46, 0.54) for side in (height, width)]
    return ((y - middle[0]) / across[0]) ** 2 + ((x - middle[1]) / across[1]) ** 2 < 1


def one_bit_bmp(mask, top_down=False, white_first=False):
    """A BMP of one bit a pixel, as PH2's masks are; `white_first`: bit 0 is white, as the palette says."""
    height, width = mask.shape
    stored = mask if top_down else mask[::-1]
    bits = np.packbits(stored ^ white_first, axis=1)
    rows = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 4))).tobytes()
    black, white = b"\0\0\0\0", b"\xff\xff\xff\0"
    palette = white + black if white_first else black + white
    signed = -height if top_down else height
    header = struct.pack("<IiiHHIIiiII", 40, width, signed, 1, 1, 0, len(rows), 2835, 2835, 2, 2)
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + header + palette + rows


def png(pixels):
    """PNG bytes of a mask (bool: 0 and 255) or of any picture."""
    if pixels.dtype == bool:
        pixels = np.where(pixels, 255, 0).astype(np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def write_masked(folder, sizes=((60, 80), (90, 70), (64, 64), (50, 120)), location=True, masks=None, **more):
    """Writes JPEGs of (height, width) with masks below `folder`/images and `folder`/masks, and their manifest, whose
    mask cells are relative to `folder`/masks.

    masks  number -> the bytes of its mask, None for a cell that is empty; else an oval as PNG
    more   column -> its cells
    """
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    columns = ["image", "lesions", *(["location"] if location else []), "group", "mask", *more]
    lines, ovals = [",".join(columns)], []
    for n, (height, width) in enumerate(sizes):
        ovals.append(oval(height, width, n))
        picture = photograph(width, height, n).copy()
        picture[ovals[n]] = picture[ovals[n]] // 3
        cv2.imwrite(str(folder / "images" / f"{n}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
        data = (masks or {}).get(n, b"oval")
        if data is not None:
            (folder / "masks" / f"{n}_segmentation.png").write_bytes(png(ovals[n]) if data == b"oval" else data)
        cells = [
            f"{n}.jpg",
            ("benign", "malignant")[n % 2],
            *([("arm", "leg")[n % 2]] if location else []),
            str(n // 2),
        ]
        cells += ["" if data is None else f"{n}_segmentation.png", *(values[n] for values in more.values())]
        lines.append(",".join(cells))
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return SimpleNamespace(
        folder=folder, manifest=folder / "manifest.csv", images=folder / "images", masks=folder / "masks", ovals=ovals
    )
