"""Anchors, and how well they fit lesions. Check 1 of 12: 261,888 anchors at 1024."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinmtl.regions.anchor_fit import best_overlaps, shares_reached, told
from skinmtl.regions.anchors import anchors, cells
from skinmtl.regions.boxes import iou

SCALES, RATIOS, STRIDES = (32, 64, 128, 256, 512), (0.5, 1, 2), (4, 8, 16, 32, 64)


@pytest.mark.parametrize(("side", "count"), [(1024, 261_888), (512, 65_472), (128, 4_092), (64, 1_023)])
def test_there_are_three_anchors_at_each_cell_of_each_level(side, count):
    made = anchors(side, SCALES, RATIOS, STRIDES)
    assert made.shape == (count, 4)
    assert made.dtype == np.float32
    assert count == 3 * cells(side, STRIDES)


def test_an_anchors_area_is_its_scale_squared_and_its_ratio_is_width_through_height():
    made = anchors(128, (40, 90), (0.5, 1, 2), (16, 32)).astype(np.float64)
    width, height = (made[:, 2:] - made[:, :2]).T
    np.testing.assert_allclose(width * height, [40**2] * 192 + [90**2] * 48, rtol=1e-5)
    expected = np.concatenate([np.repeat([0.5, 1, 2], 64), np.repeat([0.5, 1, 2], 16)])
    np.testing.assert_allclose(width / height, expected, rtol=1e-5)


def test_the_order_is_that_of_a_convolutions_output_level_by_level():
    """The flat index of (anchor of the cell, row, column) of each level, one level behind the other."""
    made = anchors(64, (8, 16), (1, 2), (8, 16))
    centres = (made[:, :2] + made[:, 2:]) / 2
    assert centres[5 * 8 + 3].tolist() == [24, 40]  # level 0, anchor 0, row 5, column 3: x is the column's
    assert centres[64 + 5 * 8 + 3].tolist() == [24, 40]  # anchor 1
    assert centres[128 + 16 + 1 * 4 + 2].tolist() == [32, 16]  # level 1, anchor 1, row 1, column 2
    np.testing.assert_allclose(made[128 + 16 + 6], [32 - 8 * 2**0.5, 16 - 4 * 2**0.5, 32 + 8 * 2**0.5, 16 + 4 * 2**0.5])


def test_anchors_are_made_once_and_nobody_can_change_them():
    made = anchors(128, SCALES, RATIOS, STRIDES)
    assert anchors(128, list(SCALES), list(RATIOS), list(STRIDES)) is made
    with pytest.raises(ValueError, match="read-only"):
        made[0] = 0


# how well they fit

edges = st.tuples(*[st.floats(0, 256)] * 2, *[st.floats(2, 250)] * 2)


@given(st.lists(edges, min_size=1, max_size=5))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_the_best_anchor_is_the_best_of_all(places):
    boxes = np.array([(x, y, x + width, y + height) for x, y, width, height in places])
    everywhere = anchors(256, SCALES, RATIOS, STRIDES).astype(np.float64)
    fast = best_overlaps(boxes, 256, SCALES, RATIOS, STRIDES)
    np.testing.assert_allclose(fast, iou(boxes, everywhere).max(axis=1), atol=1e-6)


def test_the_shares_that_reach_an_iou_are_told():
    shares = shares_reached(np.array([0.1, 0.3, 0.5, 0.9]))
    assert shares == {0.7: 0.25, 0.5: 0.5, 0.3: 0.75}
    assert told(shares) == "the best anchor reaches an IoU of 0.7 for 25 %, 0.5 for 50 %, 0.3 for 75 % of the lesions"


def test_scales_that_match_nothing_are_seen():
    """Lesions of 200 pixels, anchors of 8 at most: no IoU above 0.01."""
    boxes = np.array([[20, 20, 220, 220], [10.0, 30, 210, 230]])
    assert best_overlaps(boxes, 256, (4, 8), RATIOS, (4, 8)).max() < 0.01
