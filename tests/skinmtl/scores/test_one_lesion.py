"""Accuracy, balanced accuracy and confusion of images with one lesion each: against scikit-learn."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix

from skinmtl.scores.one_lesion import answers, one_lesion_figures, one_lesion_intervals
from skinmtl.scores.scores_file import Scores, write_scores

NAMES = ("naevus", "melanoma", "carcinoma", "wart")
FEW = settings(max_examples=50, deadline=None, derandomize=True)


def a_set(seed, images=40, absent=()):
    random = np.random.RandomState(seed)
    true = random.choice([label for label in range(4) if label not in absent], images)
    labels = np.eye(4, dtype=np.uint8)[true]
    return labels, (random.rand(images, 4) + 0.5 * labels).astype(np.float32), true


@given(seed=st.integers(0, 1000), absent=st.sampled_from([(), (0,), (1, 3)]))
@FEW
def test_the_figures_are_scikit_learns(seed, absent):
    labels, scores, true = a_set(seed, absent=absent)
    answered = scores.argmax(axis=1)
    found = one_lesion_figures(labels, scores, NAMES)
    assert found["lesion_accuracy"] == pytest.approx(accuracy_score(true, answered))
    there = sorted(set(true))  # scikit-learn warns where an answer is a lesion that no image has
    recall = [accuracy_score(true[true == label], answered[true == label]) for label in there]
    assert found["balanced_accuracy"] == pytest.approx(np.mean(recall))
    if not absent:
        assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(true, answered))
    assert found["lesion_confusion"] == confusion_matrix(true, answered, labels=range(4)).tolist()
    assert [found["lesion_recall"][NAMES[label]] for label in there] == pytest.approx(recall)
    assert all(found["lesion_recall"][NAMES[label]] is None for label in absent)
    assert found["chance_lesion_accuracy"] == pytest.approx(np.bincount(true).max() / len(true))
    assert found["chance_balanced_accuracy"] == pytest.approx(1 / len(there))


def test_a_tie_counts_against_the_model():
    labels = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]])
    scores = np.array([[0.5, 0.5, 0.1], [0.2, 0.2, 0.2], [0.1, 0.2, 0.9]])
    true, answered = answers(labels, scores)
    assert true.tolist() == [1, 0, 2]
    assert answered.tolist() == [0, 1, 2]


def test_a_set_with_other_images_has_no_such_figures():
    labels, scores, _ = a_set(1)
    for other in ([1, 1, 0, 0], [0, 0, 0, 0]):
        labels[3] = other
        assert set(one_lesion_figures(labels, scores, NAMES).values()) == {None}
        assert set(one_lesion_intervals(labels, scores, ["a"] * 40, 10, 1, 0.95).values()) == {None}


def test_the_intervals_are_those_of_images_that_are_really_drawn_again():
    labels, scores, _ = a_set(2, images=24)
    groups = [f"patient {number // 2:02}" for number in range(24)]
    found = one_lesion_intervals(labels, scores, groups, 200, 7, 0.9)
    random, drawn = np.random.RandomState(), []
    for number in range(200):
        random.seed([7, number])
        rows = [2 * group + which for group in random.randint(0, 12, 12) for which in (0, 1)]
        drawn.append(one_lesion_figures(labels[rows], scores[rows], NAMES))
    for name, ends in found.items():
        np.testing.assert_allclose(ends, np.percentile([each[name] for each in drawn], [5, 95]))


def test_evaluate_tells_them(tool, tmp_path):
    labels, scores, _ = a_set(3)
    write_scores(tmp_path / "s.npz", Scores([f"{n}.jpg" for n in range(40)], {}, scores, labels, list(NAMES)))
    done = tool("evaluate.py", tmp_path / "s.npz", "--bootstrap", 50, "--json", tmp_path / "m.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "m.json").read_text())
    assert re.search(f"balanced accuracy +{report['balanced_accuracy']:.3f}", done.stdout)
    assert "images answered as" in done.stdout
    for number, name in enumerate(NAMES, 1):
        assert f"{number} {name}" in done.stdout
    assert report["intervals"]["balanced_accuracy"][0] < report["balanced_accuracy"]
    below = tool("evaluate.py", tmp_path / "s.npz", "--fail-if-below", "balanced_accuracy=0.999")
    assert below.returncode == 1
