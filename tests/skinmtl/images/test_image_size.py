"""The size that a header tells, in every format; and files that claim more than a machine has room for."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from processes import PEAK_MEMORY

import skinmtl
from skinmtl.images import tiff
from skinmtl.images.image_file import ImageError, decode, load
from skinmtl.images.image_size import MAX_PIXELS, size_of

WIDTH, HEIGHT = 67, 45
PICTURE = np.random.RandomState(0).randint(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
ALPHA = np.dstack([PICTURE, PICTURE[:, :, 0]])


def encode(suffix, pixels=PICTURE, *options):
    return cv2.imencode(suffix, pixels, list(options))[1].tobytes()


def pillow(form, **options):
    image = pytest.importorskip("PIL.Image").fromarray(PICTURE)
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


FILES = {
    "JPEG": encode(".jpg"),
    "progressive JPEG": encode(".jpg", PICTURE, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "grey JPEG": encode(".jpg", PICTURE[:, :, 0]),
    "PNG": encode(".png"),
    "16-bit PNG": encode(".png", PICTURE.astype(np.uint16)),
    "BMP": encode(".bmp"),
    "TIFF": encode(".tiff"),
    "lossless WebP": encode(".webp", PICTURE, cv2.IMWRITE_WEBP_QUALITY, 101),
    "lossy WebP": encode(".webp", PICTURE, cv2.IMWRITE_WEBP_QUALITY, 80),
    "WebP with alpha": encode(".webp", ALPHA, cv2.IMWRITE_WEBP_QUALITY, 80),
    "JPEG 2000": encode(".jp2"),
    "PPM": encode(".ppm"),
    "PGM": encode(".pgm", PICTURE[:, :, 0]),
    "PPM as text": encode(".ppm", PICTURE, cv2.IMWRITE_PXM_BINARY, 0),
    "PBM": b"P4\n# a comment 1 2\n67 # another\n45\n" + bytes(9 * 45),
    "PAM": encode(".pam"),
    "Sun raster": encode(".sr"),
}


@pytest.mark.parametrize("name", FILES)
def test_size_of_what_opencv_writes(name):
    assert size_of(FILES[name]) == (WIDTH, HEIGHT)
    assert decode(FILES[name]).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(
    "form, options",
    [
        *(("GIF", {}), ("BMP", {}), ("TIFF", {}), ("PPM", {}), ("WEBP", {}), ("PNG", {})),
        ("JPEG", {"quality": 95, "comment": b"\xff\xc0 no frame"}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_size_of_what_pillow_writes(form, options):
    assert size_of(pillow(form, **options)) == (WIDTH, HEIGHT)


def test_size_of_avif():
    """Written by Pillow where it can; OpenCV reads it since 4.8."""
    try:
        data = pillow("AVIF")
    except (KeyError, OSError):
        pytest.skip("this Pillow writes no AVIF")
    assert size_of(data) == (WIDTH, HEIGHT)


def test_rows_from_top_to_bottom():
    data = FILES["BMP"]
    assert size_of(data[:22] + struct.pack("<i", -HEIGHT) + data[26:]) == (WIDTH, HEIGHT)


def test_the_size_is_as_stored():
    block = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    turned = FILES["JPEG"][:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(block)) + block + FILES["JPEG"][2:]
    assert size_of(turned) == (WIDTH, HEIGHT)
    assert decode(turned).shape == (WIDTH, HEIGHT, 3)


@pytest.mark.parametrize("name", FILES)
def test_a_cut_header_has_no_size(name):
    assert size_of(FILES[name][:4]) is None
    for length in range(5, 80):
        assert size_of(FILES[name][:length]) in (None, (WIDTH, HEIGHT))


@pytest.mark.parametrize(
    "data", [b"", b"P", b"P6", b"P6\n", b"P6 x 4", b"BM", b"RIFF", b"\xff\xd8\xff", b"II*\0", b"v/1\x01"]
)
def test_no_image_no_size(data):
    assert size_of(data) is None


def claiming(data, what, offsets, width=60_000, height=60_000, shape=">I"):
    """The file with other numbers at two places after `what`."""
    at = data.index(what) + len(what)
    changed = bytearray(data)
    for offset, value in zip(offsets, (width, height)):
        struct.pack_into(shape, changed, at + offset, value)
    return bytes(changed)


def png_bomb():
    claimed = claiming(FILES["PNG"], b"IHDR", (0, 4))
    return claimed[:29] + struct.pack(">I", zlib.crc32(claimed[12:29])) + claimed[33:]


def tiff_bomb(width=60_000, height=60_000, tile=None, order="<", tag_type=4):
    """A TIFF whose first directory says this, and that has one strip of nothing."""
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 200), (277, 1), (278, height), (279, 100)]
    tags += [(322, tile), (323, tile)] if tile else []
    body = b"".join(struct.pack(order + "HHII", tag, tag_type, 1, value) for tag, value in sorted(tags))
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(order + "IH", 8, len(tags)) + body + bytes(400)


BOMBS = {
    "JPEG": claiming(FILES["JPEG"], b"\xff\xc0\x00\x11\x08", (2, 0), shape=">H"),
    "progressive JPEG": claiming(FILES["progressive JPEG"], b"\xff\xc2\x00\x11\x08", (2, 0), shape=">H"),
    "PNG": png_bomb(),
    "BMP": claiming(FILES["BMP"], b"BM", (16, 20), shape="<I"),
    "TIFF": tiff_bomb(),
    "TIFF, high byte first": tiff_bomb(order=">"),
    "TIFF with signed numbers": tiff_bomb(tag_type=9),
    "WebP": claiming(FILES["lossy WebP"], b"\x9d\x01\x2a", (0, 2), 16_383, 16_383, shape="<H"),
    "WebP with a canvas": claiming(FILES["WebP with alpha"], b"VP8X", (8, 11), 59_999, 59_999, shape="<I"),
    "GIF": b"GIF89a" + struct.pack("<HH", 60_000, 60_000) + bytes(100),
    "JPEG 2000": claiming(FILES["JPEG 2000"], b"\xff\x4f\xff\x51", (4, 8)),
    "PPM": b"P6\n60000 60000\n255\n" + bytes(100),
    "PGM with comments": b"P5# x\n #60 60\n60000#\n\n60000 255\n" + bytes(100),
    "PAM": b"P7\nWIDTH 60000\nHEIGHT 60000\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n" + bytes(100),
    "Sun raster": claiming(FILES["Sun raster"], b"\x59\xa6\x6a\x95", (0, 4)),
    "AVIF": b"\0\0\0\x14ftypavif\0\0\0\0avif\0\0\0\x24metaispe\0\0\0\0" + struct.pack(">II", 60_000, 60_000) + bytes(8),
    "one line": b"P6\n4000000000 1\n255\n" + bytes(100),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_by_what_it_says(name):
    with pytest.raises(ImageError, match=r"says that it is \d+ x \d+ pixels; at most 134217728 are read"):
        decode(BOMBS[name])


def test_a_png_chunk_that_claims_gigabytes_is_refused():
    """OpenCV from 4.11 makes room for it before it reads it."""
    for name in (b"IDAT", b"IEND"):
        at = FILES["PNG"].index(name) - 4
        with pytest.raises(ImageError, match="the PNG is truncated"):
            decode(FILES["PNG"][:at] + b"\xff\xff\xff\xf0" + FILES["PNG"][at + 4 :])


def test_a_grey_png_with_a_transparent_grey_is_refused():
    """OpenCV shows the grey as it is, not what lies behind it."""
    data, trns = encode(".png", PICTURE[:, :, 0]), b"tRNS\0\x05"
    chunk = struct.pack(">I", 2) + trns + struct.pack(">I", zlib.crc32(trns))
    with pytest.raises(ImageError, match="a grey PNG with a transparent grey; save it with an alpha channel or as RGB"):
        decode(data[:33] + chunk + data[33:])


def test_a_small_picture_with_a_huge_tile_is_refused():
    """A decoder makes room for a whole tile."""
    assert size_of(tiff_bomb(200, 100, tile=256)) == (200, 100)
    assert size_of(tiff_bomb(200, 100, tile=30_000)) is None


def test_a_size_that_is_said_twice():
    """libtiff takes the first, others the last: the larger counts."""
    data = tiff_bomb(60_000, 60_000)
    doubled = data.replace(struct.pack("<HHII", 258, 4, 1, 8), struct.pack("<HHII", 256, 4, 1, 10))
    assert size_of(doubled) == (60_000, 60_000)


def test_what_is_claimed_takes_no_memory(tmp_path):
    """All bombs, one after the other, in a process that is measured; and a photograph of 102 million pixels."""
    for number, data in enumerate(BOMBS.values()):
        (tmp_path / f"{number}.bomb").write_bytes(data)
    large = np.full((8736, 11_648), 90, np.uint8)
    (tmp_path / "large.jpg").write_bytes(encode(".jpg", large))
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from skinmtl.images.image_file import load\n"
        "before = peak_memory()\n"
        "for path in sorted(Path(sys.argv[1]).glob('*.bomb')):\n"
        "    assert 'pixels; at most' in load((path, 256)).problem, path\n"
        "print(peak_memory() - before)\n"
        "photograph = load((Path(sys.argv[1]) / 'large.jpg', 256))\n"
        "print(peak_memory() - before, photograph.pixels.shape, photograph.had_short_side)\n"
    )
    environment = {"PYTHONPATH": str(Path(skinmtl.__file__).parents[1])}
    command = [sys.executable, "-c", PEAK_MEMORY + program, str(tmp_path)]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (finished.returncode, finished.stderr) == (0, "")
    bombs, photograph = finished.stdout.splitlines()
    assert int(bombs) < 20  # MB
    megabytes, *rest = photograph.split(maxsplit=1)
    assert rest == ["(256, 341, 3) 8736"]
    assert int(megabytes) < 60


def test_the_limit_lets_the_largest_cameras_through():
    assert 11_648 * 8_736 < MAX_PIXELS < 16_000 * 16_000


@pytest.mark.parametrize("code, colours", [(8, r"CIE L\*a\*b\*"), (6, "YCbCr"), (32845, "LogLuv")])
def test_tiff_colours_that_would_come_out_wrong(tmp_path, code, colours):
    data = tiff_bomb(20, 5).replace(struct.pack("<HHII", 262, 4, 1, 1), struct.pack("<HHII", 262, 4, 1, code))
    assert tiff.first_directory(data)[tiff.PHOTOMETRIC] == [code]
    with pytest.raises(ImageError, match=rf"its colours are {colours}.*; save it as RGB"):
        decode(data)


def test_a_huge_file_is_not_read(tmp_path):
    with open(str(tmp_path / "a.jpg"), "wb") as file:
        file.truncate(1 << 40)
    assert load((tmp_path / "a.jpg", 256)).problem == "has more than 1073741824 bytes"


def test_a_bomb_is_named_with_what_it_claims(tmp_path):
    (tmp_path / "a.png").write_bytes(BOMBS["PNG"])
    assert load((tmp_path / "a.png", 256)).problem.startswith("says that it is 60000 x 60000 pixels")
