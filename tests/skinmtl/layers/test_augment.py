"""The augmentations of JitteredImageData: what is drawn, that draws do not hang together, and what a net shows."""

from __future__ import annotations

import json
from dataclasses import asdict, fields

import numpy as np
import pytest
from scipy import stats

from skinmtl.layers.augment import NONE, Augmentation, Change, changed, draw_change
from skinmtl.layers.jitter import crop_of, draw
from skinmtl.layers.jittered_images import JitteredImages, recipe_of
from skinmtl.layers.param_str import settings_text
from skinmtl.layers.settings import JitterSettings, read_settings

ALL = Augmentation(30, True, 0.2, 0.3, 0.4, 20, 0.1, 2, 0.5)
EXPECTED = Change(
    degrees=-4.255674935906002,
    up_down=True,
    brightness=0.9608020327994292,
    contrast=1.0261068912471556,
    saturation=0.7279506673545024,
    hue=-15.633877320198106,
    gains=(1.0774506571367903, 1.0592421682682926),
    sigma=0.9452748401961123,
    cut=(22, 189, 80),
)
NOTHING = Change(0, False, 1, 1, 1, 0, (1, 1), 0, (0, 112, 112))


def settings_with(source="x", **ranges):
    return JitterSettings(str(source), 4, 32, (40, 60), (104, 117, 123), 1, **ranges)


def values_of(ranges, visits=20_000, seed=1):
    drawn = [draw_change(seed, visit, ranges, 224) for visit in range(visits)]
    return np.array([[*one[:6], *one.gains, one.sigma, *one.cut] for one in drawn], float)


def test_without_ranges_nothing_is_drawn_and_the_param_str_is_as_before():
    assert NONE.is_none
    for visit in range(50):
        assert draw_change(1, visit, NONE, 224)._replace(cut=(0, 112, 112)) == NOTHING
    assert settings_with().plain() is None
    assert set(json.loads(settings_text(settings_with()))) == {"source", "batch_size", "crop", "scales", "mean", "seed"}


def test_every_value_is_uniform_in_its_range_and_independent_of_the_others():
    values = values_of(ALL)
    ends = [(-30, 30), None, (0.8, 1.2), (0.7, 1.3), (0.6, 1.4), (-20, 20), (0.9, 1.1), (0.9, 1.1), (0, 2)]
    ends += [(0, 112), (0, 224), (0, 224)]
    for column, between in zip(values.T, ends):
        if between is None:
            assert abs(column.mean() - 0.5) < 0.015
            continue
        low, high = between
        assert low <= column.min() and column.max() <= high
        whole = (column % 1 == 0).all()  # pixels: the middle of a step, against what is uniform
        assert stats.kstest(column + 0.5 * whole, "uniform", (low, high - low)).statistic < 0.015
    correlations = np.corrcoef(values.T)[~np.eye(values.shape[1], dtype=bool)]
    assert abs(correlations).max() < 0.03
    crops = np.array([draw(1, visit, (256, 480)) for visit in range(len(values))], float)
    across = np.corrcoef(np.hstack([values, crops]).T)[: values.shape[1], values.shape[1] :]
    assert abs(across).max() < 0.03


def test_one_more_augmentation_changes_no_other():
    for visit in range(20):
        with_all = draw_change(1, visit, ALL, 224)
        for one in fields(Augmentation):
            alone = draw_change(1, visit, Augmentation(**{one.name: getattr(ALL, one.name)}), 224)
            field = {"rotate": "degrees", "vertical_flip": "up_down", "white_balance": "gains", "blur": "sigma"}
            name = {**field, "cutout": "cut"}.get(one.name, one.name)
            assert getattr(alone, name) == getattr(with_all, name)


def test_the_numbers_are_these_on_every_machine():
    """Another engine that draws them has to find the same."""
    first = draw_change(1, 0, ALL, 224)
    assert first.up_down is EXPECTED.up_down
    assert first.cut == EXPECTED.cut
    for name in ("degrees", "brightness", "contrast", "saturation", "hue", "gains", "sigma"):
        assert getattr(first, name) == pytest.approx(getattr(EXPECTED, name), rel=1e-12), name


def test_the_reader_shows_the_crop_turned_then_changed(small_set):
    source = str(small_set.train / "image_lmdb")
    settings = settings_with(source, **asdict(ALL))
    reader = recipe_of(settings, planes=False).make()
    plain = JitteredImages(source, 32, (40, 60), planes=False)
    for visit in range(16):
        change = draw_change(1, visit, ALL, 32)
        stored = plain._records.datum(visit).data
        crop = crop_of(stored, draw(1, visit, (40, 60)), 32, 60, change.degrees)
        (found,) = reader.sample(visit, 1)
        np.testing.assert_array_equal(found, changed(crop, change, (104, 117, 123)))
        assert found.shape == (32, 32, 3)
        assert found.dtype == np.uint8
        assert (found != plain.sample(visit, 1)[0]).any()
    reader.close()
    plain.close()


def test_what_is_no_range_is_refused():
    for wrong, words in (({"rotate": 181}, "a number from 0 to 180"), ({"vertical_flip": 1}, "true or false")):
        text = json.dumps({**json.loads(settings_text(settings_with())), **wrong})
        with pytest.raises(Exception, match=words):
            read_settings(text, "a net")


def test_the_nets_flags(tool, small_set, tmp_path):
    flags = ("--model", "resnet50_mtl", "--trunk", "tiny", "--crop", 64, "--train-data", small_set.train)
    flags += ("--test-data", small_set.test, "--out", tmp_path / "net", "--rotate", 180, "--vertical-flip", "--hue", 8)
    without = tool("make_prototxt.py", *flags)
    assert without.returncode == 2
    assert "--rotate goes with --online-jitter" in without.stderr
    of_masks = tool("make_prototxt.py", *flags, "--model", "resnet50_mask_rcnn")
    assert of_masks.returncode == 2 and "resnet50_mask_rcnn has changes of its own; leave it out" in of_masks.stderr
    assert tool("make_prototxt.py", *flags, "--online-jitter", "--blur", 101).returncode == 2
    made = tool("make_prototxt.py", *flags, "--online-jitter", "--scales", 66, 72)
    assert made.returncode == 0, made.stderr
    text = (tmp_path / "net" / "train.prototxt").read_text()
    assert '"rotate": 180.0, "vertical_flip": true, "hue": 8.0}' in text
    assert "--rotate 180" in text.splitlines()[0] and "--vertical-flip" in text.splitlines()[0]
    checked = tool("make_prototxt.py", *flags, "--online-jitter", "--scales", 66, 72, "--check")
    assert checked.returncode == 0, checked.stderr
    test = (tmp_path / "net" / "test.prototxt").read_text()
    assert '"rotate"' not in test
