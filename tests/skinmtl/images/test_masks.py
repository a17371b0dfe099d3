"""Masks from files: what is lesion, what is said of odd ones, and resizing that moves no pixel."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_masks import one_bit_bmp, oval, png

from skinmtl.images.masks import ImageError, largest_component, mask_fault, mask_notes, nearest, read_mask

MASK = oval(37, 53)
GREY = np.where(MASK, 255, 0).astype(np.uint8)


def encoded(ending, pixels=GREY, *options):
    return cv2.imencode(ending, pixels, list(options))[1].tobytes()


FORMATS = {
    "PNG": png(MASK),
    "PNG of one bit": encoded(".png", GREY, cv2.IMWRITE_PNG_BILEVEL, 1),
    "PNG of 16 bits": encoded(".png", GREY.astype(np.uint16) * 257),
    "PNG in colour": encoded(".png", cv2.cvtColor(GREY, cv2.COLOR_GRAY2BGR)),
    "BMP from the bottom": encoded(".bmp"),
    "BMP of one bit": one_bit_bmp(MASK),
    "BMP of one bit from the top": one_bit_bmp(MASK, top_down=True),
    "BMP of one bit, white first": one_bit_bmp(MASK, white_first=True),
    "BMP of one bit from the top, white first": one_bit_bmp(MASK, True, True),
    "TIFF": encoded(".tif"),
    "JPEG": encoded(".jpg", GREY, cv2.IMWRITE_JPEG_QUALITY, 97),
    "WebP": encoded(".webp", cv2.cvtColor(GREY, cv2.COLOR_GRAY2BGR), cv2.IMWRITE_WEBP_QUALITY, 101),
    "PGM": encoded(".pgm"),
}


@pytest.fixture
def read(tmp_path):
    """Reads a mask from bytes."""

    def read(data):
        (tmp_path / "mask").write_bytes(data)
        return read_mask(tmp_path / "mask")

    return read


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_mask(read, kind):
    mask = read(FORMATS[kind])
    assert mask.pixels.dtype == bool
    assert np.array_equal(mask.pixels, MASK)
    assert (mask.n_components, mask.touches_border) == (1, False)
    assert mask.share == MASK.mean()
    assert mask_fault(mask, (37, 53)) == ""
    assert (mask.n_values > 2) == (kind == "JPEG")


@pytest.mark.parametrize(("value", "is_lesion"), [(0, False), (127, False), (128, False), (129, True), (255, True)])
def test_what_is_above_128_is_lesion(read, value, is_lesion):
    picture = np.full((4, 5), value, np.uint8)
    picture[0, 0], picture[0, 1] = 0, 255
    assert read(png(picture)).pixels[2, 2] == is_lesion


def test_grey_values_are_told_and_cut_at_128(read):
    ramp = np.tile(np.arange(256, dtype=np.uint8), (3, 1))
    mask = read(png(ramp))
    assert np.array_equal(mask.pixels, ramp > 128)
    assert mask_notes(mask) == ["its mask has grey values: what is above 128 is lesion"]
    assert mask_notes(read(png(MASK))) == []


def test_lesions_are_counted_and_corners_join_them(read):
    picture = np.zeros((9, 9), bool)
    picture[1:3, 1:3] = picture[3, 3] = True
    assert read(png(picture)).n_components == 1
    picture[6:8, 5:8] = picture[0, 8] = True
    mask = read(png(picture))
    assert mask.n_components == 3
    assert mask_notes(mask) == ["its mask has several lesions"]
    largest = largest_component(mask.pixels)
    assert np.array_equal(largest, np.where(np.mgrid[0:9, 0:9][0] > 4, picture, False))
    assert np.array_equal(largest_component(largest), largest)
    assert not largest_component(np.zeros((4, 4), bool)).any()


@pytest.mark.parametrize("at", [(0, 4), (8, 4), (4, 0), (4, 8), (0, 0)])
def test_lesions_that_touch_the_border(read, at):
    picture = np.zeros((9, 9), bool)
    picture[4, 4] = True
    assert not read(png(picture)).touches_border
    picture[at] = True
    assert read(png(picture)).touches_border


def test_all_black_and_all_white_are_refused_unless_they_are_allowed(read):
    black, white = read(png(np.zeros((4, 6), bool))), read(png(np.ones((4, 6), bool)))
    assert mask_fault(black, (4, 6)) == "is all black: no lesion; --allow-empty-masks takes it so"
    assert mask_fault(white, (4, 6)) == "is all white: no skin around the lesion; --allow-full-masks takes it so"
    assert mask_fault(black, (4, 6), allow_full=True)
    assert mask_fault(white, (4, 6), allow_empty=True)
    assert mask_fault(black, (4, 6), allow_empty=True) == mask_fault(white, (4, 6), allow_full=True) == ""
    assert (black.n_components, white.n_components) == (0, 1)


@pytest.mark.parametrize("value", [1, 128])
def test_a_map_of_labels_is_black_and_its_brightest_value_is_told(read, value):
    mask = read(png(MASK.astype(np.uint8) * value))
    assert f"is all black (brightest value {value}, what is above 128 is lesion)" in mask_fault(mask, (37, 53))


def test_another_size_is_told_and_whether_it_is_the_turned_one(read):
    mask = read(png(MASK))
    assert mask_fault(mask, (40, 53)) == "is 53 x 37 pixels, its image 53 x 40"
    assert mask_fault(mask, (53, 37)) == "is 53 x 37 pixels, its image 37 x 53, turned by its EXIF orientation"
    assert mask_fault(mask, None) == ""


COLOURED = cv2.merge([GREY, np.zeros_like(GREY), GREY])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"not an image", "not an image"),
        (png(MASK)[:60], "truncated"),
        (encoded(".jpg")[:-100], "truncated"),
        (encoded(".png", COLOURED), "has colours, and is no mask"),
    ],
)
def test_what_is_no_mask_is_an_error(read, data, words):
    with pytest.raises(ImageError, match=words):
        read(data)


def test_a_black_and_white_jpeg_stored_as_colour_is_no_coloured_one(read):
    data = encoded(".jpg", cv2.cvtColor(GREY, cv2.COLOR_GRAY2BGR), cv2.IMWRITE_JPEG_QUALITY, 60)
    assert (read(data).pixels ^ MASK).mean() < 0.02


def slow_nearest(pixels, height, width):
    """Each pixel's middle, in exact fractions of the picture."""
    from fractions import Fraction

    def source(at, wanted, there):
        return int(Fraction(2 * at + 1, 2 * wanted) * there)

    columns = [source(x, width, pixels.shape[1]) for x in range(width)]
    return np.array([[pixels[source(y, height, pixels.shape[0]), x] for x in columns] for y in range(height)])


SIDE = st.integers(1, 40)


@settings(max_examples=80, derandomize=True, deadline=None)
@given(SIDE, SIDE, SIDE, SIDE, st.integers(0, 9))
def test_resizing_takes_the_pixel_in_the_middle(height, width, to_height, to_width, seed):
    pixels = np.random.RandomState(seed).random_sample((height, width)) < 0.5
    found = nearest(pixels, to_height, to_width)
    assert found.dtype == bool
    assert np.array_equal(found, slow_nearest(pixels, to_height, to_width))


def test_resizing_keeps_the_middle_and_the_share_of_a_lesion():
    pixels = oval(900, 1300)
    found = nearest(pixels, 355, 512)
    assert abs(found.mean() - pixels.mean()) < 0.002
    for axis, scale in enumerate((900 / 355, 1300 / 512)):
        many, few = np.nonzero(pixels)[axis], np.nonzero(found)[axis]
        assert abs((few.mean() + 0.5) * scale - (many.mean() + 0.5)) < 0.1
