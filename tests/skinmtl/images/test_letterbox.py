"""The square input of the nets for boxes and masks: the published rule, its window, and the way back."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinmtl.images.letterbox import Letterbox

SIZES = ((2016, 3024), (3024, 2016), (540, 576), (6688, 6780), (683, 1024), (900, 1000), (1, 6000), (31, 7))


def by_the_rule(height, width, side):
    """The rule as published, in fractions: (rows, columns, top, left)."""
    scale = max(Fraction(1), Fraction(side) * 800 / 1024 / min(height, width))
    if round(max(height, width) * scale) > side:
        scale = Fraction(side, max(height, width))
    rows, columns = (max(1, round(length * scale)) for length in (height, width))
    return rows, columns, (side - rows) // 2, (side - columns) // 2


def weights(length, count):
    """(count, length): how much of each pixel a bilinear resampling takes, both measured by the pixels' middles."""
    found = np.zeros((count, length))
    for place in range(count):
        at = min(max((place + 0.5) * length / count - 0.5, 0), length - 1)
        before = min(int(at), length - 1)
        found[place, before] += 1 - (at - before)
        found[place, min(before + 1, length - 1)] += at - before
    return found


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("side", [1024, 512, 128, 64])
def test_the_rule_is_the_published_one(size, side):
    box = Letterbox.of(*size, side)
    rows, columns, top, left = by_the_rule(*size, side)
    assert (box.rows, box.columns) == (rows, columns)
    assert box.window == (left, top, left + columns, top + rows)
    assert max(rows, columns) <= side


def test_the_published_examples():
    assert Letterbox.of(2016, 3024, 1024).window == (0, 170, 1024, 853)  # the odd pixel of padding is at the bottom
    assert Letterbox.of(3024, 2016, 1024).window == (170, 0, 853, 1024)
    assert Letterbox.of(540, 576, 1024).window == (85, 112, 938, 912)  # enlarged until the shorter side is 800
    assert Letterbox.of(6688, 6780, 1024).window == (0, 7, 1024, 1017)
    assert Letterbox.of(900, 1000, 1024).window == (12, 62, 1012, 962)  # left as it is


@pytest.mark.parametrize("size", [(40, 60), (60, 40), (37, 41), (90, 150), (64, 64), (57, 60)])
def test_pixels_are_those_of_a_slow_reference(size):
    random = np.random.RandomState(1)
    image = random.randint(0, 256, (*size, 3)).astype(np.uint8)
    mask = random.rand(*size) > 0.5
    box = Letterbox.of(*size, 64)
    left, top, right, bottom = box.window
    found, found_mask = box.image(image), box.mask(mask)
    assert (found.shape, found.dtype, found_mask.shape, found_mask.dtype) == ((64, 64, 3), np.uint8, (64, 64), bool)
    rows, columns = weights(size[0], box.rows), weights(size[1], box.columns)
    expected = np.einsum("ih,hwc,jw->ijc", rows, image.astype(float), columns)
    assert np.abs(found[top:bottom, left:right] - expected).max() <= 1  # OpenCV's weights have 11 bits
    for row in range(box.rows):
        for column in range(box.columns):
            near = mask[int((row + 0.5) * size[0] / box.rows), int((column + 0.5) * size[1] / box.columns)]
            assert found_mask[top + row, left + column] == near
    padding = np.ones((64, 64), bool)
    padding[top:bottom, left:right] = False
    assert not found[padding].any()
    assert not found_mask[padding].any()


@pytest.mark.parametrize("size", SIZES[:6])
@pytest.mark.parametrize("side", [1024, 512])
def test_a_box_comes_back_within_a_pixel_of_the_square(size, side):
    height, width = size
    box = Letterbox.of(height, width, side)
    boxes = np.array([[0, 0, width, height], [width // 3, height // 4, width // 3 + 90, height // 4 + 77]])
    inside = box.boxes(boxes)
    np.testing.assert_allclose(inside[0], box.window)
    np.testing.assert_allclose(box.boxes_back(inside), boxes, atol=1e-3)
    pixel = max(height / box.rows, width / box.columns)  # what a net tells in whole pixels is off by one of them
    assert np.abs(box.boxes_back(np.rint(inside)) - boxes).max() <= pixel
    assert pixel <= 1 or max(size) > side
    outside = box.boxes_back(np.array([-50.0, -50, side + 50, side + 50]))
    np.testing.assert_array_equal(outside, [0, 0, width, height])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([64, 128]), st.integers(0, 99))
def test_a_mask_that_is_enlarged_comes_back_as_it_was(height, width, side, seed):
    box = Letterbox.of(height, width, side)
    mask = np.random.RandomState(seed).rand(height, width) > 0.5
    back = box.mask_back(box.mask(mask))
    assert back.shape == mask.shape
    if box.rows >= height and box.columns >= width:
        np.testing.assert_array_equal(back, mask)


def test_a_mask_that_is_reduced_comes_back_within_a_pixel_of_the_square():
    rows, columns = np.mgrid[:1500, :2000]
    mask = (rows - 700) ** 2 + (columns - 900) ** 2 < 400**2
    box = Letterbox.of(1500, 2000, 256)
    back = box.mask_back(box.mask(mask))
    distance = np.abs(np.hypot(rows - 700, columns - 900) - 400)
    assert distance[back != mask].max() <= 2000 / 256
    assert abs(back.mean() / mask.mean() - 1) < 0.01


def test_an_image_turned_after_resizing_lies_as_the_turned_image_does():
    for size in SIZES:
        assert Letterbox.of(*size, 512).turned() == Letterbox.of(*size[::-1], 512)
