"""What happens to a training image, change by change, against slow formulas, scipy and torchvision's conventions."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from scipy import ndimage

from skinmtl.layers.changes import LUMA, blurred, cut_out, flipped, multiplied, recoloured, turned_square


def photograph(height=60, width=80, seed=1):
    coarse = np.random.RandomState(seed).randint(0, 256, (6, 7, 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def test_flips_are_numpys():
    image = photograph()
    assert (flipped(image, True, False) == image[:, ::-1]).all()
    assert (flipped(image, False, True) == image[::-1]).all()
    assert (flipped(image, True, True) == image[::-1, ::-1]).all()


@pytest.mark.parametrize("turns", [0, 1, 2, 3, -1])
def test_a_quarter_turn_is_exact_and_against_the_clock(turns):
    image = photograph()
    found = turned_square(image, 10, 20, 32, 32, 90.0 * turns)
    np.testing.assert_array_equal(found, np.rot90(image[10:42, 20:52], turns))


@pytest.mark.parametrize("degrees", [17.0, -45.0, 133.0])
def test_a_turn_by_any_angle_is_scipys(degrees):
    """scipy turns the whole image about its centre, with linear interpolation; the square lies in its middle."""
    image = photograph(61, 61)
    found = turned_square(image, 18, 18, 25, 25, degrees).astype(int)
    channels = [ndimage.rotate(image[..., c].astype(float), degrees, reshape=False, order=1) for c in range(3)]
    expected = np.stack(channels, 2)[18:43, 18:43]
    assert np.abs(found - expected).max() <= 4  # OpenCV has places to 1/32 of a pixel
    assert np.abs(found - expected).mean() < 0.6


def test_a_turned_square_that_is_made_smaller_is_the_smaller_square_turned():
    image = photograph(240, 320)
    found = turned_square(image, 60, 100, 96, 32, 30.0).astype(int)
    smaller = cv2.resize(image, (320 // 3 + 0, 80), interpolation=cv2.INTER_AREA)
    expected = turned_square(smaller, 20, 33, 32, 32, 30.0)
    assert np.abs(found - expected).mean() < 4


def test_beyond_its_edges_an_image_is_mirrored():
    image = photograph(40, 40)
    found = turned_square(image, 0, 0, 40, 40, 45.0)
    wide = np.pad(image, ((30, 30), (30, 30), (0, 0)), "reflect")
    np.testing.assert_array_equal(found, turned_square(wide, 30, 30, 40, 40, 45.0))


def slow_colours(image, brightness, contrast, saturation, hue, gains):
    """Step by step in float64, without the clipping in between that would depend on the order of steps."""
    values = image.astype(float) * [gains[0], 1, gains[1]] * brightness
    grey = (values * LUMA).sum(axis=2).mean()
    values = grey + contrast * (values - grey)
    own = (values * LUMA).sum(axis=2, keepdims=True)
    values = own + saturation * (values - own)
    blue, green, red = np.moveaxis(values, 2, 0)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    i = 0.596 * red - 0.274 * green - 0.322 * blue
    q = 0.211 * red - 0.523 * green + 0.312 * blue
    angle = math.radians(hue)
    i, q = i * math.cos(angle) - q * math.sin(angle), i * math.sin(angle) + q * math.cos(angle)
    back = np.linalg.inv([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    rgb = np.stack([y, i, q], 2) @ back.T
    return np.rint(rgb[:, :, ::-1]).clip(0, 255).astype(int)


@pytest.mark.parametrize(
    "how",
    [
        {"brightness": 0.7},
        {"contrast": 1.4},
        {"saturation": 0.2},
        {"hue": 25},
        {"gains": (1.2, 0.9)},
        {"brightness": 1.2, "contrast": 0.8, "saturation": 1.5, "hue": -40, "gains": (0.9, 1.1)},
    ],
)
def test_colours_are_the_formula(how):
    image = photograph()
    usual = {"brightness": 1, "contrast": 1, "saturation": 1, "hue": 0, "gains": (1, 1)}
    assert np.abs(recoloured(image, **how).astype(int) - slow_colours(image, **{**usual, **how})).max() <= 1


def test_colours_as_they_are_stay_bit_for_bit_and_greys_stay_grey():
    image = photograph()
    assert recoloured(image) is image
    grey = np.repeat(image[..., :1], 3, axis=2)
    for how in ({"saturation": 0.3}, {"hue": 90}):
        np.testing.assert_array_equal(recoloured(grey, **how), grey)
    plain = recoloured(image, saturation=0.0)
    assert np.ptp(plain, axis=2).max() <= 1


def test_a_hue_keeps_the_luma():
    image = (photograph() * 0.3 + 90).astype(np.uint8)  # far from both ends
    assert np.abs(recoloured(image, hue=60) @ LUMA - image @ LUMA).max() <= 1.5


def test_a_factor_and_a_blur():
    image = photograph()
    np.testing.assert_array_equal(multiplied(image, 1.3), np.minimum(np.rint(image * 1.3), 255))
    channels = [ndimage.gaussian_filter(image[..., c].astype(float), 2, mode="mirror") for c in range(3)]
    expected = np.stack(channels, 2)
    assert np.abs(blurred(image, 2).astype(float) - expected).max() < 2
    assert blurred(image, 0.0) is image


def test_a_cutout_is_a_square_of_the_mean_that_may_lie_over_an_edge():
    image = photograph()
    found = cut_out(image, 10, 30, 40, (103.06, 115.9, 123.15))
    changed = (found != image).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (25, 34, 35, 44)
    assert (found[25:35, 35:45] == (103, 116, 123)).all()
    corner = cut_out(image, 20, 0, 79, (0, 0, 0))
    assert (corner[:10, 69:] == 0).all()
    assert (corner[10:] == image[10:]).all()
    assert cut_out(image, 0, 30, 40, (0, 0, 0)) is image
