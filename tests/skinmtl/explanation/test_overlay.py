"""A map over its photograph: what is seen where it is high and where it is low, and that redness is left."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinmtl.explanation.attention_file import HeadAttention
from skinmtl.figures.overlay import FAINT, contours, in_grey, is_faint, overlay, scaled

SKIN, RED = (140, 165, 215), (60, 60, 200)  # BGR


def one_high_corner():
    attention = np.full((4, 4), -3.0)
    attention[3, 0] = 2
    return attention


def test_the_photographs_own_colours_stay_where_the_map_is_highest_and_nowhere_else_is_like_skin():
    image = np.full((40, 60, 3), SKIN, np.uint8)
    image[35:, :6] = RED
    drawn = overlay(image, one_high_corner())
    assert (drawn.shape, drawn.dtype) == (image.shape, np.uint8)
    assert np.array_equal(drawn[38:, :4], image[38:, :4])
    blue, green, red = drawn[2, 50].astype(int)
    assert blue > 1.5 * green > 1.5 * red
    assert drawn.astype(int).sum(axis=2)[:20].max() < 0.6 * image[0, 0].sum()


def test_what_is_veiled_keeps_its_shapes():
    image = np.full((40, 60, 3), SKIN, np.uint8)
    image[5:10, 40:50] = 20
    drawn = overlay(image, one_high_corner()).astype(int).sum(axis=2)
    assert drawn[5:10, 40:50].max() < 0.3 * drawn[15, 45]


def test_lines_go_round_what_is_high_and_leave_the_rest_of_the_photograph_as_it_is():
    rows, columns = np.mgrid[:100, :160]
    attention = np.exp(-((rows - 50) ** 2 + (columns - 80) ** 2) / 800)
    image = np.full((100, 160, 3), SKIN, np.uint8)
    drawn = contours(image, attention)
    changed = (drawn != image).any(axis=2)
    assert 0.02 < changed.mean() < 0.3
    assert not changed[48:53, 78:83].any()  # within the innermost line
    assert not changed[:8].any()
    inside = np.zeros((100, 160), np.uint8)
    cv2.drawContours(inside, cv2.findContours(changed.astype(np.uint8), 0, 2)[-2], -1, 1, -1)
    assert inside[attention > 0.3].all()


def test_no_line_runs_along_the_pictures_edge():
    """Where the map is high at an edge, a line ends there."""
    image, attention = np.full((64, 64, 3), SKIN, np.uint8), np.tile(np.linspace(0, 1, 64), (64, 1))
    changed = (contours(image, attention) != image).any(axis=2)
    assert not changed[:, 60:].any()
    assert changed[0].any()


def test_a_map_without_heights_has_no_lines():
    image = np.full((20, 20, 3), SKIN, np.uint8)
    assert np.array_equal(contours(image, np.ones((3, 3))), image)


def test_a_map_of_labels_that_are_all_but_excluded_is_brightest_where_it_was_and_has_no_colour():
    image = np.full((40, 60, 3), SKIN, np.uint8)
    drawn = in_grey(overlay(image, one_high_corner()))
    assert drawn.shape == image.shape and np.ptp(drawn, axis=2).max() == 0
    assert drawn[38:, :4].min() > 2 * drawn[:20].max()
    assert is_faint([FAINT / 2, 0.0]) and not is_faint([0.0, FAINT]) and not is_faint([1.0])


@pytest.mark.parametrize("value", [0.0, -7.0, 1e-30, 1e30])
def test_a_constant_map_is_drawn_dark_everywhere(value):
    assert not scaled(np.full((3, 5), value, np.float32)).any()


@given(st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_maps_are_shown_from_0_to_1_in_their_own_order(seed):
    values = np.random.RandomState(seed).randn(4, 5) * 10.0 ** (seed % 7 - 3) + seed - 500
    shown = scaled(values)
    assert (shown.min(), shown.max()) == (0, 1)
    assert np.array_equal(shown.ravel().argsort(kind="stable"), values.ravel().argsort(kind="stable"))


def test_of_several_lesions_the_mean_is_shown():
    assert np.array_equal(HeadAttention(("a", "b"), np.array([[[1.0, 2]], [[3.0, -2]]]), np.ones(2)).shown, [[2, 0]])
