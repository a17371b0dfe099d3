"""The augmentations of LesionData: what is drawn how often, and that image and mask stay together."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from skinmtl.layers.lesion_draw import Draw, draw, drawn_upon

VISITS = 20_000


@pytest.fixture(scope="module")
def drawn():
    return [draw(1, visit, 2) for visit in range(VISITS)]


def changed(one):
    """Which of the five a draw shows."""
    return (one.left_right, one.up_down, one.turns > 0, one.factor != 1, one.sigma > 0)


def test_each_number_of_augmentations_is_as_likely_and_so_is_each_choice(drawn):
    """Flips show half of the times that they are chosen: the expected shares are counted over all choices."""
    expected = dict.fromkeys({tuple(map(bool, row)) for row in np.ndindex(2, 2, 2, 2, 2)}, 0.0)
    for count in range(3):
        choices = list(combinations(range(5), count))
        for choice in choices:
            flips = [which for which in choice if which < 2]
            for shown in np.ndindex(*[2] * len(flips)):
                there = {which for which in choice if which > 1} | {f for f, s in zip(flips, shown) if s}
                row = tuple(which in there for which in range(5))
                expected[row] += 1 / 3 / len(choices) / 2 ** len(flips)
    assert sum(expected.values()) == pytest.approx(1)
    possible = [row for row in expected if expected[row]]
    counts = [sum(changed(one) == row for one in drawn) for row in possible]
    assert sum(counts) == VISITS
    assert stats.chisquare(counts, [VISITS * expected[row] for row in possible]).pvalue > 0.001


def test_what_is_chosen_is_uniform_in_its_range(drawn):
    turns = [one.turns for one in drawn if one.turns]
    assert stats.chisquare(np.bincount(turns)[1:]).pvalue > 0.001
    factors = [one.factor for one in drawn if one.factor != 1]
    assert stats.kstest(factors, "uniform", (0.8, 0.7)).pvalue > 0.001
    sigmas = [one.sigma for one in drawn if one.sigma]
    assert stats.kstest(sigmas, "uniform", (0, 5)).pvalue > 0.001
    numbers = np.array([one.numbers for one in drawn])
    assert numbers.max() < 2**24
    assert (numbers.astype(np.float32) == numbers).all()
    for column in numbers.T:
        assert stats.kstest(column / 2**24, "uniform").pvalue > 0.001
    assert abs(np.corrcoef(numbers.T)[0, 1]) < 0.03


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**63), st.integers(0, 2**63), st.integers(0, 5))
def test_a_draw_is_a_function_of_seed_and_visit(seed, visit, most):
    one = draw(seed, visit, most)
    assert one == draw(seed, visit, most)
    assert sum(changed(one)) <= most
    assert one.numbers == draw(seed, visit, 0).numbers
    assert one.numbers not in (draw(seed + 1, visit, most).numbers, draw(seed, visit + 1, most).numbers)
    assert draw(seed, visit, 0)._replace(numbers=(0, 0)) == Draw()


def test_the_numbers_are_these_on_every_machine():
    """Another engine that draws them has to find the same."""
    assert draw(1, 0, 2) == Draw(sigma=2.755398290574069, numbers=(15766981, 2191405))
    expected = Draw(up_down=True, factor=0.829209316353902, sigma=1.7627628076465796, numbers=(594182, 13585530))
    assert draw(7, 123456789012, 5) == expected


# image and mask


@pytest.fixture(scope="module")
def pair():
    random = np.random.RandomState(1)
    return random.randint(0, 256, (20, 30, 3)).astype(np.uint8), random.rand(20, 30) > 0.5


def test_nothing_is_done_where_nothing_is_drawn(pair):
    image, mask = drawn_upon(*pair, Draw(), 64)
    np.testing.assert_array_equal(image, pair[0])
    np.testing.assert_array_equal(mask, pair[1])


@pytest.mark.parametrize(
    ("drawn", "place"),
    [
        (Draw(left_right=True), lambda row, column: (row, 29 - column)),
        (Draw(up_down=True), lambda row, column: (19 - row, column)),
        (Draw(turns=1), lambda row, column: (29 - column, row)),
        (Draw(turns=2), lambda row, column: (19 - row, 29 - column)),
        (Draw(turns=3), lambda row, column: (column, 19 - row)),
        (Draw(left_right=True, turns=1), lambda row, column: (column, row)),
    ],
)
def test_geometry_moves_image_and_mask_alike(pair, drawn, place):
    image, mask = drawn_upon(*pair, drawn, 64)
    assert image.shape[:2] == mask.shape == ((30, 20) if drawn.turns % 2 else (20, 30))
    for row in range(20):
        for column in range(30):
            assert (image[place(row, column)] == pair[0][row, column]).all()
            assert mask[place(row, column)] == pair[1][row, column]


@pytest.mark.parametrize("factor", [0.8, 1.1, 1.5])
def test_a_multiplication_is_clipped_and_leaves_the_mask(pair, factor):
    image, mask = drawn_upon(*pair, Draw(factor=factor), 64)
    np.testing.assert_array_equal(image, np.rint(np.minimum(pair[0] * factor, 255)))
    np.testing.assert_array_equal(mask, pair[1])


@pytest.mark.parametrize(("side", "sigma"), [(1024, 1.0), (1024, 3.0), (512, 4.0)])
def test_a_blur_is_gaussian_in_proportion_to_the_side_and_leaves_the_mask(side, sigma):
    image = np.zeros((61, 61, 3), np.uint8)
    image[30, 30] = 255
    image[:, 50:] = 200
    found, mask = drawn_upon(image, image[:, :, 0] > 0, Draw(sigma=sigma), side)
    np.testing.assert_array_equal(mask, image[:, :, 0] > 0)
    at = np.arange(-30, 31)
    kernel = np.exp(-(at**2) / 2 / (sigma * side / 1024) ** 2)
    kernel /= kernel.sum()
    expected = cv2.sepFilter2D(image.astype(np.float64), -1, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)
    assert np.abs(found - expected).max() < 1.5 + 255 * 0.004  # cut at 3 sigma
