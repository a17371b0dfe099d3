"""Non-maximum suppression against a loop over all boxes. Check 4 of 12."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinmtl.regions.boxes import iou
from skinmtl.regions.nms import BLOCK, nms


def slow_nms(boxes, threshold):
    kept = []
    for index in range(len(boxes)):
        if not kept or (iou(boxes[index : index + 1], boxes[kept]) <= np.float32(threshold)).all():
            kept.append(index)
    return kept


def crowded(count, seed, largest=60, side=200):
    """Boxes on whole pixels, so that overlaps are exactly equal, and equal to the threshold, now and then."""
    random = np.random.RandomState(seed)
    corners = random.randint(0, side, (count, 2))
    return np.float32(np.concatenate([corners, corners + random.randint(0, largest, (count, 2))], axis=1))


@given(st.integers(0, 40), st.integers(0, 10**6), st.sampled_from([0, 0.3, 0.5, 0.7, 1]), st.integers(2, 12))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_few_boxes_are_kept_as_a_loop_keeps_them(count, seed, threshold, side):
    boxes = crowded(count, seed, 6, side)
    assert nms(boxes, threshold).tolist() == slow_nms(boxes, threshold)


@pytest.mark.parametrize("threshold", [0.3, 0.7])
@pytest.mark.parametrize("count", [BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 7])
def test_so_are_boxes_of_several_blocks(count, threshold):
    boxes = crowded(count, 1)
    expected = slow_nms(boxes, threshold)
    assert nms(boxes, threshold).tolist() == expected
    assert nms(boxes, threshold, 100).tolist() == expected[:100]


def test_the_better_one_of_two_stays_and_no_more_than_are_wanted():
    boxes = np.float32([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [0, 20, 10, 30]])
    assert nms(boxes, 0.7).tolist() == [0, 2, 3]
    assert nms(boxes, 0.9).tolist() == [0, 1, 2, 3]
    assert nms(boxes, 0.7, 2).tolist() == [0, 2]


def test_an_overlap_of_exactly_the_threshold_drops_nothing():
    assert nms(np.float32([[0, 0, 10, 10], [0, 0, 10, 5]]), 0.5).tolist() == [0, 1]


def test_a_box_that_was_dropped_drops_none():
    """The second overlaps the first and the third; the third does not overlap the first."""
    assert nms(np.float32([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]]), 0.4).tolist() == [0, 2]


def test_no_boxes_and_boxes_without_an_area_pass():
    assert nms(np.zeros((0, 4), np.float32), 0.5).tolist() == []
    assert nms(np.float32([[3, 3, 3, 3], [3, 3, 3, 3]]), 0.5).tolist() == [0, 1]
