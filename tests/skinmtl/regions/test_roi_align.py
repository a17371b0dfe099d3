"""RoIAlign over levels. Check 5 of 12: exact on ramps, the exact adjoint, numeric gradients, the order of the ROIs."""

from __future__ import annotations

from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_files.errors import InputError
from skinmtl.regions.roi_align import RoIAlign, level_of

STRIDES = (4, 8, 16, 32)
SIDE = 128
SIZES = [(SIDE // stride, SIDE // stride) for stride in STRIDES]


def reader(rois, pooled=7, samples=2, canonical=40, levels="round", images=2):
    return RoIAlign(np.float32(rois), SIZES, images, STRIDES, pooled, samples, canonical, levels)


def some_rois(seed, count=20, largest=120, images=2):
    """ROIs on all levels, some beyond the border."""
    random = np.random.RandomState(seed)
    sides = largest * random.rand(count, 2) ** 2 + 1
    corners = random.uniform(-20, SIDE, (count, 2))
    return np.float32(np.concatenate([random.randint(0, images, (count, 1)), corners, corners + sides], axis=1))


def some_features(seed, channels=3, images=2):
    random = np.random.RandomState(seed)
    return [random.randn(images, channels, *size).astype(np.float32) for size in SIZES]


def slow_point(feature, y, x):
    """One point by bilinear reading: 0 from a pixel beyond the border, the border's pixels before."""
    height, width = feature.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return np.zeros(len(feature))
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = floor(y), floor(x)
    bottom, right, down, across = min(top + 1, height - 1), min(left + 1, width - 1), y - top, x - left
    upper = feature[:, top, left] * (1 - across) + feature[:, top, right] * across
    return upper * (1 - down) + (feature[:, bottom, left] * (1 - across) + feature[:, bottom, right] * across) * down


def slow_roi(features, roi, level, pooled, samples):
    """(C, pooled, pooled) by four loops."""
    feature, stride = features[level][int(roi[0])].astype(float), STRIDES[level]
    x1, y1, x2, y2 = roi[1:].astype(float) / stride - 0.5
    made = np.zeros((len(feature), pooled, pooled))
    for row in range(pooled):
        for column in range(pooled):
            for below in range(samples):
                for beside in range(samples):
                    y = y1 + (row + (below + 0.5) / samples) * (y2 - y1) / pooled
                    x = x1 + (column + (beside + 0.5) / samples) * (x2 - x1) / pooled
                    made[:, row, column] += slow_point(feature, y, x) / samples**2
    return made


@pytest.mark.parametrize(("pooled", "samples"), [(7, 2), (3, 1), (2, 3)])
def test_it_is_what_four_loops_give(pooled, samples):
    rois, features = some_rois(1), some_features(2)
    rois[3, 1:] = 0  # padding
    rois[4, 1:] = [SIDE + 40, 0, SIDE + 90, 30]  # all beyond the border
    levels = level_of(rois[:, 1:], STRIDES, 40, "round")
    assert set(levels) == {0, 1, 2, 3}
    made = reader(rois, pooled, samples).pooled(features)
    assert made.dtype == np.float32
    for number, (roi, level) in enumerate(zip(rois, levels)):
        np.testing.assert_allclose(made[number], slow_roi(features, roi, level, pooled, samples), atol=1e-5)
    assert not made[4].any()


@pytest.mark.parametrize("pooled", [7, 14])
def test_a_linear_ramp_is_read_exactly_whatever_the_level(pooled):
    """A map whose pixels hold their middle's place in the input: a cell is the place of its own middle."""
    features = []
    for stride, (height, width) in zip(STRIDES, SIZES):
        rows, columns = (np.arange(height) + 0.5) * stride, (np.arange(width) + 0.5) * stride
        features.append(np.float32([np.meshgrid(columns, rows)]))
    rois = np.float32([[0, 20, 30, 30, 35], [0, 22, 31.5, 60, 75], [0, 17, 18, 90, 100], [0, 18, 18, 110, 108]])
    assert level_of(rois[:, 1:], STRIDES, 40, "round").tolist() == [0, 2, 3, 3]
    made = reader(rois, pooled, images=1).pooled(features)
    steps = (np.arange(pooled) + 0.5) / pooled
    for roi, cells in zip(rois, made):
        np.testing.assert_allclose(cells[0], np.tile(roi[1] + (roi[3] - roi[1]) * steps, (pooled, 1)), rtol=1e-5)
        np.testing.assert_allclose(cells[1].T, np.tile(roi[2] + (roi[4] - roi[2]) * steps, (pooled, 1)), rtol=1e-5)


@given(st.integers(0, 10**6), st.sampled_from([1, 2, 7]), st.integers(1, 3), st.sampled_from(["round", "floor"]))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_the_gradient_is_the_adjoint(seed, pooled, samples, levels):
    """<S x, y> = <x, S^T y> for any features x and any gradient y above."""
    rois, features = some_rois(seed), some_features(seed)
    pooler = reader(rois, pooled, samples, levels=levels)
    made = pooler.pooled(features)
    above = np.random.RandomState(seed + 1).randn(*made.shape).astype(np.float32)
    gradients = [np.full_like(feature, np.nan) for feature in features]
    pooler.gradients(above, gradients)
    forth = (made.astype(float) * above).sum()
    back = sum((feature.astype(float) * gradient).sum() for feature, gradient in zip(features, gradients))
    assert back == pytest.approx(forth, abs=1e-5 * float(np.abs(made * above).sum()))


def test_the_gradient_is_the_numeric_one():
    rois, features = some_rois(5, 6), some_features(6, channels=1)
    pooler, random = reader(rois, 3), np.random.RandomState(7)
    above = random.randn(6, 1, 3, 3).astype(np.float32)
    gradients = [np.zeros_like(feature) for feature in features]
    pooler.gradients(above, gradients)
    touched = [np.argwhere(gradient) for gradient in gradients]
    for level in range(4):
        for place in map(tuple, touched[level][:: max(1, len(touched[level]) // 5)]):
            ends = []
            for step in (0.5, -0.5):
                moved = [feature.copy() for feature in features]
                moved[level][place] += np.float32(step)
                ends.append((pooler.pooled(moved).astype(float) * above).sum())
            assert ends[0] - ends[1] == pytest.approx(gradients[level][place], abs=1e-4)


def test_levels_that_want_no_gradient_are_left_alone():
    rois = some_rois(1)
    above = np.ones((20, 3, 7, 7), np.float32)
    every = [np.zeros((2, 3, *size), np.float32) for size in SIZES]
    reader(rois).gradients(above, every)
    one = [None, np.zeros_like(every[1]), None, None]
    reader(rois).gradients(above, one)
    np.testing.assert_array_equal(one[1], every[1])


def test_the_order_of_the_rois_is_kept_over_the_levels():
    features, rois = some_features(3), some_rois(4, 30)
    together = reader(rois).pooled(features)
    for number in range(30):
        np.testing.assert_array_equal(together[number], reader(rois[number : number + 1]).pooled(features)[0])
    order = np.random.RandomState(1).permutation(30)
    np.testing.assert_array_equal(reader(rois[order]).pooled(features), together[order])


@pytest.mark.parametrize(
    ("levels", "expected"),
    [("round", [0, 0, 0, 1, 2, 2, 2, 3, 3, 3]), ("floor", [0, 0, 0, 1, 1, 2, 2, 2, 3, 3])],
)
def test_a_rois_side_says_its_level(levels, expected):
    """224 pixels belong to P4; half way (by the logarithm) to the next, they differ."""
    sides = [0, 10, 56, 112, 200, 224, 300, 330, 448, 2000]
    boxes = np.float32([[3, 5, 3 + side, 5 + side] for side in sides])
    assert level_of(boxes, STRIDES, 224, levels).tolist() == expected


def test_the_area_decides_not_the_form():
    assert level_of(np.float32([[0, 0, 112, 448]]), STRIDES, 224, "floor").tolist() == [2]


def test_rois_of_an_image_that_is_not_there_and_numbers_that_are_none_are_refused():
    rois = some_rois(1)
    rois[2, 0] = 2
    with pytest.raises(InputError, match="rois name the images 0 to 2, but there are 2"):
        reader(rois)
    rois[2] = [0, np.nan, 0, 9, 9]
    with pytest.raises(InputError, match="rois hold NaN"):
        reader(rois)
