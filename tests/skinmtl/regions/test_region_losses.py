"""Focal loss, smooth L1 and the Jaccard distance. Checks 6 and 7 of 12."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_files.errors import InputError
from skinmtl.regions.losses import focal_loss, jaccard_loss, smooth_l1_loss

cases = settings(max_examples=40, deadline=None, derandomize=True)


def numeric(loss, scores, step=1e-5):
    """The gradient by central differences, in float64."""
    gradient = np.zeros(scores.shape)
    for place in np.ndindex(*scores.shape):
        ends = []
        for sign in (1, -1):
            moved = scores.astype(np.float64)
            moved[place] += sign * step
            ends.append(loss(moved)[0])
        gradient[place] = (ends[0] - ends[1]) / (2 * step)
    return gradient


def slow_focal(scores, labels, alpha, beta):
    """By the paper's formula, one label at a time; scores (n, C)."""
    terms = []
    for row, label in zip(scores.astype(float), labels.astype(int)):
        if label >= 0:
            p = np.exp(row[label]) / np.exp(row).sum()
            terms.append(-(alpha if label else 1 - alpha) * (1 - p) ** beta * np.log(p))
    return np.mean(terms) if terms else 0


@given(st.integers(0, 10**6), st.sampled_from([2, 3, 5]), st.floats(0, 1), st.floats(0, 4))
@cases
def test_focal_loss_is_the_formula_in_either_shape(seed, classes, alpha, beta):
    random = np.random.RandomState(seed)
    scores, labels = 3 * random.randn(3, classes, 8), random.randint(-1, classes, (3, 8)).astype(np.float32)
    flat = scores.transpose(0, 2, 1).reshape(24, classes)
    expected = slow_focal(flat, labels.ravel(), alpha, beta)
    value, gradient = focal_loss(scores, labels, alpha, beta)
    flat_value, flat_gradient = focal_loss(flat, labels.ravel(), alpha, beta)
    assert value == pytest.approx(expected, rel=1e-9)
    assert flat_value == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(gradient.transpose(0, 2, 1).reshape(24, classes), flat_gradient, atol=1e-12)
    np.testing.assert_allclose(
        flat_gradient, numeric(lambda moved: focal_loss(moved, labels.ravel(), alpha, beta), flat), atol=1e-7
    )


def test_with_beta_0_and_alpha_a_half_it_is_half_the_cross_entropy():
    random = np.random.RandomState(1)
    scores, labels = random.randn(50, 2), random.randint(0, 2, 50)
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    value, gradient = focal_loss(scores, labels, 0.5, 0)
    assert value == pytest.approx(-0.5 * np.log(p[np.arange(50), labels]).mean())
    np.testing.assert_allclose(gradient, 0.5 * (p - np.eye(2)[labels]) / 50, atol=1e-12)


@pytest.mark.parametrize("beta", [0, 0.5, 1, 2])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_it_is_finite_at_80_and_beyond(beta, kind):
    scores = np.array([[80, -80], [-80, 80], [80, -80], [-80, 80], [0, 1e4], [1e4, 0]], kind)
    value, gradient = focal_loss(scores, np.array([0, 1, 1, 0, 0, 1]), 0.25, beta)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert value == pytest.approx((0.25 * 160 + 0.75 * 160 + 0.75 * 1e4 + 0.25 * 1e4) / 6)
    assert np.abs(gradient[:2]).max() < 1e-30  # right and sure: nothing to learn


def test_labels_of_minus_1_count_neither_above_nor_below():
    scores = np.random.RandomState(1).randn(4, 3)
    value, gradient = focal_loss(scores, np.array([2, -1, 0, -1]), 0.25, 2)
    assert value == pytest.approx(focal_loss(scores[[0, 2]], np.array([2, 0]), 0.25, 2)[0])
    assert not gradient[[1, 3]].any()
    value, gradient = focal_loss(scores, np.full(4, -1), 0.25, 2)
    assert value == 0
    assert not gradient.any()


def test_a_label_without_scores_is_refused():
    with pytest.raises(InputError, match="a label is 2, but there are scores of 2 classes"):
        focal_loss(np.zeros((3, 2)), np.array([0, 2, -1]), 0.25, 2)


# smooth L1


def test_smooth_l1_bends_at_1_and_at_1_through_sigma_squared():
    x = np.array([-3, -1, -0.5, 0, 0.5, 1, 3])
    value = [smooth_l1_loss(x[i : i + 1], np.zeros(1), np.ones(1), 1)[0] for i in range(7)]
    np.testing.assert_allclose(value, [2.5, 0.5, 0.125, 0, 0.125, 0.5, 2.5])
    np.testing.assert_allclose(smooth_l1_loss(x, x * 0, x * 0 + 1, 1)[1], [-1, -1, -0.5, 0, 0.5, 1, 1])
    bend = np.array([1 / 9 - 1e-9, 1 / 9 + 1e-9])  # sigma 3: value and slope pass without a jump
    values = [smooth_l1_loss(bend[i : i + 1], np.zeros(1), np.ones(1), 3)[0] for i in range(2)]
    np.testing.assert_allclose(values, 0.5 / 9, atol=1e-8)
    np.testing.assert_allclose(smooth_l1_loss(bend, bend * 0, bend * 0 + 1, 3)[1], 1, atol=1e-6)


@given(st.integers(0, 10**6), st.sampled_from([0.5, 1, 3]))
@cases
def test_smooth_l1_is_a_weighted_sum_and_its_gradient_the_numeric_one(seed, sigma):
    random = np.random.RandomState(seed)
    prediction, target = 2 * random.randn(2, 4, 6), random.randn(2, 4, 6)
    weight = random.rand(2, 4, 6) * random.randint(0, 2, (2, 4, 6))
    x = np.abs(prediction - target)
    each = np.where(x < 1 / sigma**2, 0.5 * (sigma * x) ** 2, x - 0.5 / sigma**2)
    value, gradient = smooth_l1_loss(prediction, target, weight, sigma)
    assert value == pytest.approx((weight * each).sum())
    expected = numeric(lambda moved: smooth_l1_loss(moved, target, weight, sigma), prediction)
    np.testing.assert_allclose(gradient, expected, atol=1e-5)
    assert not gradient[weight == 0].any()


# the Jaccard distance


def masks(seed, count=3, channels=3, side=5):
    """Scores, and targets on one channel of each mask."""
    random = np.random.RandomState(seed)
    targets = np.full((count, channels, side, side), -1.0)
    targets[np.arange(count), random.randint(0, channels, count)] = random.randint(0, 2, (count, side, side))
    return 2 * random.randn(count, channels, side, side), targets


def test_a_perfect_mask_costs_nothing():
    _, targets = masks(1)
    value, gradient = jaccard_loss(np.where(targets > 0, 80.0, -80.0), targets, 100, 1)
    assert value == pytest.approx(0, abs=1e-12)
    assert np.abs(gradient).max() < 1e-30


@pytest.mark.parametrize(
    ("smooth", "weight", "expected"),
    [(100, 100, 100 * (1 - 500 / 600)), (0, 100, 100 * (1 - 400 / 500)), (100, 1, 1 - 500 / 600)],
    ids=["keras-contrib's, both", "as a weight", "as a smoothing term"],
)
def test_the_three_readings_of_delta_give_their_formulae(smooth, weight, expected):
    """400 pixels in both, 500 in either: 16.7, 20 and 0.167."""
    targets = np.zeros((1, 1, 25, 40))
    scores = np.full(targets.shape, -80.0)
    targets.reshape(-1)[:450] = 1
    scores.reshape(-1)[50:500] = 80
    assert jaccard_loss(scores, targets, smooth, weight)[0] == pytest.approx(expected)


@given(st.integers(0, 10**6), st.sampled_from([(100, 1), (100, 100), (0, 100), (1e-6, 1)]))
@cases
def test_the_value_is_the_mean_over_masks_and_the_gradient_the_numeric_one(seed, reading):
    scores, targets = masks(seed)
    smooth, weight = reading
    value, gradient = jaccard_loss(scores, targets, smooth, weight)
    each = []
    for own, target in zip(scores, targets):
        m, y = 1 / (1 + np.exp(-own[target >= 0])), target[target >= 0]
        shared = (y * m).sum()
        each.append(weight * (1 - (shared + smooth) / (y.sum() + m.sum() - shared + smooth)))
    assert value == pytest.approx(np.mean(each))
    expected = numeric(lambda moved: jaccard_loss(moved, targets, smooth, weight), scores)
    np.testing.assert_allclose(gradient, expected, atol=1e-6)
    assert not gradient[targets < 0].any()


def test_padding_counts_neither_above_nor_below():
    scores, targets = masks(3, count=4)
    targets[[1, 3]] = -1
    scores[1] = np.nan  # nobody reads it
    value, gradient = jaccard_loss(scores, targets, 100, 1)
    assert value == pytest.approx(jaccard_loss(scores[[0, 2]], targets[[0, 2]], 100, 1)[0])
    assert not gradient[[1, 3]].any()
    value, gradient = jaccard_loss(scores, np.full_like(targets, -1), 100, 1)
    assert value == 0
    assert not gradient.any()


def test_an_empty_mask_answered_with_nothing_is_finite():
    value, gradient = jaccard_loss(np.full((1, 1, 4, 4), -800.0), np.zeros((1, 1, 4, 4)), 0, 100)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
