"""A large JPEG decoded at a reduced scale: near an exact resize, nothing shifted; and one that is damaged inside."""

from __future__ import annotations

import os

import cv2
import numpy as np
import pytest
from made_photos import TURNED, exif, jpeg, photograph, psnr, with_segment

from skinmtl.images import image_file, jpeg_decoder
from skinmtl.images.decoder import imdecode
from skinmtl.images.image_file import ImageError, decode, encode_jpeg, resize_short_side, resized
from skinmtl.images.jpeg_decoder import decode_jpeg

SIDE = 64
LARGE = photograph(700, 560)  # decoded at 1/4 for a shorter side of 64


def exactly_resized(image, side):
    """By area, or bicubic where it becomes larger, at once: what all else is held against."""
    short = min(image.shape[:2])
    size = tuple(max(side, round(length * side / short)) for length in image.shape[1::-1])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if short > side else cv2.INTER_CUBIC)


@pytest.fixture
def scales(monkeypatch):
    """The (height, width) that the decoder was let make."""
    seen = []

    def watched(*given):
        pixels, messages = decode_jpeg(*given)
        seen.append(pixels.shape[:2])
        return pixels, messages

    monkeypatch.setattr(image_file, "decode_jpeg", watched)
    return seen


@pytest.mark.parametrize("short, decoded", [(768, 96), (767, 192), (384, 96), (383, 192), (192, 96), (191, 191)])
def test_what_is_decoded_is_one_and_a_half_times_as_large_or_more(scales, short, decoded):
    resized(jpeg(np.full((short, short + 10, 3), 90, np.uint8)), SIDE)
    assert scales[0][0] == decoded


@pytest.mark.parametrize("width, height", [(700, 560), (513, 999), (1031, 771), (257, 261), (2600, 2100)])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": 1}, {"rst_interval": 3}], ids=["plain", "progressive", "restarts"]
)
def test_quality_of_what_is_read_and_of_what_is_stored(scales, width, height, options):
    data = jpeg(photograph(width, height), **options)
    exact = exactly_resized(decode(data), SIDE)
    pixels, had, is_clean, *_ = resized(data, SIDE)
    assert (pixels.shape, had, is_clean) == (exact.shape, min(width, height), True)
    assert min(scales[-1]) < min(width, height)
    assert pixels.flags.c_contiguous
    before, coded = psnr(pixels, exact), psnr(decode(encode_jpeg(exact, 95)), exact)
    assert before > 42
    assert psnr(decode(encode_jpeg(pixels, 95)), exact) > coded - 1, "the stored image loses no more than by its coding"


@pytest.mark.parametrize("width, height", [(1025, 1031), (1031, 2047), (517, 515)])
def test_nothing_is_shifted_where_sides_are_no_multiples(width, height):
    """A slope shows a shift as a difference at one side: resized as if they were multiples, it would be 1.7 levels."""
    rows, columns = np.mgrid[0:height, 0:width]
    slope = np.stack([255 * rows / height, 255 * columns / width, np.full(rows.shape, 90.0)], axis=2).astype(np.uint8)
    data = jpeg(slope, quality=100)
    difference = resized(data, SIDE).pixels.astype(float) - exactly_resized(decode(data), SIDE)
    for part in (difference[:8], difference[-8:], difference[:, :8], difference[:, -8:]):
        assert np.abs(part.mean(axis=(0, 1))).max() < 0.5


def test_a_jpeg_that_is_hardly_larger_is_resized_exactly():
    data = jpeg(photograph(100, 90))
    np.testing.assert_array_equal(resized(data, 76).pixels, exactly_resized(decode(data), 76))
    np.testing.assert_array_equal(resized(data, 90).pixels, decode(data))
    np.testing.assert_array_equal(resized(data, 120).pixels, exactly_resized(decode(data), 120))


def test_grey():
    data = jpeg(LARGE[:, :, 1])
    pixels = resized(data, SIDE).pixels
    assert psnr(pixels, exactly_resized(decode(data), SIDE)) > 43
    assert (pixels == pixels[:, :, :1]).all()


def test_cmyk():
    image = pytest.importorskip("PIL.Image").fromarray(LARGE[:, :, ::-1]).convert("CMYK")
    import io

    file = io.BytesIO()
    image.save(file, "JPEG", quality=92)
    data = file.getvalue()
    assert psnr(resized(data, SIDE).pixels, exactly_resized(decode(data), SIDE)) > 43


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("width, height", [(523, 517), (517, 1000)])
def test_turned_after_resizing(orientation, width, height):
    plain = jpeg(photograph(width, height))
    data = with_segment(plain, b"Exif\0\0" + exif(orientation))
    np.testing.assert_array_equal(resized(data, SIDE).pixels, TURNED[orientation](resized(plain, SIDE).pixels))
    np.testing.assert_array_equal(decode(data), TURNED[orientation](decode(plain)))


def test_the_first_exif_counts_and_xmp_is_none():
    turned = with_segment(with_segment(jpeg(LARGE), b"Exif\0\0" + exif(3)), b"Exif\0\0" + exif(6))
    xmp = with_segment(turned, b"http://ns.adobe.com/xap/1.0/\0<x/>")
    np.testing.assert_array_equal(decode(xmp), np.rot90(decode(jpeg(LARGE)), -1))


DAMAGED = {
    "a hole in the scan": lambda data: data[: len(data) // 2] + data[len(data) // 2 + 600 :],
    "no scan but its start": lambda data: data[: len(data) // 4] + data[-2:],
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize(
    "options", [{}, {"progressive": 1}, {"rst_interval": 3}], ids=["plain", "progressive", "restarts"]
)
def test_a_jpeg_damaged_inside_is_refused(name, options, capfd):
    """libjpeg draws something in the place of what is lost, says so on descriptor 2 and is content."""
    data = DAMAGED[name](jpeg(LARGE, **options))
    for read in (decode, lambda data: resized(data, SIDE), lambda data: resized(data, 560)):
        with pytest.raises(ImageError, match=r"the JPEG is damaged \(libjpeg: .*\)"):
            read(data)
    assert capfd.readouterr() == ("", "")


def test_harmless_bytes_are_no_damage():
    """Some cameras write bytes too many before a marker."""
    data = jpeg(LARGE)
    for odd in (data[:20] + b"\x12\x34" + data[20:], data[:-2] + b"\0" + data[-2:], data + b"more"):
        np.testing.assert_array_equal(decode(odd), decode(data))
        assert resized(odd, SIDE).pixels.shape == (64, 80, 3)


def test_a_flood_of_messages_does_not_hold_up(monkeypatch):
    """What a pipe has no room for is lost: nobody reads it while the decoder runs."""

    def noisy(buffer, flags):
        for _ in range(20):
            try:
                os.write(2, b"warning\n" * 2000)
            except BlockingIOError:
                break
        return np.zeros((2, 2, 3), np.uint8)

    monkeypatch.setattr(cv2, "imdecode", noisy)
    _, messages = imdecode(b"anything", cv2.IMREAD_COLOR)
    assert messages.startswith("warning\nwarning\n")


def test_an_opencv_that_does_not_reduce(monkeypatch):
    """Its early versions decode in full, whatever is asked for."""
    monkeypatch.setattr(jpeg_decoder, "REDUCED", dict.fromkeys(jpeg_decoder.REDUCED, cv2.IMREAD_COLOR))
    monkeypatch.setattr(jpeg_decoder, "simplejpeg", lambda: None)
    data = jpeg(LARGE)
    np.testing.assert_array_equal(resized(data, SIDE).pixels, resize_short_side(decode(data), SIDE))


@pytest.mark.parametrize("times", [1.55, 1.9, 2.1, 3.7, 7.9, 12.0])
def test_quality_on_a_real_photograph(times):
    """China, of scikit-learn: fine texture, the hardest of the photographs that KEPT_LARGER was chosen on."""
    pytest.importorskip("PIL.Image")
    photographs = pytest.importorskip("sklearn.datasets").load_sample_images().images
    data = jpeg(np.ascontiguousarray(photographs[0][:, :, ::-1]))
    side = int(427 / times)
    exact = exactly_resized(decode(data), side)
    before, coded = psnr(resized(data, side).pixels, exact), psnr(decode(encode_jpeg(exact, 95)), exact)
    assert before > 34
    assert before > coded - 1.5
