"""The images that a net gets most wrong: held against a slow count, image by image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinmtl.scores.worst_images import UNCERTAIN, WITH, WITHOUT, lesion_errors


def drawn(seed, n=40, p=4):
    """Labels and scores with ties; the last lesion is nobody's."""
    random = np.random.RandomState(seed)
    labels = (random.rand(n, p) < 0.3).astype(np.uint8)
    labels[:, -1] = 0
    return labels, (random.randint(0, 8, (n, p)) / 8).astype(np.float32)


def counted(labels, scores, p):
    """(images with p that is not first, for each other lesion on how many of them it is as high), image by image."""
    not_first, above = 0, [0] * labels.shape[1]
    for has, values in zip(labels, scores):
        if has[p]:
            rivals = [q for q in range(len(has)) if not has[q] and values[q] >= values[p]]
            not_first += bool(rivals)
            for q in rivals:
                above[q] += 1
    return not_first, above


@given(st.integers(0, 10_000), st.integers(1, 50))
@settings(max_examples=60, deadline=None)
def test_each_kind_is_the_head_of_its_own_ranking_and_rivals_are_those_of_a_slow_count(seed, each):
    labels, scores = drawn(seed)
    names = list("abcd")
    for p, found in enumerate(lesion_errors(names, labels, scores, each)):
        assert (found.name, found.index, found.images, found.called) == (names[p], p, 40, False)
        assert found.positives == labels[:, p].sum()
        assert (found.not_first, found.above.tolist()) == counted(labels, scores, p)
        has = labels[:, p] == 1
        for kind, among, worth in (
            (WITHOUT, ~has, scores[:, p]),
            (WITH, has, -scores[:, p]),
            (UNCERTAIN, np.ones(40, bool), -np.abs(scores[:, p] - 0.5)),
        ):
            worst = found.worst[kind]
            assert worst.among == among.sum() and len(worst.rows) == min(each, worst.among)
            expected = sorted(np.flatnonzero(among).tolist(), key=lambda row: (-worth[row], row))
            assert worst.rows.tolist() == expected[:each]


def test_a_score_is_called_from_the_threshold_of_its_own_net_on():
    labels = np.array([[0], [0], [0], [1], [1], [1]], np.uint8)
    scores = np.array([[0.9], [0.3], [0.6], [0.6], [0.2], [0.6]], np.float32)
    of_two_nets = np.array([[0.3], [0.3], [0.7], [0.6], [0.3], [0.7]])
    (found,) = lesion_errors(["a"], labels, scores, 9, np.float32(of_two_nets).astype(np.float64))
    assert found.called
    assert found.worst[WITHOUT].rows.tolist() == [0, 1]
    assert found.worst[WITH].rows.tolist() == [4, 5]
    assert found.worst[UNCERTAIN].rows.tolist()[:2] == [1, 3]


def test_a_lesion_without_a_threshold_on_every_image_is_ranked_alone():
    labels, scores = drawn(3)
    thresholds = np.full(labels.shape, 0.5)
    thresholds[7, 1] = np.nan
    assert [found.called for found in lesion_errors(list("abcd"), labels, scores, 5, thresholds)] == [
        *(True, False, True, True)
    ]


def test_scores_that_are_no_probabilities_have_no_uncertain_ones():
    labels, scores = drawn(1)
    assert all(set(found.worst) == {WITHOUT, WITH} for found in lesion_errors(
        list("abcd"), labels, 8 * scores - 4, 5
    ))  # fmt: skip


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_net_that_says_the_same_of_everything_puts_nothing_first(value):
    labels, _ = drawn(2)
    for found in lesion_errors(list("abcd"), labels, np.full(labels.shape, value, np.float32), 5):
        assert found.not_first == (labels[labels[:, found.index] == 1].min(axis=1, initial=1) == 0).sum()
