"""Labels and deltas of anchors. Check 3 of 12: the edges 0.7 and 0.3, the best anchor, 128 positives, 256 in all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinmtl.layers.region_settings import AnchorTargetsSettings
from skinmtl.regions.anchor_targets import anchor_targets, labels_of, sampled
from skinmtl.regions.anchors import anchors, cells
from skinmtl.regions.boxes import decode, iou
from skinmtl.regions.sampling import ANCHORS, ROIS, generator, highest, some_of

RULES = AnchorTargetsSettings(side=256, scales=(32, 64, 128), strides=(8, 16, 32))
ALL = anchors(256, RULES.scales, RULES.ratios, RULES.strides)
DRAW = np.float32([[12345, 2**24 - 1]])


def targets_of(box, label=1, draw=DRAW, rules=RULES):
    return anchor_targets(rules, np.float32([box]), np.float32([label]), draw)


# labels by the overlap


def test_the_edges_are_0_7_and_0_3():
    below, above = np.nextafter(0.3, 0), np.nextafter(0.7, 0)
    labels = labels_of(np.array([0, below, 0.3, 0.5, above, 0.7, 0.9]), 7, 0.7, 0.3)
    assert labels.tolist() == [0, 0, -1, -1, -1, 1, 1]


def test_an_anchor_whose_overlap_is_an_edge_by_its_pixels_counts_as_it():
    """70 of 100 pixels are 0.7, and 30 of 100 are 0.3, whatever the arithmetic."""
    lesion = np.float64([[0, 0, 10, 10]])
    overlaps = iou(np.float64([[0, 0, 10, 7], [0, 0, 10, 3], [0, 0, 10, 10]]), lesion)[:, 0]
    assert labels_of(overlaps, 3, 0.7, 0.3).tolist() == [1, -1, 1]


def test_all_anchors_that_tie_for_the_best_are_the_lesion_whatever_their_overlap():
    assert labels_of(np.array([0.1, 0.25, 0.25, 0.2]), 4, 0.7, 0.3).tolist() == [0, 1, 1, 0]
    assert labels_of(np.array([0.1, 0.25, 0.25 * (1 - 1e-7), 0.2]), 4, 0.7, 0.3).tolist() == [0, 1, 1, 0]
    assert labels_of(np.array([0.4, 0.6]), 2, 0.7, 0.3).tolist() == [-1, 1]


def test_a_lesion_between_two_anchors_has_both():
    """Half-way between the centres 120 and 128 of the finest level: symmetric, so that both overlap alike."""
    labels = targets_of([108, 112, 140, 144]).labels[0]
    best = np.flatnonzero(labels == 1)
    centres = (ALL[best, :2] + ALL[best, 2:]) / 2
    assert [120, 128] in centres.tolist()
    assert [128, 128] in centres.tolist()


def test_where_nothing_overlaps_nothing_is_the_lesion():
    assert labels_of(np.zeros(3), 3, 0.7, 0.3).tolist() == [0, 0, 0]
    assert labels_of(None, 3, 0.7, 0.3).tolist() == [0, 0, 0]


# which are drawn


@given(
    st.integers(0, 600), st.integers(0, 600), st.integers(1, 300), st.sampled_from([0.25, 0.5, 1.0]), st.integers(0, 9)
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_the_sample_has_its_size_and_share_and_takes_no_other_label(positives, negatives, sample, share, seed):
    labels = np.random.RandomState(seed).permutation(np.repeat([1, 0, -1], [positives, negatives, 50])).astype(np.int8)
    left = sampled(labels, sample, share, np.random.RandomState(seed))
    assert ((left == labels) | (left == -1)).all()
    taken = min(positives, int(sample * share))
    assert np.count_nonzero(left == 1) == taken
    assert np.count_nonzero(left == 0) == min(negatives, sample - taken)


@pytest.mark.parametrize("box", [[20, 20, 230, 240], [3, 5, 80, 60], [100, 100, 110, 110], [0, 0, 256, 256]])
def test_256_anchors_are_drawn_at_most_128_of_them_the_lesion_and_at_least_one(box):
    labels = targets_of(box).labels[0]
    assert np.count_nonzero(labels >= 0) == 256
    assert 1 <= np.count_nonzero(labels == 1) <= 128


def test_more_than_128_that_reach_0_7_are_drawn_from():
    """Anchors at every pixel: hundreds overlap a lesion of their size."""
    rules = AnchorTargetsSettings(side=128, scales=(64,), strides=(1,), ratios=(1,))
    overlaps = iou(anchors(128, (64,), (1,), (1,)).astype(float), np.array([[32.0, 32, 96, 96]]))[:, 0]
    assert np.count_nonzero(overlaps >= 0.7) > 128
    labels = targets_of([32, 32, 96, 96], rules=rules).labels[0]
    assert np.count_nonzero(labels == 1) == 128
    assert overlaps[labels == 1].min() >= 0.7
    assert overlaps[labels == 0].max() < 0.3


def test_the_draw_alone_decides():
    first, again, other = (targets_of([20, 20, 230, 240], draw=draw).labels for draw in (DRAW, DRAW, DRAW - 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    in_a_batch = anchor_targets(
        RULES, np.float32([[0, 0, 9, 9], [20, 20, 230, 240]]), np.float32([0, 1]), np.concatenate([DRAW - 1, DRAW])
    )
    np.testing.assert_array_equal(in_a_batch.labels[1], first[0])


def test_draws_are_the_same_in_every_numpy():
    drawn = [generator(DRAW[0], purpose).permutation(100)[:5].tolist() for purpose in (ANCHORS, ROIS)]
    assert drawn == [[11, 1, 65, 26, 64], [87, 70, 99, 37, 52]]


def test_few_are_all_taken_in_their_order():
    assert some_of(np.array([3, 5, 9]), 3, generator(DRAW[0], ROIS)).tolist() == [3, 5, 9]
    assert sorted(some_of(np.arange(9), 4, generator(DRAW[0], ROIS))) != [0, 1, 2, 3]


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(1, 40))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_the_highest_are_those_of_a_stable_sort(scores, count):
    expected = sorted(range(len(scores)), key=lambda index: -scores[index])[:count]
    assert highest(np.float32(scores), count).tolist() == expected


# targets and weights


def test_the_targets_lead_from_each_drawn_anchor_to_the_lesion():
    made = targets_of([20, 30, 120, 110])
    positive = np.flatnonzero(made.labels[0] == 1)
    boxes = decode(made.targets[0][:, positive].T, ALL[positive], RULES.std)
    np.testing.assert_allclose(boxes, np.tile([20, 30, 120, 110], (len(positive), 1)), atol=1e-3)
    rest = made.labels[0] != 1
    assert not made.targets[0][:, rest].any()
    assert not made.weights[0][:, rest].any()


@pytest.mark.parametrize("normaliser", ["positives", "sampled", "locations"])
def test_the_weights_hold_one_through_the_normaliser_of_the_whole_batch(normaliser):
    rules = AnchorTargetsSettings(side=256, scales=RULES.scales, strides=RULES.strides, normaliser=normaliser)
    boxes, labels = np.float32([[20, 30, 120, 110], [0, 0, 256, 250], [0, 0, 0, 0]]), np.float32([1, 2, 0])
    made = anchor_targets(rules, boxes, labels, np.repeat(DRAW, 3, axis=0))
    positives = np.count_nonzero(made.labels == 1)
    expected = {"positives": positives, "sampled": 3 * 256, "locations": 3 * cells(256, RULES.strides)}[normaliser]
    assert np.unique(made.weights).tolist() == [0, np.float32(1 / expected)]
    assert np.count_nonzero(made.weights) == 4 * positives


def test_an_image_without_a_lesion_teaches_background_alone():
    made = targets_of([0, 0, 0, 0], label=0)
    assert np.count_nonzero(made.labels == 0) == 256
    assert not (made.labels == 1).any()
    assert not made.weights.any()
