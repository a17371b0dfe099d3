"""Images whose longer side is made smaller, and never larger: by area, against a slow sum over every source pixel."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_photos import exif, jpeg, photograph, psnr, with_segment

from skinmtl.images.image_file import fitted, fitted_size


def weights(there, wanted):
    """(wanted, there): how much of each source row lies in each new one, in exact overlaps."""
    edges = np.arange(wanted + 1) * there / wanted
    low = np.maximum(edges[:-1, np.newaxis], np.arange(there))
    high = np.minimum(edges[1:, np.newaxis], np.arange(there) + 1)
    return np.maximum(high - low, 0) * wanted / there


def slow_area(pixels, height, width):
    """Each new pixel is the mean of the source under it."""
    rows, columns = weights(pixels.shape[0], height), weights(pixels.shape[1], width)
    return np.einsum("yjc,xj->yxc", np.einsum("yi,ijc->yjc", rows, pixels.astype(float)), columns)


def png(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.mark.parametrize(("width", "height", "side"), [(300, 200, 100), (173, 211, 120), (97, 301, 64), (99, 99, 98)])
def test_an_image_is_made_smaller_as_by_area(width, height, side):
    pixels = photograph(width, height)
    found = fitted(png(pixels), side)
    assert max(found.pixels.shape[:2]) == side
    expected = slow_area(pixels, *found.pixels.shape[:2])
    assert psnr(found.pixels, expected) > 42  # JPEG coding at quality 95 leaves 45 or less
    if max(height, width) < 1.2 * side:
        assert np.abs(found.pixels - expected).max() <= 1, "near the size wanted it is the exact area"
    assert found.had_size == (height, width)


@pytest.mark.parametrize("side", [60, 61, 1024])
def test_an_image_is_never_enlarged(side):
    pixels = photograph(60, 40)
    assert np.array_equal(fitted(png(pixels), side).pixels, pixels)


@pytest.mark.parametrize("scale", [2.2, 3.4, 7.0])
def test_a_jpeg_decoded_at_a_reduced_scale_is_near_it(scale):
    """As for a shorter side: 43 dB and more, where coding again as JPEG leaves 39."""
    pixels = photograph(round(96 * scale), round(64 * scale))
    data = jpeg(pixels, 95)
    found = fitted(data, 96).pixels
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert psnr(slow_area(decoded, *found.shape[:2]), found) > 38


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_that_it_had_is_the_upright_one(orientation):
    data = with_segment(jpeg(photograph(90, 50)), b"Exif\0\0" + exif(orientation))
    found = fitted(data, 45)
    upright = (50, 90) if orientation < 5 else (90, 50)
    assert found.had_size == upright
    assert found.pixels.shape[:2] == (upright[0] // 2, upright[1] // 2)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(1, 3000))
def test_the_size_keeps_the_aspect_to_half_a_pixel(width, height, side):
    new_width, new_height = fitted_size(width, height, side)
    assert max(new_width, new_height) == min(side, max(width, height))
    assert 1 <= new_width <= width
    assert 1 <= new_height <= height
    scale = min(1, side / max(width, height))
    for new, old in ((new_width, width), (new_height, height)):
        assert abs(new - old * scale) <= 0.5 or new == 1


@pytest.mark.parametrize(
    ("size", "expected"),
    [((3024, 2016), (1024, 683)), ((576, 540), (576, 540)), ((6780, 6688), (1024, 1010)), ((2016, 3024), (683, 1024))],
)
def test_sizes_of_the_papers_data(size, expected):
    assert fitted_size(*size, 1024) == expected


def test_a_narrow_image_keeps_a_pixel():
    assert fitted(png(np.zeros((1, 4000, 3), np.uint8)), 100).pixels.shape == (1, 100, 3)
