"""Every kind of image file becomes (H, W, 3) uint8, BGR, upright; and a file that is not whole is refused."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from made_photos import TURNED, exif, with_segment

from skinmtl.images.image_file import ImageError, decode, encode_jpeg, load, resize_short_side

HEIGHT, WIDTH = 48, 64
ROWS, COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH]
# quarters of different colours: any exchange of channels, mirroring or turning shows
BGR = np.stack([np.full((HEIGHT, WIDTH), 90), np.where(ROWS < 24, 180, 30), np.where(COLUMNS < 32, 200, 40)], axis=2)
BGR = BGR.astype(np.uint8)
GREY = BGR[:, :, 2]
GREY_AS_BGR = np.repeat(GREY[:, :, np.newaxis], 3, axis=2)
ALPHA = np.where(ROWS < 24, 255, 0).astype(np.uint8)
ON_WHITE = np.where(ALPHA[:, :, np.newaxis] > 0, BGR, 255)


def encode(suffix, pixels, *options):
    return cv2.imencode(suffix, pixels, list(options))[1].tobytes()


def close(pixels, expected, tolerance):
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize(
    "data, expected",
    [
        (encode(".png", BGR), BGR),
        (encode(".png", GREY), GREY_AS_BGR),
        (encode(".png", BGR.astype(np.uint16) * 257), BGR),
        (encode(".png", GREY.astype(np.uint16) * 257), GREY_AS_BGR),
        (encode(".png", np.dstack([BGR, ALPHA])), ON_WHITE),
        (encode(".png", np.dstack([BGR, ALPHA]).astype(np.uint16) * 257), ON_WHITE),
        (encode(".tiff", BGR), BGR),
        (encode(".tiff", GREY), GREY_AS_BGR),
        (encode(".tiff", BGR.astype(np.uint16) * 257), BGR),
        (encode(".tiff", np.dstack([BGR, ALPHA])), ON_WHITE),
        (encode(".bmp", BGR), BGR),
        (encode(".bmp", GREY), GREY_AS_BGR),
        (encode(".ppm", BGR), BGR),
        (encode(".pgm", GREY), GREY_AS_BGR),
    ],
    ids=[
        *("PNG", "PNG grey", "PNG 16-bit", "PNG 16-bit grey", "PNG alpha", "PNG 16-bit alpha"),
        *("TIFF", "TIFF grey", "TIFF 16-bit", "TIFF alpha", "BMP", "BMP grey", "PPM", "PGM"),
    ],
)
def test_lossless_formats(data, expected):
    close(decode(data), expected, 0)


def test_half_transparent_is_half_white():
    pixels = np.dstack([np.full((4, 4, 3), 100, np.uint8), np.full((4, 4), 51, np.uint8)])
    assert (decode(encode(".png", pixels)) == 224).all()  # 100 x 0.2 + 255 x 0.8


@pytest.mark.parametrize("options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 1)])
def test_jpeg(options):
    smooth = cv2.GaussianBlur(BGR, (0, 0), 8)
    close(decode(encode(".jpg", smooth, cv2.IMWRITE_JPEG_QUALITY, 100, *options)), smooth, 4)


def test_grey_jpeg():
    close(decode(encode(".jpg", GREY, cv2.IMWRITE_JPEG_QUALITY, 100)), GREY_AS_BGR, 2)


@pytest.mark.parametrize("pixels", [BGR.astype(np.float32) / 255, BGR.astype(np.float32)], ids=["to 1", "to 255"])
def test_float_pixels_are_refused(pixels):
    """What is white in them is not written in the file, and OpenCV's versions differ in what they make of it."""
    with pytest.raises(
        ImageError, match=r"its (values have 32 bits|colours are LogLuv); save it as RGB with 8 bits a channel"
    ):
        decode(encode(".tiff", pixels))


FORMATS = {
    "JPEG": encode(".jpg", BGR),
    "progressive JPEG": encode(".jpg", BGR, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "PNG": encode(".png", BGR),
    "16-bit PNG": encode(".png", BGR.astype(np.uint16) * 257),
    "TIFF": encode(".tiff", BGR),
    "BMP": encode(".bmp", BGR),
    "WebP": encode(".webp", BGR, cv2.IMWRITE_WEBP_QUALITY, 101),
    "lossy WebP": encode(".webp", BGR, cv2.IMWRITE_WEBP_QUALITY, 80),
    "PPM": encode(".ppm", BGR),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_truncated_file_is_refused_wherever_it_ends(name, capfd):
    data = FORMATS[name]
    assert decode(data).shape == BGR.shape
    for length in {0, 1, 2, 3, 4, 8, 16, len(data) // 3, len(data) // 2, *range(len(data) - 16, len(data))}:
        with pytest.raises(ImageError):
            decode(data[:length])
    assert capfd.readouterr() == ("", ""), "the decoders' own messages must not mix with ours"


@pytest.mark.parametrize("data", [b"", b"\0" * 500, b"not an image", b"<svg/>", b"\xff\xd8", b"\xff\xd8\xff", b"RIFF"])
def test_what_is_no_image_is_refused(data):
    with pytest.raises(ImageError):
        decode(data)


def test_damage_that_a_checksum_shows_is_refused():
    data = bytearray(FORMATS["PNG"])
    data[len(data) // 2] ^= 255
    with pytest.raises(ImageError):
        decode(bytes(data))


def test_what_may_stand_in_a_whole_jpeg():
    plain = decode(FORMATS["JPEG"])
    data = FORMATS["JPEG"]
    for whole in (
        data + b"\0" * 37 + b"and more",
        data + data[:100],  # several pictures in one file: the first counts
        data[:2] + b"\xff\xff\xff" + data[2:],
        data[:-2] + b"\xff\xff" + data[-2:],
        data[:20] + b"\x12\x34" + data[20:],  # strange bytes between two segments
        with_segment(FORMATS["JPEG"], b"Exif\0\0" + encode(".jpg", BGR[::4, ::4])),
    ):
        np.testing.assert_array_equal(decode(whole), plain)


def test_a_thumbnails_end_is_not_the_jpegs():
    whole = with_segment(FORMATS["JPEG"], b"Exif\0\0" + encode(".jpg", BGR[::4, ::4]))
    for length in (len(whole) - 2, len(whole) // 2):
        with pytest.raises(ImageError, match="the JPEG is truncated"):
            decode(whole[:length])


def png_with_exif(data, block):
    body = b"eXIf" + block
    chunk = struct.pack(">I", len(block)) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]


def webp_with_exif(block):
    simple = FORMATS["WebP"][12:]
    size = struct.pack("<I", WIDTH - 1)[:3] + struct.pack("<I", HEIGHT - 1)[:3]
    body = b"VP8X" + struct.pack("<I", 10) + b"\x08\0\0\0" + size + simple
    body += b"EXIF" + struct.pack("<I", len(block)) + block + b"\0" * (len(block) % 2)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", TURNED)
def test_exif_orientation(orientation, order):
    block = exif(orientation, order)
    close(decode(with_segment(FORMATS["JPEG"], b"Exif\0\0" + block)), TURNED[orientation](decode(FORMATS["JPEG"])), 0)
    close(decode(png_with_exif(FORMATS["PNG"], block)), TURNED[orientation](BGR), 0)
    close(decode(png_with_exif(encode(".png", np.dstack([BGR, ALPHA])), block)), TURNED[orientation](ON_WHITE), 0)
    close(decode(webp_with_exif(block)), TURNED[orientation](BGR), 0)
    close(decode(webp_with_exif(b"Exif\0\0" + block)), TURNED[orientation](BGR), 0)


@pytest.mark.parametrize("block", [b"", b"II*\0", b"nonsense", exif(0, "<"), exif(9, ">"), exif(6, "<")[:12]])
def test_nonsense_in_exif_means_upright(block):
    close(decode(png_with_exif(FORMATS["PNG"], block)), BGR, 0)


def test_a_file_that_cannot_be_used_is_a_problem_not_an_exception(tmp_path):
    narrow = np.zeros((2, 3000, 3), np.uint8)
    (tmp_path / "narrow.png").write_bytes(encode(".png", narrow))
    (tmp_path / "empty.png").write_bytes(b"")
    for path, problem in (
        (tmp_path / "absent.png", "cannot be read (No such file or directory)"),
        (tmp_path, "cannot be read (Is a directory)"),
        (tmp_path / "empty.png", "the file is empty"),
        (tmp_path / "narrow.png", "3000 x 2 is too narrow for a shorter side of 256"),
    ):
        assert load((path, 256)) == (None, 0, problem, ())


def test_load_resizes_and_says_what_it_had(tmp_path):
    (tmp_path / "a.png").write_bytes(encode(".png", BGR))
    pixels, had, problem, told = load((tmp_path / "a.png", 24))
    assert (pixels.shape, had, problem, told) == ((24, 32, 3), 48, "", ())


@pytest.mark.parametrize("height, width", [(48, 64), (64, 48), (50, 50), (7, 301), (301, 7)])
@pytest.mark.parametrize("side", [1, 7, 33, 48, 96])
def test_resize_keeps_the_aspect_ratio(height, width, side):
    resized = resize_short_side(np.zeros((height, width, 3), np.uint8), side)
    assert min(resized.shape[:2]) == side
    assert abs(max(resized.shape[:2]) - side * max(height, width) / min(height, width)) <= 0.5


def test_resize_down_is_the_mean_of_the_area():
    pixels = np.random.RandomState(0).randint(0, 256, (48, 64, 3)).astype(np.uint8)
    expected = pixels.reshape(12, 4, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(resize_short_side(pixels, 12) - expected).max() <= 0.5


def test_an_encoded_jpeg_is_near_its_image():
    smooth = cv2.GaussianBlur(BGR, (0, 0), 8)
    close(decode(encode_jpeg(smooth, 95)), smooth, 6)
