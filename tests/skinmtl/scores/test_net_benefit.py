"""Decision curves: against the formula taken slowly, resamples really drawn, and what must hold of any curve."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_scores import drawn_scores
from test_bootstrap import drawn_rows
from test_label_figures import REPRODUCIBLE, cases

from skinmtl.scores.decision_table import use_of
from skinmtl.scores.label_figures import Head, head_of
from skinmtl.scores.net_benefit import THRESHOLDS, decision_curves, net_benefit, of_calling_all, resampled_net_benefit
from skinmtl.scores.scores_file import Scores, write_scores


def slow(labels, probabilities, threshold):
    """Vickers and Elkin's formula, image by image; what is stored in float32 is compared in float32."""
    called = [float(p) >= float(np.float32(threshold)) for p in probabilities]
    found = sum(1 for is_called, label in zip(called, labels) if is_called and label)
    wrong = sum(1 for is_called, label in zip(called, labels) if is_called and not label)
    return found / len(labels) - wrong / len(labels) * threshold / (1 - threshold)


@settings(max_examples=100, **REPRODUCIBLE)
@given(cases())
def test_the_net_benefit_is_that_of_the_formula(case):
    labels, scores = case
    wanted = [slow(labels, scores, threshold) for threshold in THRESHOLDS.tolist()]
    assert net_benefit(labels, scores) == pytest.approx(wanted, abs=1e-12)


@settings(max_examples=100, **REPRODUCIBLE)
@given(cases(), st.integers(1, 99))
def test_what_holds_of_any_curve(case, percent):
    labels, scores = case
    benefit, prevalence = net_benefit(labels, scores), labels.mean()
    assert (benefit <= prevalence + 1e-12).all(), "no more can be found than there is"
    assert (net_benefit(labels, np.zeros_like(scores)) == 0).all(), "calling none"
    all_called = net_benefit(labels, np.ones_like(scores))
    assert all_called == pytest.approx(of_calling_all(prevalence), abs=1e-12)
    perfect = net_benefit(labels, labels.astype(np.float32))
    assert perfect == pytest.approx(np.full(len(THRESHOLDS), prevalence))
    assert of_calling_all(percent / 100)[percent - 1] == pytest.approx(0, abs=1e-12), "all: 0 where p is the prevalence"
    twice = net_benefit(np.tile(labels, 2), np.tile(scores, 2))
    assert twice == pytest.approx(benefit, abs=1e-12)


def test_a_probability_on_the_threshold_is_called_at_each_of_them():
    for t, threshold in enumerate(THRESHOLDS):
        benefit = net_benefit(np.array([True]), np.array([threshold], np.float32))
        assert (benefit[: t + 1] == 1).all() and (benefit[t + 1 :] == 0).all()


def test_a_net_whose_probabilities_are_right_is_of_use_and_one_that_is_too_sure_costs():
    random = np.random.RandomState(0)
    right = random.beta(0.6, 2.0, 20_000).astype(np.float32)
    labels = random.random_sample(20_000) < right
    benefit, of_all = net_benefit(labels, right), of_calling_all(labels.mean())
    assert (benefit >= np.maximum(of_all, 0) - 0.002).all()  # above 0.9 a false alarm weighs so much that it scatters
    too_sure = (1 / (1 + (1 / right - 1) ** 3)).astype(np.float32)
    assert (net_benefit(labels, too_sure) <= benefit + 0.002).all()
    assert net_benefit(labels, too_sure)[4] < benefit[4] - 0.01


def test_the_intervals_are_those_of_resamples_that_are_really_drawn():
    scores = drawn_scores(150)
    groups = [f"patient {row // 3:03}" for row in range(150)]
    head = head_of(scores, "lesion")
    worth, prevalence = resampled_net_benefit(head, groups, 40, 7)
    for number in range(40):
        rows = drawn_rows(groups, 7, number)
        for p in range(len(head.names)):
            wanted = net_benefit(head.labels[rows, p], head.scores[rows, p])
            assert worth[p, :, number] == pytest.approx(wanted, abs=1e-6)
            assert prevalence[p, number] == pytest.approx(head.labels[rows, p].mean())
    curve = decision_curves(head, (groups, 40, 7, 0.9))["nevus"]
    at = 19
    over_all = worth[2, at] - of_calling_all(prevalence[2])[at]
    for key, drawn in (("intervals", worth[2, at]), ("over_all_intervals", over_all)):
        assert curve[key][at] == pytest.approx(np.percentile(drawn, [5, 95]).tolist(), abs=1e-6), key
    assert curve["over_all"][at] == pytest.approx(curve["net_benefit"][at] - curve["call_all"][at])


def test_many_labels_are_resampled_as_few_are():
    scores = drawn_scores(60)
    head = head_of(scores, "lesion")
    names = [f"lesion {p}" for p in range(20)]
    many = Head(np.tile(head.labels[:, :1], 20), np.tile(head.scores[:, :1], 20), names, True)
    curves = decision_curves(many, (scores.image, 20, 1, 0.95))
    few = decision_curves(Head(head.labels[:, :1], head.scores[:, :1], ["one"], True), (scores.image, 20, 1, 0.95))
    assert all(curve == few["one"] for curve in curves.values())


def test_a_label_without_a_positive_or_without_another_has_no_curve_and_few_groups_no_interval():
    scores = drawn_scores(60)
    head = head_of(scores, "lesion")
    head.labels[:, 0] = True
    head.labels[:, 1] = np.arange(60) < 9
    curves = decision_curves(head, (scores.image, 20, 1, 0.95))
    assert curves["keratosis"] is None and curves["scar"] is None
    assert set(map(str, curves["melanoma"]["intervals"])) == {"None"}
    assert any(curves["nevus"]["intervals"])


@pytest.mark.parametrize(
    "worth, of_all, words",
    [
        ([0.3, 0.2, 0.1, 0.0], [0.3, 0.1, -0.1, -0.2], "0.2, 0.3"),
        ([0.3, 0.1, 0.1, 0.0], [0.2, 0.1, -0.1, -0.2], "0.1, 0.1"),
        ([0.1, 0.0, -0.1, 0.0], [0.3, 0.1, -0.1, -0.2], "nowhere"),
    ],
)
def test_where_a_net_is_of_use(worth, of_all, words):
    assert use_of({"net_benefit": worth, "call_all": of_all}, [0.1, 0.2, 0.3, 0.4]) == words
    assert use_of(None, []) == "-"


def test_a_net_that_says_the_same_of_all_is_nowhere_of_use():
    labels = np.arange(50) < 13
    head = Head(labels[:, None], np.full((50, 1), 0.9, np.float32), ["one"], True)
    curve = decision_curves(head, ([str(row) for row in range(50)], 200, 1, 0.95))["one"]
    assert use_of(curve, THRESHOLDS.tolist()) == "nowhere"
    assert curve["over_all_intervals"][:90] == [None] * 90  # it is calling all up to 0.9


class TestTool:
    @pytest.fixture
    def files(self, tmp_path):
        write_scores(tmp_path / "s.npz", drawn_scores(200, 1))
        write_scores(tmp_path / "v.npz", drawn_scores(200, 2, first=500, subset="validation"))
        return tmp_path

    def test_the_table_the_csv_the_json_and_the_picture(self, tool, files):
        outputs = ("--net-benefit", files / "n.csv", "--decision-curves", files / "d.svg", "--json", files / "m.json")
        done = tool("evaluate.py", files / "s.npz", *outputs, "--bootstrap", 50)
        assert done.returncode == 0, done.stderr
        found = json.loads((files / "m.json").read_text())["decision_curves"]
        assert found["probabilities"] == "not calibrated" and found["of_lesions"]["scar"] is None
        with open(str(files / "n.csv"), newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 3 * 99 + 1 and rows[-1]["lesion"] == "scar" and rows[-1]["net_benefit"] == ""
        row = next(row for row in rows if (row["lesion"], row["threshold"]) == ("nevus", "0.2"))
        curve = found["of_lesions"]["nevus"]
        assert float(row["net_benefit"]) == curve["net_benefit"][19] and float(row["low"]) == curve["intervals"][19][0]
        assert (row["probabilities"], row["weights_sha256"], row["subset"]) == ("not calibrated", "a" * 64, "test")
        line = next(line for line in done.stdout.splitlines() if line.startswith("nevus") and "(" in line)
        assert f"{curve['net_benefit'][19]:.3f} ({curve['call_all'][19]:.3f})" in line
        assert "the probabilities are not calibrated, and net benefit takes them at their word" in done.stdout
        drawn = (files / "d.svg").read_text()
        assert "calling all images" in drawn and "probabilities not calibrated" in drawn and "scar" not in drawn

    def test_of_calibrated_probabilities(self, tool, files):
        assert tool("calibrate.py", files / "v.npz", "--out", files / "c.json").returncode == 0
        flags = ("--calibration", files / "c.json", "--net-benefit", files / "n.csv")
        done = tool("evaluate.py", files / "s.npz", *flags)
        assert "the probabilities are calibrated (temperature" in done.stdout, done.stderr
        assert "fitted on validation images" in (files / "n.csv").read_text()

    def test_what_has_no_curve_is_refused_and_leaves_no_file(self, tool, refused, files):
        scores = drawn_scores(50)
        only_places = {name: getattr(scores, name) for name in ("location_scores", "location_labels", "location_names")}
        write_scores(files / "l.npz", Scores(scores.image, scores.protocol, **only_places))
        flags = ("--net-benefit", files / "n.csv", "--json", files / "m.json")
        refused(tool("evaluate.py", files / "l.npz", *flags), "has no lesion head, which decision curves are of")
        scores.lesion_labels[:] = 0
        write_scores(files / "e.npz", scores)
        drawn = ("--decision-curves", files / "d.png")
        refused(tool("evaluate.py", files / "e.npz", *flags, *drawn), "no lesion has an image and lacks one too")
        scores.lesion_scores[0, 0] = 3
        write_scores(files / "x.npz", scores)
        refused(tool("evaluate.py", files / "x.npz", *flags), "decision curves need probabilities")
        assert not (files / "n.csv").exists() and not (files / "m.json").exists()
        done = tool("evaluate.py", files / "s.npz", "--decision-curves", files / "d.pdf")
        assert done.returncode == 2 and "must end in .png or .svg" in done.stderr


def test_the_odds_of_a_threshold_are_the_false_alarms_that_it_takes():
    """Called at 0.2: one of five is found, four are false alarms, and that is worth nothing."""
    labels = np.array([True, False, False, False, False])
    assert math.isclose(net_benefit(labels, np.full(5, 0.2, np.float32))[19], 0, abs_tol=1e-12)
