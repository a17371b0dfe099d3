"""Proposals of scores and deltas. Checks 1 and 4 of 12: their count; where there is none, there still are rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from caffe_files.errors import InputError
from skinmtl.layers.region_settings import ProposalsSettings
from skinmtl.regions.anchors import anchors
from skinmtl.regions.boxes import encode, iou
from skinmtl.regions.proposals import numbered, proposals

RULES = ProposalsSettings(side=128, scales=(16, 32), strides=(8, 16), before=400, after=50)
ALL = anchors(128, RULES.scales, RULES.ratios, RULES.strides)
WHOLE = np.float32([0, 0, 128, 128])


def one_image(scores, deltas=None, window=WHOLE, rules=RULES):
    deltas = np.zeros((4, len(ALL)), np.float32) if deltas is None else deltas
    return proposals(rules, np.float32(scores)[None], deltas[None], window[None])[0]


@pytest.fixture
def random():
    return np.random.RandomState(3)


def test_a_box_that_the_deltas_say_comes_back_first(random):
    scores = np.full(len(ALL), 0.1)
    scores[777] = 0.9
    deltas = np.zeros((4, len(ALL)), np.float32)
    deltas[:, 777] = encode(np.float32([13, 20, 77, 101]), ALL[777], RULES.std)
    np.testing.assert_allclose(one_image(scores, deltas)[0], [13, 20, 77, 101, 0.9], rtol=1e-5)


def test_it_is_what_a_slow_way_gives(random):
    scores, deltas = random.rand(len(ALL)).astype(np.float32), random.randn(4, len(ALL)).astype(np.float32)
    window = np.float32([10, 0, 128, 90])
    expected = []
    for index in sorted(range(len(ALL)), key=lambda index: -scores[index])[: RULES.before]:
        x1, y1, x2, y2 = ALL[index].astype(float)
        dx, dy, dw, dh = deltas[:, index] * RULES.std
        x, y = (x1 + x2) / 2 + dx * (x2 - x1), (y1 + y2) / 2 + dy * (y2 - y1)
        width, height = (x2 - x1) * np.exp(dw), (y2 - y1) * np.exp(dh)
        box = np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
        box = np.clip(box, [10, 0, 10, 0], [128, 90, 128, 90])
        if (box[2:] <= box[:2]).any() or any(iou(box[None], kept[None, :4])[0, 0] > RULES.nms for kept in expected):
            continue
        expected.append(np.append(box, scores[index]))
    np.testing.assert_allclose(one_image(scores, deltas, window), expected[:50], atol=1e-3)


def test_they_come_best_first_with_rows_of_zeros_behind(random):
    made = one_image(random.rand(len(ALL)), rules=replace(RULES, nms=0.1))
    count = np.count_nonzero(made[:, 4])
    assert 0 < count < 50
    assert (np.diff(made[:count, 4]) <= 0).all()
    assert not made[count:].any()


def test_all_stay_in_their_window_and_have_an_area(random):
    window = np.float32([0, 30, 128, 98])
    made = one_image(random.rand(len(ALL)), random.randn(4, len(ALL)).astype(np.float32) * 3, window)
    assert len(made) == 50
    assert (made[:, :2] >= window[:2]).all()
    assert (made[:, 2:4] <= window[2:]).all()
    assert (made[:, 2:4] > made[:, :2]).all()


def test_boxes_smaller_than_the_smallest_are_dropped(random):
    made = one_image(random.rand(len(ALL)), rules=replace(RULES, smallest=20))
    made = made[made[:, 4] > 0]
    assert len(made)
    assert (made[:, 2:4] - made[:, :2]).min() >= 20


def test_only_the_best_before_the_suppression_count():
    scores = np.linspace(0.9, 0.1, len(ALL))
    made = one_image(scores, rules=replace(RULES, before=5, nms=1))
    np.testing.assert_allclose(made[:6, 4], [*scores[:5], 0], rtol=1e-6)


def test_no_proposal_leaves_rows_of_zeros():
    deltas = np.zeros((4, len(ALL)), np.float32)
    deltas[0] = 1e6  # all far to the right of the window
    made = one_image(np.full(len(ALL), 0.5), deltas)
    assert made.shape == (50, 5)
    assert not made.any()


@pytest.mark.parametrize("after", [1000, 2000])
def test_at_1024_there_are_1000_or_2000(after, random):
    rules = ProposalsSettings(side=1024, after=after)
    count = len(anchors(1024, rules.scales, rules.ratios, rules.strides))
    made = proposals(
        rules,
        random.rand(1, count).astype(np.float32),
        random.randn(1, 4, count).astype(np.float32),
        np.float32([[0, 0, 1024, 1024]]),
    )
    assert made.shape == (1, after, 5)
    assert (made[0, :, 4] > 0).all()


def test_images_do_not_mix(random):
    scores, deltas = (
        random.rand(2, len(ALL)).astype(np.float32),
        random.randn(2, 4, len(ALL)).astype(np.float32),
    )
    both = proposals(RULES, scores, deltas, np.stack([WHOLE, WHOLE / 2]))
    np.testing.assert_array_equal(both[1], one_image(scores[1], deltas[1], WHOLE / 2))
    rois = numbered(both)
    assert rois.shape == (100, 5)
    assert rois[:, 0].tolist() == [0] * 50 + [1] * 50
    np.testing.assert_array_equal(rois[:, 1:], both[:, :, :4].reshape(-1, 4))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["scores", "deltas"])
def test_numbers_that_are_none_are_refused(where, value):
    scores, deltas = np.full(len(ALL), 0.5, np.float32), np.zeros((4, len(ALL)), np.float32)
    (scores if where == "scores" else deltas.reshape(-1))[5] = value
    with pytest.raises(InputError, match="NaN or infinite numbers: the training diverged"):
        one_image(scores, deltas)
