"""The figures of labels in resamples: against resamples that are really built, and against DeLong's standard error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_bootstrap import drawn_rows, random_case, scores_of

from skinmtl.scores.bootstrap import BLOCK, FEWEST, SAME
from skinmtl.scores.intervals import intervals
from skinmtl.scores.label_figures import FIGURES, Head, label_figures
from skinmtl.scores.label_resamples import mean_over_labels, resampled_head

REPRODUCIBLE = {"derandomize": True, "deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


@st.composite
def heads(draw, max_images=24):
    """A head of N images and P labels, thresholds and groups; few different scores, so that most rankings have ties."""
    n, p = draw(st.integers(1, max_images)), draw(st.integers(1, 3))
    random = np.random.RandomState(draw(st.integers(0, 2**32 - 1)))
    labels = random.random_sample((n, p)) < draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    scores = random.randint(0, draw(st.sampled_from([1, 3, 1000])), (n, p)) / np.float32(1000)
    groups = [f"patient {number}" for number in random.randint(0, draw(st.integers(1, n)), n)]
    names = [f"label {number}" for number in range(p)]
    thresholds = {name: draw(st.sampled_from([None, 0.0, 0.001, 0.5])) for name in names}
    return Head(labels, scores.astype(np.float32), names, True), groups, thresholds


def assert_is_that_of_the_rows(head, groups, thresholds, figures, seed, number):
    rows = drawn_rows(groups, seed, number)
    labels = head.labels[rows]
    wanted = label_figures(Head(labels, head.scores[rows], head.names, True), thresholds)
    for p, name in enumerate(head.names):
        if 0 < labels[:, p].sum() < len(rows):
            found = {figure: values[number, p] for figure, values in figures.items()}
            of_label = {figure: np.nan if wanted[name][figure] is None else wanted[name][figure] for figure in FIGURES}
            assert found == pytest.approx(of_label, abs=1e-12, nan_ok=True)
        else:
            assert np.isnan(figures["auroc"][number, p]) and np.isnan(figures["partial_auc"][number, p])


@settings(max_examples=150, **REPRODUCIBLE)
@given(heads(), st.integers(0, 2**32 - 1))
def test_a_resample_has_the_figures_of_its_rows(case, seed):
    head, groups, thresholds = case
    figures, _ = resampled_head(head, groups, 3, seed, "labels", thresholds)
    assert set(figures) == set(FIGURES)
    for number in range(3):
        assert_is_that_of_the_rows(head, groups, thresholds, figures, seed, number)


def test_so_has_every_resample_beyond_a_block_and_where_images_are_too_many_for_16_bits():
    labels, scores, groups = random_case()
    case = (Head(labels != 0, scores / 2, ["a", "b", "c"], True), groups, {"a": 0.3, "b": 0.9, "c": None})
    figures, also = resampled_head(*case[:2], BLOCK + 3, 5, "labels", case[2], [np.arange(60)])
    for number in (0, BLOCK - 1, BLOCK, BLOCK + 2):
        assert_is_that_of_the_rows(*case, figures, 5, number)
        assert also[0, number] == drawn_rows(groups, 5, number).sum()
    assert also.shape == (1, BLOCK + 3)
    labels, scores, _ = random_case(40_010, 1)
    large = (Head(labels != 0, scores / 2, ["a"], True), ["big"] * 40_000 + ["small"] * 10, {"a": 0.4})
    figures, _ = resampled_head(*large[:2], 3, 3, "labels", large[2])
    for number in range(3):
        assert_is_that_of_the_rows(*large, figures, 3, number)


def delong(labels, scores):
    """The standard error of the area under the ROC curve (DeLong and others 1988), from all pairs."""
    wins = (scores[labels][:, None] > scores[~labels]) + 0.5 * (scores[labels][:, None] == scores[~labels])
    of_positives, of_negatives = wins.mean(axis=1), wins.mean(axis=0)
    return np.sqrt(of_positives.var(ddof=1) / len(of_positives) + of_negatives.var(ddof=1) / len(of_negatives))


@pytest.mark.parametrize("steps", [1000, 4])
def test_the_spread_of_the_auroc_is_delongs_standard_error(steps):
    """Of single images, with few ties and with many: both estimate the same, from other formulas."""
    random = np.random.RandomState(3)
    labels = random.random_sample(400) < 0.25
    scores = np.round((random.standard_normal(400) + labels) * steps / 4).astype(np.float32)
    head = Head(labels[:, None], scores[:, None], ["a"], False)
    figures, _ = resampled_head(head, [f"{row:03}" for row in range(400)], 3000, 1, "labels")
    assert figures["auroc"].std() == pytest.approx(delong(labels, scores), rel=0.06)
    assert set(figures) == {"average_precision", "auroc", "partial_auc"}, "these scores are no probabilities"


def test_the_mean_leaves_out_what_has_no_figure():
    values = np.array([[0.5, np.nan, 1], [np.nan, np.nan, np.nan]])
    np.testing.assert_equal(mean_over_labels(values), [0.75, np.nan])


class TestIntervals:
    def made(self, labels, scores, groups, thresholds=None):
        whole = scores_of(labels.astype(np.uint8), scores)
        return intervals(whole, groups, 300, 1, 0.95, {"lesion": thresholds} if thresholds else None)

    def of(self, positives, n=200, perfect=False):
        random = np.random.RandomState(0)
        labels = (np.arange(n) < positives)[:, None]
        noise = 0.3 if perfect else 0.7
        scores = (0.3 * labels + noise * random.random_sample((n, 1))).astype(np.float32)
        return labels, scores, [f"{row:03}" for row in range(n)]

    def test_surround_the_figures(self):
        labels, scores, groups = self.of(40)
        found = self.made(labels, scores, groups, {"lesion 0": 0.5})["intervals"]["of_lesions"]["lesion 0"]
        head = Head(labels, scores, ["lesion 0"], True)
        told = label_figures(head, {"lesion 0": 0.5})["lesion 0"]
        assert set(found) == set(FIGURES)
        assert all(low < told[figure] < high for figure, (low, high) in found.items()), (found, told)

    @pytest.mark.parametrize("positives", [FEWEST - 1, FEWEST, 200 - FEWEST + 1])
    def test_are_not_there_where_too_few_groups_have_it_or_have_it_not(self, positives):
        ends = self.made(*self.of(positives), {"lesion 0": 0.6})["intervals"]
        found = ends["of_lesions"]["lesion 0"]
        enough = positives == FEWEST
        assert (found["auroc"] is not None) == (ends["average_precision"]["lesion 0"] is not None) == enough
        assert (found["sensitivity"] is not None) == (positives >= FEWEST)
        assert (found["specificity"] is not None) == (positives <= 200 - FEWEST)

    def test_of_a_predictive_value_need_images_that_are_called_and_not(self):
        labels, scores, groups = self.of(40)
        few = float(np.sort(scores[:, 0])[-5])
        found = self.made(labels, scores, groups, {"lesion 0": few})["intervals"]["of_lesions"]["lesion 0"]
        assert found["ppv"] is None and found["npv"] is not None

    def test_of_many_images_of_few_patients_are_not_there(self):
        labels, scores, _ = self.of(40)
        found = self.made(labels, scores, [str(row % (FEWEST - 1)) for row in range(200)])["intervals"]
        assert found["map_class"] is found["map_image"] is found["lesion_auroc"] is None
        assert set(found["of_lesions"]["lesion 0"].values()) == {None}

    def test_are_not_there_where_nothing_moves(self):
        """A perfect ranking is perfect in every resample; that says little of other patients."""
        found = self.made(*self.of(40, perfect=True))["intervals"]["of_lesions"]["lesion 0"]
        assert found["auroc"] is found["average_precision"] is None and found["brier"] is not None

    @pytest.mark.parametrize("positives", [30, 41, 63])
    def test_are_not_there_where_rounding_alone_moves(self, positives):
        """The perfect partial area is 0.2 of each resample but for the last digits of a sum."""
        labels, scores, groups = self.of(positives, n=207, perfect=True)
        figures, _ = resampled_head(Head(labels, scores, ["lesion 0"], True), groups, 300, 1, "labels")
        assert 0 < np.ptp(figures["partial_auc"]) < SAME
        assert self.made(labels, scores, groups)["intervals"]["of_lesions"]["lesion 0"]["partial_auc"] is None

    def test_of_the_calibration_error_are_not_shifted_by_the_scatter_of_resamples(self):
        """Of probabilities that are right, nearly all resamples have a larger error than the set."""
        random = np.random.RandomState(5)
        scores = random.random_sample((150, 1)).astype(np.float32)
        labels = random.random_sample((150, 1)) < scores
        groups = [f"{row:03}" for row in range(150)]
        head = Head(labels, scores, ["lesion 0"], True)
        told = label_figures(head)["lesion 0"]["ece"]
        figures, _ = resampled_head(head, groups, 300, 1, "labels")
        assert figures["ece"].mean() > told * 1.2
        low, high = self.made(labels, scores, groups)["intervals"]["of_lesions"]["lesion 0"]["ece"]
        assert low < told < high
