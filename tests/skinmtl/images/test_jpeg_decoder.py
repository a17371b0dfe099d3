"""JPEGs by simplejpeg and by OpenCV: the same pixels, whatever is installed; the shrink against the exact area."""

from __future__ import annotations

import io
import sys

import cv2
import numpy as np
import pytest
from made_photos import jpeg, photograph, psnr

from skinmtl.images import jpeg_decoder
from skinmtl.images.image_file import ImageError, decode, resized
from skinmtl.images.jpeg import header
from skinmtl.images.jpeg_decoder import REDUCED, decode_jpeg, name_of_decoder


def by_opencv(data, by):
    return cv2.imdecode(np.frombuffer(data, np.uint8), REDUCED.get(by, cv2.IMREAD_COLOR))


@pytest.fixture
def of_simplejpeg(monkeypatch):
    """The shapes of what simplejpeg has made."""
    library = pytest.importorskip("simplejpeg")
    decode_by_it, seen = library.decode_jpeg, []

    def watched(*given, **options):
        pixels = decode_by_it(*given, **options)
        seen.append(pixels.shape[:2])
        return pixels

    monkeypatch.setattr(library, "decode_jpeg", watched)
    return seen


def coded(image, **options):
    """By Pillow, which chooses how colours are sampled."""
    file = io.BytesIO()
    pytest.importorskip("PIL.Image").fromarray(np.ascontiguousarray(image[:, :, ::-1])).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize("by", [1, 2, 4, 8])
@pytest.mark.parametrize("width, height", [(640, 480), (517, 389), (1031, 771), (23, 17)])
@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"subsampling": 1}, {"progressive": True}], ids=str)
def test_both_make_the_same_pixels(of_simplejpeg, by, width, height, options):
    data = coded(photograph(width, height), quality=90, **options)
    pixels, messages = decode_jpeg(data, header(data), by)
    assert of_simplejpeg == [pixels.shape[:2]], "OpenCV was not asked"
    assert messages == ""
    np.testing.assert_array_equal(pixels, by_opencv(data, by))


def test_grey_and_cmyk_are_left_to_opencv(of_simplejpeg):
    grey = jpeg(photograph(90, 70)[:, :, 1])
    np.testing.assert_array_equal(decode(grey), by_opencv(grey, 1))
    file = io.BytesIO()
    pytest.importorskip("PIL.Image").fromarray(photograph(90, 70)).convert("CMYK").save(file, "JPEG")
    np.testing.assert_array_equal(decode(file.getvalue()), by_opencv(file.getvalue(), 1))
    assert of_simplejpeg == []


def test_what_libjpeg_remarks_on_is_judged_by_opencvs_decoder(of_simplejpeg):
    data = jpeg(photograph(300, 200))
    harmless = data[:-2] + b"\0" + data[-2:]
    np.testing.assert_array_equal(decode(harmless), by_opencv(data, 1))
    damaged = data[: len(data) // 2] + data[len(data) // 2 + 600 :]
    with pytest.raises(ImageError, match=r"the JPEG is damaged \(libjpeg: "):
        decode(damaged)


def test_without_simplejpeg_opencv_reads(monkeypatch):
    data = jpeg(photograph(300, 200))
    expected = resized(data, 64).pixels
    jpeg_decoder.simplejpeg.cache_clear()
    monkeypatch.setitem(sys.modules, "simplejpeg", None)  # an import of it fails
    try:
        assert name_of_decoder() == f"OpenCV {cv2.__version__}"
        np.testing.assert_array_equal(resized(data, 64).pixels, expected)
    finally:
        jpeg_decoder.simplejpeg.cache_clear()


def exact_area(image, to):
    """(h, w, 3) float: the mean of the area that each covers, of pixels cut by its edge their part."""

    def weights(n, m):
        edges = np.arange(m + 1) * n / m
        covered = np.minimum(edges[1:, None], np.arange(1, n + 1)) - np.maximum(edges[:-1, None], np.arange(n))
        return covered.clip(0) * m / n

    width, height = to
    rows, columns = weights(image.shape[0], height), weights(image.shape[1], width)
    return np.einsum("hy,yxc,wx->hwc", rows, image.astype(float), columns, optimize=True)


@pytest.mark.parametrize("times", [1.05, 1.19, 1.21, 1.5, 1.758, 2.0, 2.5, 2.95])
def test_the_shrink_is_near_the_exact_area_filter(times):
    """45 dB is the benchmark's floor for the median of photographs."""
    data = jpeg(photograph(round(400 * times), round(300 * times)))
    pixels = resized(data, 300).pixels
    assert psnr(pixels, exact_area(decode(data), pixels.shape[1::-1])) > 45
