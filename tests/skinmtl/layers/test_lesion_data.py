"""Samples of LesionData, with and without worker processes: letterbox, box, class, mask; what is wrong in a line."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest
from made_lesions import MEAN, fields_of, lesion_image, lesion_records, write_lesion_lmdbs
from scipy.stats import chisquare

from caffe_files.batches import Advice, batches_of
from caffe_files.errors import InputError
from skinmtl.images.letterbox import Letterbox
from skinmtl.layers.lesion_data import LesionSamples, plan_of, recipe_of
from skinmtl.layers.lesion_draw import draw, order
from skinmtl.layers.param_str import read_param_str, settings_text
from skinmtl.layers.settings import LesionDataSettings

SIZES = ((40, 60), (60, 40), (90, 81), (64, 64), (33, 200))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Five records of JPEGs of these sizes; every second is of class 2."""
    return str(write_lesion_lmdbs(tmp_path_factory.mktemp("lesions ü"), lesion_records(SIZES)))


def settings_of(source, **changes):
    return replace(LesionDataSettings(source, 4, 64, MEAN, 1), **changes)


def taken(settings, workers, count, training=True):
    """The parts of some batches, images as planes."""
    recipe = recipe_of(settings, training, planes=True)
    ahead = batches_of(recipe, plan_of(settings), 0, workers, Advice("fewer", "none", "less"))
    try:
        batches = [[part.copy() for part in ahead.next_batch()] for _ in range(count)]
    finally:
        ahead.close()
    return [np.concatenate(parts) for parts in zip(*batches)]


# what a sample is


def test_without_augmentation_a_sample_is_the_letterbox_and_what_lies_in_it(source):
    reader = LesionSamples(source, 64, 0, False, planes=False)
    for visit, size in enumerate(SIZES * 2):
        image, window, box, label, mask, drawn = reader.sample(visit, 1)
        number, place = visit % len(SIZES), Letterbox.of(*size, 64)
        jpeg = cv2.imencode(".jpg", lesion_image(number, *size)[0])[1]
        np.testing.assert_array_equal(image, place.image(cv2.imdecode(jpeg, cv2.IMREAD_COLOR)))
        np.testing.assert_array_equal(mask[0], place.mask(lesion_image(number, *size)[1]))
        np.testing.assert_array_equal(window, place.window)
        rows, columns = np.nonzero(mask[0])
        np.testing.assert_array_equal(box, [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        assert label == 1 + number % 2
        assert drawn.tolist() == list(draw(1, visit, 0).numbers)
        assert [part.dtype for part in (image, window, box, label, mask, drawn)] == [
            *(np.uint8, np.float32, np.float32, np.float32, np.uint8, np.float32)
        ]


def test_the_mask_stays_on_its_lesion_the_box_on_the_mask_and_the_padding_zero(source):
    """The lesion is darker than all around it, also after every augmentation without a multiplication or a blur."""
    reader, turned = LesionSamples(source, 64, 5, False, planes=False), 0
    for visit in range(150):
        image, window, box, label, mask, _ = reader.sample(visit, 9)
        number = visit % len(SIZES)
        x1, y1, x2, y2 = window.astype(int)
        inside = np.zeros((64, 64), bool)
        inside[y1:y2, x1:x2] = True
        assert not image[~inside].any()
        assert not mask[0][~inside].any()
        drawn = draw(9, visit, 5)
        size = SIZES[number][::-1] if drawn.turns % 2 else SIZES[number]
        assert tuple(window) == Letterbox.of(*size, 64).window
        rows, columns = np.nonzero(mask[0])
        assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert label == 1 + number % 2
        core = cv2.erode(mask[0], np.ones((3, 3), np.uint8)) > 0  # not where its border is smoothed
        around = inside & (cv2.dilate(mask[0], np.ones((5, 5), np.uint8)) == 0)
        if drawn.sigma < 30 and core.any():  # of 1024: under two pixels here
            assert image[core].max() < image[around].mean()
            turned += drawn.turns > 0
    assert turned > 20


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_without_a_lesion_has_class_0_and_a_box_of_zeros(tmp_path, workers):
    image, mask = lesion_image(1, 50, 60)
    source = write_lesion_lmdbs(tmp_path, [fields_of(image, mask & False, [0, 1]), fields_of(image, mask, [0, 1])])
    _, _, boxes, labels, masks, _ = taken(settings_of(str(source)), workers, 1)
    assert labels.tolist() == [0, 2, 0, 2]
    assert not boxes[::2].any()
    assert not masks[::2].any()
    assert masks[1::2].any(axis=(1, 2, 3)).all()


def test_masks_are_lesion_above_128_alone(tmp_path):
    image = np.zeros((64, 64, 3), np.uint8)
    mask = np.zeros((64, 64), np.uint8)
    mask[10:20], mask[30:40] = 128, 129
    source = write_lesion_lmdbs(tmp_path, [fields_of(image, mask, [1])])
    _, _, boxes, labels, _, _ = taken(settings_of(str(source), augment=0), 0, 1)
    assert boxes[0].tolist() == [0, 30, 64, 40]
    assert labels[0] == 1


# the stream


def test_the_numbers_do_not_depend_on_workers_prefetch_or_batches(source):
    expected = taken(settings_of(source), 0, 6)
    for changes, workers, count in (({}, 1, 6), ({"prefetch": 1}, 3, 6), ({"batch_size": 1}, 2, 24)):
        for part, other in zip(taken(settings_of(source, **changes), workers, count), expected):
            np.testing.assert_array_equal(part, other)
    assert (taken(settings_of(source, seed=2), 0, 6)[0] != expected[0]).any()
    for part, other in zip(taken(settings_of(source, start=7, batch_size=5), 2, 3), expected):
        np.testing.assert_array_equal(part, other[7:22])


def records_shown(parts):
    """Which record each sample is of, without augmentation: their windows differ."""
    windows = [Letterbox.of(*size, 64).window for size in SIZES]
    return [windows.index(tuple(window)) for window in parts[1]]


def test_shuffled_every_pass_shows_every_record_once_in_an_order_of_its_own(source):
    settings = settings_of(source, augment=0, shuffle=True)
    shown = records_shown(taken(settings, 0, 25))
    passes = [tuple(shown[at : at + len(SIZES)]) for at in range(0, 100, len(SIZES))]
    assert {tuple(sorted(one)) for one in passes} == {tuple(range(len(SIZES)))}
    assert len(set(passes)) > len(passes) // 2, "of 120 orders"
    assert records_shown(taken(replace(settings, seed=2), 0, 25)) != shown


def test_shuffled_a_stream_that_begins_later_goes_on_with_the_same_order(source):
    settings = settings_of(source, shuffle=True)
    expected = taken(settings, 0, 6)
    for start, workers in ((3, 0), (7, 2)):
        for part, other in zip(taken(replace(settings, start=start, batch_size=5), workers, 3), expected):
            np.testing.assert_array_equal(part, other[start : start + 15])


def test_without_shuffle_and_in_tests_visit_v_shows_record_v_mod_n(source):
    plain, shuffled = (settings_of(source, augment=0, shuffle=shuffle) for shuffle in (False, True))
    for settings, training in ((plain, True), (shuffled, False)):
        assert records_shown(taken(settings, 0, 4, training)) == [visit % len(SIZES) for visit in range(16)]


def test_every_order_of_a_pass_is_as_likely():
    counts = Counter(tuple(order(seed, number, 3)) for seed in range(40) for number in range(60))
    assert len(counts) == 6
    assert chisquare(list(counts.values())).pvalue > 0.001


def test_the_order_of_a_pass_is_the_same_on_every_machine():
    """Numbers of numpy's Mersenne twister, which its releases keep."""
    assert order(1, 0, 8).tolist() == [5, 2, 1, 6, 4, 0, 3, 7]
    assert order(2**63 - 1, 2**40, 3).tolist() == [2, 0, 1]


def test_every_test_of_the_same_records_is_the_same(source):
    """Also what other layers draw in it, so that losses of two tests differ by the weights alone."""
    found = taken(settings_of(source, batch_size=5), 0, 2, training=False)
    plain = taken(settings_of(source, batch_size=5, augment=0), 0, 2)
    for part, without in zip(found, plain):
        np.testing.assert_array_equal(part[:5], part[5:])
        np.testing.assert_array_equal(part[:5], without[:5])
    assert (plain[-1][5:] != plain[-1][:5]).any()


# what is wrong


def grey(mask):
    return 255 * mask.astype(np.uint8)


IMAGE, MASK = lesion_image(1, 50, 60)
GOOD = fields_of(IMAGE, MASK, [1, 0])
COLOURED = fields_of(IMAGE, np.dstack([grey(MASK)] * 3), [1, 0])
DEEP = fields_of(IMAGE, grey(MASK).astype(np.uint16), [1, 0])


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (fields_of(IMAGE, MASK[:40], [1, 0]), "mask_lmdb: record 00000001: a mask of 60 x 40 for an image of 60 x 50"),
        (COLOURED, r"mask_lmdb: record 00000001: a mask is of one channel of 8 bits, this is uint8 of .*, 3\)"),
        (DEEP, "mask_lmdb: record 00000001: a mask is of one channel of 8 bits, this is uint16"),
        (fields_of(IMAGE, MASK, [1, 1]), "lesion_lmdb: record 00000001: 2 lesions' names for one image, .* one name"),
        (fields_of(IMAGE, MASK, [0, 0]), "lesion_lmdb: record 00000001: 0 lesions' names for one image"),
        (fields_of(IMAGE, MASK, [0.5, 1]), "lesion_lmdb: record 00000001: holds no labels of lesions"),
        (
            (GOOD[0], {"encoded": True, "data": b"no image"}, GOOD[2]),
            "mask_lmdb: record .*1: holds no mask that OpenCV",
        ),
        ((GOOD[0], {"data": b"12"}, GOOD[2]), "mask_lmdb: record 00000001: holds no encoded mask"),
        (({"encoded": True, "data": b""}, *GOOD[1:]), "image_lmdb: record 00000001: holds no image that OpenCV"),
    ],
)
@pytest.mark.parametrize("workers", [0, 2])
def test_a_record_that_cannot_be_used_is_named_also_by_workers(tmp_path, record, words, workers):
    source = write_lesion_lmdbs(tmp_path, [GOOD, record])
    with pytest.raises(InputError, match=words) as error:
        taken(settings_of(str(source)), workers, 1)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([GOOD, (*GOOD[:2], None)], "lesion_lmdb: 1 records, .*image_lmdb has 2; make the LMDB again"),
        ([GOOD, (GOOD[0], None, GOOD[2]), (None, *GOOD[1:])], "mask_lmdb: record 00000002 is not in .*image_lmdb"),
    ],
)
def test_lmdbs_that_do_not_belong_together_are_refused(tmp_path, records, words):
    source = write_lesion_lmdbs(tmp_path, records)
    with pytest.raises(InputError, match=words):
        taken(settings_of(str(source)), 0, 1)


def test_an_lmdb_that_is_missing_is_named(tmp_path, source):
    with pytest.raises(InputError, match=r"image_lmdb: no LMDB \(data.mdb\) there"):
        taken(settings_of(str(tmp_path / "image_lmdb")), 0, 1)
    whole = write_lesion_lmdbs(tmp_path, [GOOD])
    (tmp_path / "mask_lmdb").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"mask_lmdb: no LMDB \(data.mdb\) there"):
        taken(settings_of(str(whole)), 0, 1)


# the param_str


def test_settings_survive_the_way_through_a_param_str():
    plain = LesionDataSettings("data/image_lmdb", 2, 512, MEAN, 1)
    for settings in (
        plain,
        replace(plain, source="a ü/image_lmdb", start=7, augment=0, shuffle=True, workers=0, prefetch=2),
    ):
        assert read_param_str(LesionDataSettings, settings_text(settings), "data") == settings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"sides": 64}', "unknown field 'sides', did you mean 'side'"),
        ("{}", "param_str has no 'source'"),
        (
            '{"source": "s", "batch_size": 1, "side": 64, "mean": [1, 2], "seed": 1}',
            "mean .*give three numbers: B, G, R",
        ),
        (
            '{"source": "s", "batch_size": 1, "side": 64, "mean": [1, 2, 3], "seed": 1, "augment": 6}',
            "augment in param_str is 6; give a whole number from 0 to 5",
        ),
    ],
)
def test_a_field_that_is_unknown_missing_or_wrong_is_named(text, words):
    with pytest.raises(InputError, match=f"data: .*{words}"):
        read_param_str(LesionDataSettings, text, "data")
