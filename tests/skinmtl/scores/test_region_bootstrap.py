"""The bootstrap of regions against resamples that are really built, and its pairing between models."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_regions import drawn_regions, rows_of

from skinmtl.scores.bootstrap import BLOCK, resampled_lesions
from skinmtl.scores.region_bootstrap import region_intervals, resampled_regions
from skinmtl.scores.region_metrics import REGION_FIGURES, evaluate_regions

REPRODUCIBLE = {"derandomize": True, "deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


def groups_of(n, patients, seed=0):
    return [f"patient {number}" for number in np.random.RandomState(seed).randint(0, patients, n)]


@settings(max_examples=50, **REPRODUCIBLE)
@given(st.integers(1, 25), st.integers(1, 8), st.integers(0, 2**32 - 1), st.sampled_from(["malignant", None]))
def test_every_figure_is_that_of_the_rows_repeated(n, patients, seed, positive):
    scores, groups = drawn_regions(n, 2, seed, steps=4, without=0.2), groups_of(n, patients, seed)
    figures, by_class = resampled_regions(scores, positive, groups, 2, seed)
    names = sorted(set(groups))
    for number in range(2):
        draws = np.random.RandomState([seed, number]).randint(0, len(names), len(names))
        rows = np.concatenate([np.flatnonzero(np.array(groups) == names[draw]) for draw in draws])
        built = evaluate_regions(rows_of(scores, rows), positive)
        for name, values in figures.items():
            expected = np.nan if built[name] is None else built[name]
            assert values[number] == pytest.approx(expected, nan_ok=True), name
        for label, of_class in by_class.items():
            for name, values in of_class.items():
                expected = built["by_class"][label][name]
                assert values[number] == pytest.approx(np.nan if expected is None else expected, nan_ok=True)


def test_two_models_have_the_same_resamples():
    """So that differences are paired: against the AP of `resampled_lesions`, which draws the same groups."""
    scores, groups = drawn_regions(60, 2, 1), groups_of(60, 20)
    figures, _ = resampled_regions(scores, "malignant", groups, 30, 9)
    labels, shares = (scores.class_labels == 1).astype(np.uint8)[:, None], scores.class_scores[:, [1]]
    of_lesion = resampled_lesions(labels, shares, groups, 30, 9).average_precision[:, 0]
    np.testing.assert_allclose(figures["class_ap"], of_lesion, rtol=0, atol=1e-12)


def test_intervals_hold_the_figures_and_are_in_order():
    scores, groups = drawn_regions(120, 2, 2), groups_of(120, 40)
    ends = region_intervals(scores, "malignant", groups, BLOCK + 5, 1, 0.95)
    figures = evaluate_regions(scores, "malignant")
    for name in REGION_FIGURES:
        if ends[name] is None:  # the same in every resample
            assert figures[name] == 1
            continue
        low, high = ends[name]
        assert low <= figures[name] <= high, name
    assert set(ends["by_class"]) == {"benign", "malignant"}


def test_what_is_never_there_has_no_interval():
    scores = drawn_regions(20, 2, 3, without=1.0)
    ends = region_intervals(scores, None, scores.image, 10, 1, 0.95)
    assert ends["mask_ja"] is ends["box_ap50"] is ends["by_class"]["benign"]["box_ap50"] is None
    assert ends["class_ac"] is not None


def test_a_class_of_too_few_groups_has_no_interval():
    """Of malignant lesions in nine groups; the figures of masks and boxes, which are of all images, keep theirs."""
    scores = drawn_regions(60, 2, 4)
    scores.class_labels[:] = np.arange(60) < 9
    ends = region_intervals(scores, "malignant", scores.image, 30, 1, 0.95)
    assert ends["class_ac"] is ends["class_auc"] is ends["by_class"]["benign"]["ac"] is None
    assert ends["mask_ja"] is not None and ends["class_top1"] is not None
    few = region_intervals(scores, "malignant", groups_of(60, 9), 30, 1, 0.95)
    assert few["mask_ja"] is few["class_top1"] is None
