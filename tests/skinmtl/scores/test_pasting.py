"""A mask stretched over its box: against OpenCV where the box is whole pixels, and a slow reading where it is not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from skinmtl.scores.pasting import ROWS, pasted

REPRODUCIBLE = {"derandomize": True, "deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


def smooth(side, seed):
    """Probabilities (side, side) of a blob."""
    noise = np.random.RandomState(seed).random_sample((side, side)).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 2, borderType=cv2.BORDER_REFLECT) * 1.0


@settings(max_examples=60, **REPRODUCIBLE)
@given(st.integers(0, 2**32 - 1), st.sampled_from([14, 28]), st.tuples(*[st.integers(0, 60)] * 2), st.integers(3, 90))
def test_of_a_whole_box_it_is_opencvs_bilinear_resize(seed, side, corner, length):
    left, top = corner
    mask, width = smooth(side, seed), length + 20
    image = pasted(mask, np.array([left, top, left + width, top + length], np.float32), 100, 110)
    expected = np.zeros((200, 200), np.float32)
    expected[top : top + length, left : left + width] = cv2.resize(mask, (width, length))
    wrong = image != (expected[:100, :110] >= 0.5)
    assert np.abs(expected[:100, :110][wrong] - 0.5).max(initial=0) < 1e-3, "only what is on the edge rounds otherwise"


@settings(max_examples=60, **REPRODUCIBLE)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 28]))
def test_of_any_box_each_pixels_middle_is_looked_up(seed, side):
    random = np.random.RandomState(seed)
    mask = random.random_sample((side, side)).astype(np.float32)
    x1, x2 = np.sort(random.uniform(0, 50, 2))
    y1, y2 = np.sort(random.uniform(0, 40, 2))
    image = pasted(mask, np.array([x1, y1, x2, y2]), 40, 50)
    for row in range(40):
        for column in range(50):
            inside = x1 <= column + 0.5 < x2 and y1 <= row + 0.5 < y2
            if not inside:
                assert not image[row, column]
                continue
            place = [(row + 0.5 - y1) / (y2 - y1) * side - 0.5, (column + 0.5 - x1) / (x2 - x1) * side - 0.5]
            value = map_coordinates(mask, np.reshape(place, (2, 1)), order=1, mode="nearest")[0]
            assert image[row, column] == (value >= 0.5) or abs(value - 0.5) < 1e-5


def test_an_image_of_several_blocks_of_rows_has_no_seam():
    height = 2 * ROWS + 77
    image = pasted(np.ones((28, 28), np.float32), np.array([0.0, 3.0, 9.0, height - 2.0]), height, 9)
    assert image.sum() == 9 * (height - 5)


@pytest.mark.parametrize("box", [[3, 3, 3, 9], [3.6, 2, 4.4, 9], [5, 5, 5, 5]])
def test_a_box_that_holds_no_pixels_middle_has_no_mask(box):
    assert not pasted(np.ones((28, 28), np.float32), np.array(box, np.float32), 12, 12).any()
