"""The figures of each label against scikit-learn's, and against slow sums where it has none."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import sklearn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn import metrics

from skinmtl.scores.called import CALLED, Rule, called_figures, threshold_by
from skinmtl.scores.label_figures import LEAST_SENSITIVITY, PROBABILITY, RANKING, Head, label_figures, mean_auroc
from skinmtl.scores.one_lesion import one_lesion_figures
from skinmtl.scores.reliability import BINS, calibration_error, diagram, error_if_calibrated

REPRODUCIBLE = {"derandomize": True, "deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


@st.composite
def cases(draw, max_images=40):
    """Labels (N,) and probabilities (N,); few different ones, so that most rankings have ties."""
    n = draw(st.integers(1, max_images))
    random = np.random.RandomState(draw(st.integers(0, 2**32 - 1)))
    labels = random.random_sample(n) < draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    scores = random.randint(0, draw(st.sampled_from([1, 3, 1000])), n) / np.float32(1000)
    return labels, scores.astype(np.float32)


def of_one(labels, scores, threshold=None):
    head = Head(labels[:, None], scores[:, None], ["mole"], True)
    return label_figures(head, None if threshold is None else {"mole": threshold})["mole"]


def partial_area(labels, scores, least):
    """From scikit-learn's standardised area of the ROC curve read from its other end."""
    most = 1 - least
    standardised = metrics.roc_auc_score(~labels, -scores.astype(float), max_fpr=most)
    lowest = most**2 / 2
    return (2 * standardised - 1) * (most - lowest) + lowest


def slow_calibration_error(labels, probabilities):
    total = 0.0
    for number in range(BINS):
        low, high = number / BINS, (number + 1) / BINS
        inside = [(low < p or (number == 0 and p == 0)) and p <= high for p in probabilities.astype(float)]
        if any(inside):
            total += sum(inside) / len(labels) * abs(probabilities[inside].mean(dtype=float) - labels[inside].mean())
    return total


@settings(max_examples=200, **REPRODUCIBLE)
@given(cases())
def test_the_figures_are_scikit_learns(case):
    labels, scores = case
    found = of_one(labels, scores)
    if not 0 < labels.sum() < len(labels):
        assert all(found[name] is None for name in ("auroc", "partial_auc", *PROBABILITY, "reliability"))
        assert (found["average_precision"] is None) == (not labels.any())
        return
    wanted = {
        "average_precision": metrics.average_precision_score(labels, scores),
        "auroc": metrics.roc_auc_score(labels, scores),
        "partial_auc": partial_area(labels, scores, LEAST_SENSITIVITY),
        "brier": metrics.brier_score_loss(labels, scores.astype(float)),
        "ece": slow_calibration_error(labels, scores),
    }
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=1e-9)
    assert set(wanted) == {*RANKING, *PROBABILITY}


@pytest.mark.parametrize("seed", range(3))
def test_the_figures_are_those_of_the_isic_challenges_scorer(seed):
    """AP, AUROC, the calls above 0.5, balanced accuracy. Its `auc_sens_80` is not ISIC 2024's figure: it is all of
    the area below the curve from that sensitivity on, not the part above it."""
    pytest.importorskip("isic_challenge_scoring", reason="pip install isic-challenge-scoring (extra test)")
    import pandas as pd
    from isic_challenge_scoring.classification import ClassificationMetric, ClassificationScore

    random = np.random.RandomState(seed)
    names, images = ["mole", "scar", "wart"], pd.RangeIndex(150)
    labels = np.eye(3, dtype=bool)[random.choice(3, 150, p=[0.7, 0.2, 0.1])]
    scores = np.round(random.random_sample((150, 3)) * 0.6 + 0.4 * labels, 2).astype(np.float32)  # with ties
    weights = pd.DataFrame({"score_weight": 1.0, "validation_weight": 1.0}, images)
    frames = [pd.DataFrame(values.astype(float), images, names) for values in (labels, scores)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = ClassificationScore(*frames, weights, ClassificationMetric.BALANCED_ACCURACY)
    above = float(np.nextafter(np.float32(0.5), np.float32(1)))  # they call above 0.5, we from a threshold on
    ours = label_figures(Head(labels, scores, names, True), dict.fromkeys(names, above))
    words = {"average_precision": "ap", "auroc": "auc"}
    for name in names:
        for figure in (*words, *CALLED):
            wanted = theirs.per_category.at[name, words.get(figure, figure)]
            assert ours[name][figure] == pytest.approx(wanted, abs=1e-12), (name, figure)
    found = one_lesion_figures(labels, scores, names)["balanced_accuracy"]
    assert found == pytest.approx(theirs.aggregate["balanced_accuracy"], abs=1e-12)


@settings(max_examples=200, **REPRODUCIBLE)
@given(cases(), st.integers(0, 1000))
def test_the_calls_at_a_threshold_are_those_of_a_confusion_matrix(case, thousandths):
    labels, scores = case
    threshold = float(np.float32(thousandths) / np.float32(1000))
    found = of_one(labels, scores, threshold)
    if not 0 < labels.sum() < len(labels):
        assert all(found[name] is None for name in CALLED)
        return
    (tn, fp), (fn, tp) = metrics.confusion_matrix(labels, scores >= threshold, labels=[False, True])
    wanted = {
        "sensitivity": tp / (tp + fn),
        "specificity": tn / (tn + fp),
        "ppv": tp / (tp + fp) if tp + fp else np.nan,
        "npv": tn / (tn + fn) if tn + fn else np.nan,
    }
    known = {name: np.nan if found[name] is None else found[name] for name in CALLED}
    assert known == pytest.approx(wanted, nan_ok=True)


@settings(max_examples=200, **REPRODUCIBLE)
@given(cases(), st.sampled_from([0.01, 0.5, 0.89, 1.0]))
def test_thresholds_are_the_best_of_all_that_could_be_chosen(case, least):
    """Every score is tried, from the highest down; the first of the best ones wins."""
    labels, scores = case
    chosen = {name: threshold_by(Rule(name, least), labels, scores) for name in ("sensitivity", "youden", "f1")}
    if not 0 < labels.sum() < len(labels):
        assert set(chosen.values()) == {None}
        return
    best = dict.fromkeys(chosen, (-1.0, None))
    for threshold in sorted(set(scores.tolist()), reverse=True):
        called = scores >= threshold
        share = called[labels].mean()
        values = {
            "sensitivity": float(share >= least),
            "youden": metrics.balanced_accuracy_score(labels, called),
            "f1": metrics.f1_score(labels, called),
        }
        for name, value in values.items():
            if value > best[name][0] + 1e-12:
                best[name] = (value, threshold)
    assert chosen == {name: threshold for name, (_, threshold) in best.items()}


def test_chance_is_what_a_net_has_that_does_not_look():
    """The mean of shuffled labels, over many shufflings, is the chance that is told."""
    random = np.random.RandomState(0)
    labels, scores = np.arange(200) < 30, random.random_sample(200).astype(np.float32)
    told = of_one(labels, scores, 0.6)["chance"]
    shuffled = [of_one(random.permutation(labels), scores, 0.6) for _ in range(300)]
    for name in (*RANKING, *CALLED):
        assert np.mean([each[name] for each in shuffled]) == pytest.approx(told[name], rel=0.05), name
    always = of_one(labels, np.full(200, 0.15, np.float32))
    assert told["brier"] == pytest.approx(always["brier"]) and always["auroc"] == 0.5


def test_the_error_of_a_net_that_is_right_is_the_one_that_is_told():
    random = np.random.RandomState(0)
    probabilities = random.beta(0.5, 1, 300).astype(np.float32)
    drawn = [calibration_error(random.random_sample(300) < probabilities, probabilities) for _ in range(400)]
    assert error_if_calibrated(probabilities) == pytest.approx(np.mean(drawn), rel=0.05)


@pytest.mark.skipif(sklearn.__version__ < "1", reason="earlier ones put edges into the upper interval")
def test_the_diagram_is_scikit_learns_calibration_curve():
    from sklearn.calibration import calibration_curve

    random = np.random.RandomState(1)
    probabilities = random.random_sample(500)
    labels = random.random_sample(500) < probabilities**2
    points = diagram(labels, probabilities)
    share, mean = calibration_curve(labels, probabilities, n_bins=BINS)
    assert [point["share_positive"] for point in points] == pytest.approx(share.tolist())
    assert [point["mean_probability"] for point in points] == pytest.approx(mean.tolist())
    assert sum(point["n"] for point in points) == 500


def test_scores_that_are_no_probabilities_have_a_ranking_alone():
    labels, scores = np.array([[True], [False]]), np.array([[3.0], [1.0]], np.float32)
    found = label_figures(Head(labels, scores, ["mole"], False))["mole"]
    assert found["auroc"] == 1 and found["chance"]["auroc"] == 0.5
    assert found["brier"] is found["ece"] is found["reliability"] is found["chance"]["brier"] is None


def test_the_mean_auroc_is_of_the_labels_that_have_one():
    assert mean_auroc({"a": {"auroc": 0.5}, "b": {"auroc": None}, "c": {"auroc": 0.9}}) == pytest.approx(0.7)
    assert mean_auroc({"b": {"auroc": None}}) is None


def test_what_divides_by_nothing_is_not_there():
    found = called_figures(np.array([0, 2]), np.array([0, 4]), np.array([2, 2]), np.array([4, 4]))
    assert np.isnan(found["ppv"]).tolist() == [True, False] and np.isnan(found["npv"]).tolist() == [False, True]


@pytest.mark.parametrize("text", ["", "youden=1", "f2", "sensitivity", "sensitivity=0", "sensitivity=x", "nan"])
def test_a_rule_is_one_of_three(text):
    with pytest.raises(ValueError, match="neither sensitivity=S"):
        Rule.of(text)
    assert [str(Rule.of(each)) for each in ("f1", "sensitivity=0.950")] == ["f1", "sensitivity=0.95"]
