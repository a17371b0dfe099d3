"""Weights of rare lesions: against scikit-learn, and against the formulas of Cui et al. (2019) written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from skinmtl.nets.class_weights import effective_number, positive_weights, softmax_weights

COUNTS = (6, 19, 160, 1000)
FEW = settings(max_examples=50, deadline=None, derandomize=True)


def slow_effective_number(count, beta):
    return sum(beta**power for power in range(count))  # their equation 2 before it is summed


def test_effective_numbers_are_the_sum_of_what_each_further_image_adds():
    for beta in (0.9, 0.999, 0.9999):
        found = effective_number(np.array(COUNTS), beta)
        np.testing.assert_allclose(found, [slow_effective_number(count, beta) for count in COUNTS])


@given(counts=st.lists(st.integers(1, 3000), min_size=2, max_size=8))
@FEW
def test_inverse_weights_of_a_softmax_are_scikit_learns_balanced(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    theirs = compute_class_weight("balanced", classes=np.arange(len(counts)), y=labels)
    np.testing.assert_allclose(softmax_weights("inverse", counts), theirs, rtol=1e-5)


@given(counts=st.lists(st.integers(1, 3000), min_size=2, max_size=8), beta=st.sampled_from([0.9, 0.99, 0.999]))
@FEW
def test_effective_weights_of_a_softmax_are_in_proportion_to_theirs_with_a_mean_of_1_over_the_images(counts, beta):
    found = np.array(softmax_weights("effective", counts, beta))
    theirs = np.array([1 / slow_effective_number(count, beta) for count in counts])
    np.testing.assert_allclose(found / found[0], theirs / theirs[0], rtol=1e-4)
    assert np.average(found, weights=counts) == pytest.approx(1, rel=1e-4)


@given(positives=st.integers(1, 999), beta=st.sampled_from([0.9, 0.99, 0.999]))
@FEW
def test_the_positives_of_a_sigmoid_weigh_as_their_negatives_do(positives, beta):
    (inverse,) = positive_weights("inverse", 1000, [positives])
    assert inverse == pytest.approx((1000 - positives) / positives, rel=1e-5)
    (effective,) = positive_weights("effective", 1000, [positives], beta)
    sizes = [slow_effective_number(count, beta) for count in (1000 - positives, positives)]
    assert effective == pytest.approx(sizes[0] / sizes[1], rel=1e-4)
    assert min(1, inverse) * 0.9999 <= effective <= max(1, inverse) * 1.0001


def test_beta_leads_from_no_weights_to_inverse_ones():
    inverse = positive_weights("inverse", 1000, [10])[0]
    assert positive_weights("effective", 1000, [10], 1e-6)[0] == pytest.approx(1, rel=1e-3)
    assert positive_weights("effective", 1000, [10], 1 - 1e-9)[0] == pytest.approx(inverse, rel=1e-3)


@pytest.mark.parametrize("weighting", ["inverse", "effective"])
def test_a_lesion_that_no_image_or_every_image_has_is_not_weighed(weighting):
    none, some, every = positive_weights(weighting, 50, [0, 5, 50])
    assert (none, every) == (1, 1)
    assert some > 2
    assert softmax_weights(weighting, [0, 5, 45])[0] == 1
    assert np.isfinite(softmax_weights(weighting, [0, 5, 45])).all()
