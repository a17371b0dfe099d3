"""Scale jittering: what is drawn, and that the crop is the one of the resized image. No Caffe is needed."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from caffe_files.errors import InputError
from skinmtl.layers.jitter import Draw, crop_of, draw
from skinmtl.layers.param_str import settings_text
from skinmtl.layers.settings import JitterSettings, read_settings, without_pace

PAPER = (256, 480)
MIDDLE = 1 << 63  # of the places for a crop


# what is drawn


def test_every_scale_is_drawn_as_often_and_both_ends_are():
    scales = [draw(1, visit, PAPER).scale for visit in range(45_000)]
    counts = np.bincount(scales, minlength=481)[256:]
    assert (min(scales), max(scales)) == PAPER
    assert stats.chisquare(counts).pvalue > 0.001


def test_places_and_flips_are_uniform_and_depend_on_nothing_else():
    draws = np.array([draw(seed, visit, PAPER) for seed in range(20) for visit in range(1000)], float)
    values = draws / [1, 2.0**64, 2.0**64, 1]
    for place in (1, 2):
        assert stats.kstest(values[:, place], "uniform").pvalue > 0.001
    assert abs(values[:, 3].mean() - 0.5) < 0.015
    neighbours = np.hstack([values[:-1], values[1:]])  # with those of the next visit
    correlations = np.corrcoef(neighbours.T)[~np.eye(8, dtype=bool)]
    assert abs(correlations).max() < 0.03


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**63), st.integers(0, 2**63))
def test_a_draw_is_a_function_of_seed_and_visit(seed, visit):
    drawn = draw(seed, visit, PAPER)
    assert drawn == draw(seed, visit, PAPER)
    assert 256 <= drawn.scale <= 480
    others = {draw(seed + 1, visit, PAPER), draw(seed, visit + 1, PAPER)}
    assert drawn not in others
    assert draw(seed, visit, (300, 300)) == drawn._replace(scale=300)


def test_the_numbers_are_these_on_every_machine():
    """Another engine that draws them has to find the same."""
    assert draw(1, 0, PAPER) == Draw(scale=452, x=15111121642913153514, y=12190179784998464265, mirrored=False)
    assert draw(7, 123456789012, PAPER) == Draw(scale=424, x=445183060935487450, y=13283739373653148828, mirrored=True)


# the crop


def photograph(height, width):
    """Smooth colours with some fine structure."""
    coarse = np.random.RandomState(1).randint(0, 256, (7, 9, 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def stored(image, kind=".png"):
    return cv2.imencode(kind, image)[1].tobytes()


def resized_and_cropped(image, scale, top, left, crop):
    """The slow way: the whole image resized by area, value by value in float64, then the crop at a real place."""
    size = np.array(image.shape[:2])
    step = size.min() / scale  # pixels of the image a pixel of the crop

    def weights(length, start):
        edges = start * step + step * np.arange(crop + 1)
        lower, upper = edges[:-1, np.newaxis], edges[1:, np.newaxis]
        cells = np.arange(length)
        covered = np.clip(np.minimum(upper, cells + 1) - np.maximum(lower, cells), 0, None)
        return covered / covered.sum(axis=1, keepdims=True)

    rows, columns = weights(size[0], top), weights(size[1], left)
    return np.einsum("ilc,kl->ikc", np.tensordot(rows, image.astype(float), 1), columns, optimize=True)


@pytest.mark.parametrize("scale", [256, 300, 367, 400, 479, 480])
@pytest.mark.parametrize("shape", [(480, 640), (700, 480), (480, 480)])
def test_the_crop_is_that_of_the_resized_image_up_to_rounding(scale, shape):
    image = photograph(*shape)
    steepest = max(np.abs(np.diff(image.astype(int), axis=axis)).max() for axis in (0, 1))
    for x, y in ((0, 0), (MIDDLE, MIDDLE), (2**64 - 1, 0), (2**63 - 1, 2**64 - 1)):
        found = crop_of(stored(image), Draw(scale, x, y, False), 224, 480)
        side = round(224 * 480 / scale)
        top, left = (place * (length - side + 1) >> 64 for place, length in ((y, shape[0]), (x, shape[1])))
        expected = resized_and_cropped(image, scale, top * scale / 480, left * scale / 480, 224)
        assert found.shape == (224, 224, 3)
        # the square's side is a whole number of pixels: at its far end it is off by half a pixel each way at most
        assert np.abs(found - expected).max() <= 1 + steepest
        assert np.abs(found - expected).mean() < 0.8


@pytest.mark.parametrize(("scale", "stored_side"), [(240, 480), (480, 480), (160, 480), (320, 640)])
def test_where_nothing_has_to_be_rounded_it_is_exactly_resize_then_crop(scale, stored_side):
    times = stored_side // scale
    image = photograph(stored_side, stored_side + 60 * times)
    whole = cv2.resize(image, None, fx=1 / times, fy=1 / times, interpolation=cv2.INTER_AREA)
    left = (1 << 63) * (image.shape[1] - 100 * times + 1) >> 64
    found = crop_of(stored(image), Draw(scale, 1 << 63, 0, False), 100, scale)
    if left % times == 0:
        expected = whole[:100, left // times : left // times + 100].astype(int)
        assert np.abs(found - expected).max() <= (1 if times == 3 else 0)  # not a power of two: two steps, each rounded
    else:
        pytest.fail("choose another width: the crop does not lie on whole pixels")


def test_a_flip_mirrors_the_crop():
    image = stored(photograph(480, 640))
    plain, mirrored = (crop_of(image, Draw(300, 5, MIDDLE, flip), 224, 480) for flip in (False, True))
    np.testing.assert_array_equal(plain[:, ::-1], mirrored)


def test_every_corner_is_reached_and_no_more():
    rows, columns = np.mgrid[0:96, 0:120]
    image = stored(np.stack([rows, columns, rows * 0], axis=2).astype(np.uint8))
    last = 2**64 - 1
    for x, y, (top, left) in ((0, 0, (0, 0)), (last, 0, (0, 56)), (0, last, (32, 0)), (last, last, (32, 56))):
        crop = crop_of(image, Draw(96, x, y, False), 64, 96)
        assert tuple(crop[0, 0]) == (top, left, 0)


def test_a_large_jpeg_is_decoded_at_a_reduced_size_to_nearly_the_same_pixels():
    image = photograph(1500, 2000)
    data = stored(image, ".jpg")
    for scale in (256, 300, 375, 480):  # 1/4, 1/4, 1/4, 1/2
        drawn = Draw(scale, MIDDLE, MIDDLE, False)
        reduced = crop_of(data, drawn, 224, 480).astype(int)
        whole = crop_of(stored(cv2.imdecode(np.frombuffer(data, np.uint8), 1)), drawn, 224, 480)
        assert np.abs(reduced - whole).mean() < 1.5


def test_an_image_that_would_have_to_be_enlarged_is_refused_whatever_was_drawn():
    for kind in (".png", ".jpg"):
        with pytest.raises(InputError, match=r"shorter side is 400 pixels, too small for scales up to 480; .*480"):
            crop_of(stored(photograph(400, 900), kind), Draw(256, 0, 0, False), 224, 480)


def test_bytes_that_are_no_image_are_refused():
    for data in (b"", b"text", b"\xff\xd8\xff\xe0 no more"):
        with pytest.raises(InputError, match="not an image"):
            crop_of(data, Draw(256, 0, 0, False), 224, 480)


# the param_str

GIVEN = JitterSettings("data/image_lmdb", 20, 224, PAPER, (103.0626, 115.9029, 123.1516), 1)


def test_settings_survive_the_way_through_a_param_str():
    for given_settings in (GIVEN, replace(GIVEN, source="a ü/image_lmdb", start=7, workers=0, prefetch=2)):
        assert read_settings(settings_text(given_settings), "data") == given_settings


@pytest.mark.parametrize(
    ("paced", "plain"),
    [
        ('{"crop": 9, "seed": 1, "workers": 0, "prefetch": 2}', '{"crop": 9, "seed": 1}'),
        ('{"workers" : null, "prefetch":3, "crop": 9}', '{"crop": 9}'),
        ('{"crop": 9, "prefetch": 3, "seed": 1}', '{"crop": 9, "seed": 1}'),
        ('{"crop": 9, "seed": 1}', '{"crop": 9, "seed": 1}'),
    ],
)
def test_what_decides_the_pace_alone_can_be_left_out_of_a_nets_text(paced, plain):
    for left, net in ((paced, plain), (paced.replace('"', '\\"'), plain.replace('"', '\\"'))):
        assert without_pace(f"param_str: '{left}' }}") == f"param_str: '{net}' }}"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"crops": 224}, "unknown field 'crops', did you mean 'crop'"),
        ({"zoom": 1}, "unknown field 'zoom'; there are source, batch_size"),
        ({"seed": None}, "seed in param_str is null; give a whole number from 0"),
        ({"seed": -1}, "seed in param_str is -1; give a whole number from 0"),
        ({"seed": True}, "seed in param_str is true"),
        ({"batch_size": 0}, "batch_size in param_str is 0; give a whole number from 1"),
        ({"batch_size": "20"}, 'batch_size in param_str is "20"'),
        ({"scales": [480, 256]}, "scales in param_str is .*; give two whole numbers"),
        ({"scales": 256}, "scales in param_str is 256"),
        ({"mean": [1, 2]}, "mean in param_str is .*; give three numbers"),
        ({"mean": [1, 2, float("nan")]}, "mean in param_str is"),
        ({"workers": 1.5}, "workers in param_str is 1.5; give a whole number from 0 to 256"),
        ({"prefetch": 10**9}, "prefetch in param_str is 1000000000; give a whole number from 1 to 100"),
        ({"source": ""}, "give the path of an image LMDB"),
        ({"crop": 300}, "no crop of 300 in an image of 256 pixels"),
    ],
)
def test_a_field_that_is_unknown_or_wrong_is_named(changes, words):
    text = json.dumps({**json.loads(settings_text(GIVEN)), **changes})
    with pytest.raises(InputError, match=f"net.prototxt: data: .*{words}") as error:
        read_settings(text, "net.prototxt: data")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["source", "batch_size", "crop", "scales", "mean", "seed"])
def test_a_field_that_is_missing_is_named(name):
    fields = {field: value for field, value in json.loads(settings_text(GIVEN)).items() if field != name}
    with pytest.raises(InputError, match=f"param_str has no '{name}'"):
        read_settings(json.dumps(fields), "data")


@pytest.mark.parametrize("text", ["{", "[]", "3", "crop: 3"])
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(InputError, match="param_str is not"):
        read_settings(text, "data")
