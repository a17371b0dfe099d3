"""A TIFF's transparency, planes, tiles and turning come out as meant, or the file is refused with the reason."""

from __future__ import annotations

import numpy as np
import pytest
from made_photos import TURNED
from made_tiff import GREY, RGB, tiff

from skinmtl.images.image_file import ImageError, decode

HEIGHT, WIDTH = 32, 48
ROWS, COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH]
COLOURS = np.stack([COLUMNS * 5, ROWS * 7, np.full((HEIGHT, WIDTH), 90)], axis=2).astype(np.uint8)
ALPHA = (255 - COLUMNS * 5)[:, :, np.newaxis].astype(np.uint8)
ON_WHITE = np.rint(COLOURS * (ALPHA / 255) + 255 * (1 - ALPHA / 255))
LEFT_OUT, MULTIPLIED, STRAIGHT = [0], [1], [2]


def of_bits(values, bits):
    return np.rint(values * (257.0 if bits == 16 else 1.0)).astype(np.uint16 if bits == 16 else np.uint8)


def with_channel(bits, multiplied=False):
    colours = COLOURS * (ALPHA / 255) if multiplied else COLOURS
    return of_bits(np.dstack([colours, ALPHA]), bits)


def compare(data, expected, tolerance=1):
    pixels = decode(data)[:, :, ::-1].astype(int)
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).max() <= tolerance


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    "extra, multiplied, expected",
    [(None, False, ON_WHITE), (STRAIGHT, False, ON_WHITE), (MULTIPLIED, True, ON_WHITE), (LEFT_OUT, False, COLOURS)],
    ids=["not said", "straight", "multiplied", "no transparency"],
)
def test_a_fourth_channel(bits, extra, multiplied, expected):
    compare(tiff(with_channel(bits, multiplied), extra=extra), expected)


@pytest.mark.parametrize("extra, multiplied", [(STRAIGHT, False), (MULTIPLIED, True)])
def test_a_fourth_channel_in_a_plane_of_its_own(extra, multiplied):
    compare(tiff(with_channel(8, multiplied), extra=extra, separate=True), ON_WHITE)
    with pytest.raises(ImageError, match="16 bits with transparency in a plane of its own; save it with 8 bits"):
        decode(tiff(with_channel(16, multiplied), extra=extra, separate=True))
    compare(tiff(with_channel(16), extra=LEFT_OUT, separate=True), COLOURS)


@pytest.mark.parametrize("bits", [8, 16])
def test_grey_with_transparency_is_refused(bits):
    """OpenCV drops the transparency, and shows what nobody was to see."""
    grey = of_bits(np.dstack([COLOURS[:, :, 0], ALPHA]), bits)
    for extra in (MULTIPLIED, STRAIGHT, None):
        with pytest.raises(ImageError, match="grey with transparency; save it as RGB"):
            decode(tiff(grey, GREY, extra))
    compare(tiff(grey, GREY, LEFT_OUT), np.repeat(COLOURS[:, :, :1], 3, axis=2))


def test_more_channels_are_refused():
    five = np.dstack([COLOURS, ALPHA, ALPHA])
    with pytest.raises(ImageError, match="5 channels, of which 2 are no colour; save it as RGB"):
        decode(tiff(five, extra=[2, 0]))


@pytest.mark.parametrize("tiled", [False, True], ids=["strips", "tiles"])
@pytest.mark.parametrize("orientation", TURNED)
def test_the_tag_of_orientation(orientation, tiled):
    """OpenCV's versions turn strips, and tiles each in their own way: the last refuses the plain ones of this test."""
    for bits in (8, 16):
        for values, expected in ((COLOURS, COLOURS), (np.dstack([COLOURS, ALPHA]), ON_WHITE)):
            data = tiff(
                of_bits(values, bits), RGB, STRAIGHT * (values.shape[2] - 3), False, tiled, [(274, orientation)]
            )
            try:
                compare(data, TURNED[orientation](expected))
            except ImageError as error:
                assert tiled
                assert "not an image that OpenCV reads" in str(error)


def test_a_cameras_raw_file_is_no_photograph():
    """It has TIFF's start, and OpenCV would take the preview for it."""
    for more in ([(254, 1)], [(50706, 1)]):
        with pytest.raises(ImageError, match="its first picture is a reduced one, as in a camera's raw file"):
            decode(tiff(COLOURS, more=more))
