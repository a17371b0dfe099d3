"""Masks as ROIs see them, against OpenCV's bilinear resizing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinmtl.regions.mask_targets import mask_targets


def blob(seed, side=96):
    noise = cv2.GaussianBlur(np.random.RandomState(seed).rand(side, side), (0, 0), 5)
    return (noise > np.median(noise)).astype(np.float32)


@given(st.integers(0, 99), st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 36)] * 2), st.sampled_from([7, 28]))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_mask_in_a_box_of_whole_pixels_is_the_crop_resized_bilinearly(seed, place, side):
    mask = blob(seed)
    x, y, width, height = place
    made = mask_targets(mask, np.float32([[x, y, x + width, y + height]]), side)[0]
    # a pixel more on every side, so that the crop's border does not show: the mask goes on there
    wide = cv2.copyMakeBorder(mask, 40, 40, 40, 40, cv2.BORDER_REPLICATE)
    steps = (np.arange(side) + 0.5) / side
    columns, rows = np.meshgrid(x + width * steps - 0.5 + 40, y + height * steps - 0.5 + 40)
    expected = cv2.remap(wide, columns.astype(np.float32), rows.astype(np.float32), cv2.INTER_LINEAR)
    sure = np.abs(expected - 0.5) > 0.05  # OpenCV reads at thirty-seconds of a pixel
    np.testing.assert_array_equal(made[sure], (expected >= 0.5)[sure])


def test_a_box_of_the_answers_size_reads_the_pixels_themselves():
    mask = blob(1)
    np.testing.assert_array_equal(mask_targets(mask, np.float32([[10, 20, 38, 48]]), 28)[0], mask[20:48, 10:38])


def test_a_box_twice_the_size_reads_the_mean_of_four_pixels():
    mask = blob(2)
    means = mask[:56, :56].reshape(28, 2, 28, 2).mean(axis=(1, 3))
    np.testing.assert_array_equal(mask_targets(mask, np.float32([[0, 0, 56, 56]]), 28)[0], means >= 0.5)


@pytest.mark.parametrize(("box", "value"), [([30, 30, 60, 60], 1), ([0, 0, 9, 9], 0), ([90, 90, 140, 140], 0)])
def test_in_all_of_the_lesion_it_is_1_and_beside_it_0(box, value):
    mask = np.zeros((100, 100), np.float32)
    mask[20:70, 20:70] = 1
    made = mask_targets(mask, np.float32([box]), 14)
    assert made.dtype == np.float32
    assert (made == value).all()


def test_many_boxes_at_once_are_each_alone():
    mask, boxes = blob(3), np.float32([[0, 0, 96, 96], [10.3, 5.1, 60.7, 80.2], [0, 0, 0.5, 0.5]])
    made = mask_targets(mask, boxes, 28)
    for number in range(3):
        np.testing.assert_array_equal(made[number], mask_targets(mask, boxes[number : number + 1], 28)[0])
