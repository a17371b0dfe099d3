"""Temperatures and Platt's scaling: against scikit-learn's, a fine grid, and labels that were drawn with known ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_scores import drawn_scores
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss as sklearn_log_loss

from caffe_files.errors import InputError
from skinmtl.scores.bootstrap import FEWEST
from skinmtl.scores.calibration import (
    FEWEST_IMAGES,
    HeadCalibration,
    fitted,
    from_logits,
    head_from,
    kind_of,
    log_loss,
    logits,
    platt,
    record_of,
)
from skinmtl.scores.label_figures import Head, head_of

REPRODUCIBLE = {"derandomize": True, "deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


def a_head(name, n=400, seed=0, sharp=2.5):
    """Of lesions without the scar, which no image has."""
    head = head_of(drawn_scores(n, seed, sharp=sharp), name)
    p = 3
    return Head(head.labels[:, :p], head.scores[:, :p], head.names[:p], True)


@pytest.mark.parametrize("name, kind", [("lesion", "sigmoid"), ("location", "softmax")])
def test_the_temperature_has_the_least_loss_of_all(name, kind):
    head = a_head(name)
    found = fitted("s.npz", head, name, "temperature")
    assert (found.kind, found.method, set(found.offsets), len(set(found.slopes))) == (kind, "temperature", {0.0}, 1)
    values = logits(head.scores, kind)
    grid = np.exp(np.linspace(np.log(0.2), np.log(5), 2001))
    losses = [log_loss(values / temperature, head.labels, kind) for temperature in grid]
    assert 1 / found.slopes[0] == pytest.approx(grid[int(np.argmin(losses))], rel=0.002)


def test_a_net_that_is_too_sure_by_a_factor_gets_that_factor():
    """Labels were drawn with probabilities whose logits the net gives 2.5 times too large."""
    assert 1 / fitted("s", a_head("lesion", 4000), "lesion", "temperature").slopes[0] == pytest.approx(2.5, rel=0.1)
    exact = fitted("s", a_head("lesion", 4000, sharp=1), "lesion", "temperature")
    assert 1 / exact.slopes[0] == pytest.approx(1, rel=0.1)


def test_the_log_loss_is_scikit_learns():
    head = a_head("location", 50)
    true = head.labels.argmax(axis=1)
    assert log_loss(logits(head.scores, "softmax"), head.labels, "softmax") == pytest.approx(
        sklearn_log_loss(true, head.scores.astype(float)), rel=1e-5
    )
    lesions = a_head("lesion", 50)
    each = [sklearn_log_loss(lesions.labels[:, p], lesions.scores[:, p].astype(float)) for p in range(3)]
    assert log_loss(logits(lesions.scores, "sigmoid"), lesions.labels, "sigmoid") == pytest.approx(sum(each), rel=1e-5)


def test_platts_slope_and_offset_are_those_of_a_logistic_regression_of_his_targets():
    """scikit-learn's, with each image there twice, once as each label, weighted by its target."""
    head = a_head("lesion")
    found = fitted("s.npz", head, "lesion", "platt")
    values = logits(head.scores, "sigmoid")
    for p in range(3):
        labels = head.labels[:, p]
        positives, negatives = labels.sum(), (~labels).sum()
        targets = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))
        reference = LogisticRegression(C=1e12, tol=1e-10, max_iter=10000)
        reference.fit(np.tile(values[:, [p]], (2, 1)), np.repeat([1, 0], len(labels)), np.append(targets, 1 - targets))
        assert found.slopes[p] == pytest.approx(reference.coef_[0, 0], rel=1e-3)
        assert found.offsets[p] == pytest.approx(reference.intercept_[0], rel=1e-3, abs=1e-3)


def test_platt_keeps_perfect_scores_from_certainty():
    labels = np.arange(60) < 20
    slope, offset = platt(np.where(labels, 9.0, -9.0), labels)
    assert from_logits(np.array([9 * slope + offset]), "sigmoid")[0] == pytest.approx(21 / 22, rel=1e-3)


def test_a_softmax_head_has_its_temperature_whatever_is_asked_for():
    assert fitted("s", a_head("location"), "location", "platt").method == "temperature"


@settings(max_examples=100, **REPRODUCIBLE)
@given(st.integers(1, 6), st.integers(0, 2**32 - 1), st.sampled_from(["sigmoid", "softmax"]), st.floats(0.05, 20))
def test_calibrated_probabilities_are_probabilities_in_the_same_order(p, seed, kind, slope):
    """Also of 0 and 1, which have no logit; a softmax's still add up to 1. A slope of 1 changes nothing."""
    random = np.random.RandomState(seed)
    scores = random.choice([0.0, 1e-9, 0.25, 0.5, 1.0], (8, p))
    scores = scores if kind == "sigmoid" else (scores + 1e-12) / (scores + 1e-12).sum(axis=1, keepdims=True)
    names = tuple(f"label {number}" for number in range(p))
    found = HeadCalibration(kind, "temperature", names, (slope,) * p, (0.0,) * p).apply(scores)
    assert found.dtype == np.float32 and ((found >= 0) & (found <= 1)).all()
    if kind == "softmax":
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
        for row, after in zip(scores, found):  # within an image; over images a softmax's order may change
            assert (np.diff(after[np.argsort(row, kind="stable")]) >= -1e-6).all()
    else:
        assert (np.diff(found.ravel()[np.argsort(scores.ravel(), kind="stable")]) >= 0).all()
    same = HeadCalibration(kind, "temperature", names, (1.0,) * p, (0.0,) * p).apply(scores)
    np.testing.assert_allclose(same, scores, atol=2e-7 * p)


def test_the_kind_is_told_by_the_rows():
    assert kind_of(np.array([[0.25, 0.75], [1.0, 0.0]])) == "softmax"
    assert kind_of(np.array([[0.25, 0.75], [0.5, 0.4]])) == "sigmoid"


class TestRefused:
    def test_too_few_images(self):
        few = a_head("lesion", FEWEST_IMAGES - 1)
        with pytest.raises(InputError, match=r"^s\.npz: 99 images; a calibration needs 100 or more"):
            fitted("s.npz", few, "lesion", "temperature")
        assert fitted("s.npz", a_head("lesion", FEWEST_IMAGES), "lesion", "temperature")

    def test_too_few_positives(self):
        head = a_head("lesion")
        head.labels[:, 1] = np.arange(400) < FEWEST - 1
        with pytest.raises(InputError, match=r"melanoma \(9\): platt needs 10 of each; take --scaling temperature"):
            fitted("s.npz", head, "lesion", "platt")
        head.labels[:] = False
        head.labels[:9, 0] = True
        with pytest.raises(InputError, match="9 images with a lesion; a temperature needs 10 or more"):
            fitted("s.npz", head, "lesion", "temperature")

    def test_scores_that_are_no_probabilities(self):
        head = a_head("lesion")
        with pytest.raises(InputError, match="not all from 0 to 1"):
            fitted("s.npz", Head(head.labels, head.scores * 3, head.names, False), "lesion", "temperature")

    def test_scores_that_tell_all_apart_or_nothing(self):
        labels = np.random.RandomState(0).random_sample((200, 2)) < 0.5
        for scores in (np.where(labels, 0.6, 0.4), np.where(labels, 0.4, 0.6)):
            with pytest.raises(InputError, match=r"the best temperature of the lesion scores lies beyond 0\.02 to 50"):
                fitted("s.npz", Head(labels, scores, ["a", "b"], True), "lesion", "temperature")

    def test_scores_that_go_against_their_labels(self):
        head = a_head("lesion")
        head.scores[:, 2] = 1 - head.scores[:, 2]
        with pytest.raises(InputError, match="go against the labels of nevus"):
            fitted("s.npz", head, "lesion", "platt")


def test_a_record_is_read_as_it_was_written_and_nothing_else_is():
    found = fitted("s.npz", a_head("lesion"), "lesion", "platt")
    record = record_of(found)
    assert head_from(record) == found
    for change in (
        {"kind": "tanh"},
        {"method": "isotonic"},
        {"names": ["a"]},
        {"names": [1, 2, 3]},
        {"slopes": [1, 0, 1]},
        {"slopes": [1, float("nan"), 1]},
        {"slopes": [1, 10**39, 1]},
        {"slopes": [True, True, True]},
        {"offsets": [0, float("inf"), 0]},
        {"offsets": "000"},
    ):
        assert head_from({**record, **change}) is None, change
    assert head_from(None) is None and head_from([record]) is None
