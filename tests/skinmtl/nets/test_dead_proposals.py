"""Proposals that look nowhere: all places of an image have one score, but for the anchors' own biases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mask_nets import small

from skinmtl.nets.dead_proposals import ALIKE, are_dead, proposal_scores, warning
from skinmtl.nets.mask_net import make_mask_net


def shares(foreground):
    foreground = np.asarray(foreground, np.float32)
    return np.stack([1 - foreground, foreground], axis=1)


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=5), st.integers(0, 2**31))
def test_scores_that_are_the_anchors_biases_alone_are_dead_whatever_these_are(biases, seed):
    random = np.random.RandomState(seed)
    places = np.repeat(np.array(biases, np.float32), 40)
    places = random.permutation(places) + random.uniform(-ALIKE / 200, ALIKE / 200, len(places))
    assert are_dead(shares([places]), len(biases)).tolist() == [True]


@given(st.integers(1, 5), st.integers(0, 2**31))
def test_one_place_that_stands_out_is_life(anchors, seed):
    random = np.random.RandomState(seed)
    dead = np.tile(np.arange(anchors) / 8, 20)
    alive = dead.copy()
    alive[random.randint(len(alive))] = 0.9
    assert are_dead(shares([dead, alive]), anchors).tolist() == [True, False]


def test_a_net_says_where_its_scores_are_and_how_many_anchors_a_place_has(tmp_path):
    found = proposal_scores(make_mask_net(small(ratios=(0.5, 2.0)), "test"), tmp_path / "test.prototxt")
    assert found == ("rpn_prob", 2)


def test_a_net_without_proposals_has_none(tmp_path):
    net = make_mask_net(small(), "test")
    for layer in [layer for layer in net.layer if layer.python_param.layer == "Proposals"]:
        net.layer.remove(layer)
    assert proposal_scores(net, tmp_path / "test.prototxt") is None


@pytest.mark.parametrize("images", [1, 40])
def test_the_warning_is_one_line_with_the_count_the_cause_and_what_to_do(images):
    said = warning(1, images)
    assert f"in 1 of {images} image{'s' * (images > 1)}" in said
    assert "ReLU" in said
    assert "train anew with a lower learning rate" in said
    assert "\n" not in said
