"""What the net says of an image. Check 4 of 12: without a proposal, and without a detection, there still is a row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from caffe_files.errors import InputError
from skinmtl.layers.region_settings import DetectionOutputSettings
from skinmtl.regions.boxes import encode, iou
from skinmtl.regions.detections import detections

RULES = DetectionOutputSettings(classes=2)
WINDOW = np.float32([0, 10, 200, 190])
PROPOSALS = np.float32(
    [[20, 20, 80, 80, 0.9], [22, 20, 80, 80, 0.8], [100, 30, 180, 120, 0.7], [60, 130, 90, 170, 0.6], [0, 0, 0, 0, 0]]
)
PROB = np.float32([[0.3, 0.5, 0.2], [0.1, 0.8, 0.1], [0.2, 0.1, 0.7], [0.9, 0.06, 0.04], [0, 1, 0]])


def one_image(proposals=PROPOSALS, prob=PROB, deltas=None, rules=RULES):
    return detections(rules, proposals[None], WINDOW[None], prob, deltas)[0]


def test_the_best_of_each_class_come_first_and_what_is_background_goes():
    """The first proposal shows the same as the second, whose score is higher; the fourth is background."""
    made = one_image()
    np.testing.assert_allclose(made[0], [22, 20, 80, 80, 1, 0.8, 1, 0.8 / 0.9, 0.1 / 0.9], rtol=1e-6)
    np.testing.assert_allclose(made[1], [100, 30, 180, 120, 2, 0.7, 1, 0.1 / 0.8, 0.7 / 0.8], rtol=1e-6)
    assert made.shape == (10, 9)
    assert not made[2:].any()


def test_boxes_are_refined_for_their_class_and_clipped_to_the_window():
    deltas = np.zeros((5, 3, 4), np.float32)
    deltas[1, 1] = encode(np.float32([30, 5, 90, 70]), PROPOSALS[1, :4], RULES.std)
    deltas[1, [0, 2]] = 1  # of the other classes
    made = one_image(deltas=deltas.reshape(5, 12))
    np.testing.assert_allclose(made[0, :4], [30, 10, 90, 70], atol=1e-4)


def test_the_same_place_may_hold_a_detection_of_each_class():
    prob = np.float32([[0.1, 0.7, 0.2], [0.1, 0.2, 0.7], *PROB[2:]])
    assert one_image(prob=prob)[:2, 4].tolist() == [1, 2]


def test_the_score_and_the_count_can_be_limited():
    assert np.count_nonzero(one_image(rules=replace(RULES, score=0.75))[:, 6]) == 1
    made = one_image(rules=replace(RULES, detections=1))
    assert made.shape == (1, 9)
    assert made[0, 5] == np.float32(0.8)


def test_where_all_is_background_the_best_proposal_answers_as_not_detected():
    prob = np.float32([[0.8, 0.05, 0.15], *np.tile([0.9, 0.06, 0.04], (4, 1))])
    deltas = np.zeros((5, 3, 4), np.float32)
    deltas[0, 2] = encode(np.float32([30, 30, 70, 60]), PROPOSALS[0, :4], RULES.std)
    made = one_image(prob=prob, deltas=deltas.reshape(5, 12))
    np.testing.assert_allclose(made[0], [30, 30, 70, 60, 2, 0.15, 0, 0.25, 0.75], rtol=1e-5)
    assert not made[1:].any()
    np.testing.assert_allclose(one_image(rules=replace(RULES, score=0.99))[0, :7], [20, 20, 80, 80, 1, 0.5, 0])


def test_without_a_proposal_the_window_answers():
    made = one_image(np.zeros((5, 5), np.float32))
    assert made[0].tolist() == [*WINDOW, 1, 0, 0, 0.5, 0.5]
    assert not made[1:].any()


def test_a_refined_box_that_leaves_the_window_is_no_detection():
    deltas = np.zeros((5, 12), np.float32)
    deltas[:, 4::4] = 1000  # far to the right
    deltas[:, 8] = 1000
    made = one_image(deltas=deltas)
    assert made[0, 6] == 0
    np.testing.assert_array_equal(made[0, :4], PROPOSALS[0, :4])


@pytest.mark.parametrize("columns", [8, 12])
def test_without_the_class_subnet_the_proposals_score_counts_and_the_shares_are_even(columns):
    deltas = np.zeros((5, columns), np.float32)
    made = one_image(prob=None, deltas=deltas)
    assert made[:3, 5].tolist() == PROPOSALS[[0, 2, 3], 4].tolist()  # the second shows what the first shows
    assert made[:3, 4].tolist() == [1, 1, 1]
    assert (made[:3, 6:] == np.float32([1, 0.5, 0.5])).all()
    assert not made[3:].any()


def test_all_that_is_kept_of_a_class_overlaps_little_and_falls_in_score():
    random = np.random.RandomState(1)
    corners = random.uniform(0, 120, (300, 2))
    proposals = np.float32(np.concatenate([corners, corners + 50, random.rand(300, 1)], axis=1))
    prob = np.float32(random.dirichlet([1, 1, 1], 300))
    made = one_image(proposals, prob, rules=replace(RULES, detections=20))
    made = made[made[:, 6] == 1]
    assert (np.diff(made[:, 5]) <= 0).all()
    for label in (1, 2):
        own = made[made[:, 4] == label, :4]
        assert len(own) > 1
        assert (iou(own, own) - np.eye(len(own))).max() <= 0.3
    shares = made[:, 7:]
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(1 + shares.argmax(axis=1), made[:, 4])


def test_images_do_not_mix():
    both = detections(
        RULES, np.stack([np.zeros_like(PROPOSALS), PROPOSALS]), np.stack([WINDOW] * 2), np.tile(PROB, (2, 1))
    )
    np.testing.assert_array_equal(both[1], one_image())
    assert both[0, 0, 6] == 0


def test_numbers_that_are_none_are_refused():
    with pytest.raises(InputError, match="class_prob holds NaN"):
        one_image(prob=PROB * np.nan)
