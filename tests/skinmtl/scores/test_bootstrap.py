"""The paired bootstrap against resamples that are really built, row by row, and what must hold whatever is drawn."""

from __future__ import annotations

import tracemalloc
import warnings
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from skinmtl.scores.bootstrap import BLOCK, FEWEST, interval, resampled_lesions, resampled_locations
from skinmtl.scores.intervals import intervals
from skinmtl.scores.metrics import average_precision, evaluate
from skinmtl.scores.scores_file import Scores

REPRODUCIBLE = {"derandomize": True, "deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


@st.composite
def cases(draw, max_images=24):
    """Labels and scores (N, P), groups (N); few different scores, so that most rankings have ties."""
    n, p = draw(st.integers(1, max_images)), draw(st.integers(1, 4))
    random = np.random.RandomState(draw(st.integers(0, 2**32 - 1)))
    labels = random.random_sample((n, p)) < draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    scores = random.randint(0, draw(st.sampled_from([1, 3, 1000])), (n, p)).astype(np.float32) / 8
    groups = [f"patient {number}" for number in random.randint(0, draw(st.integers(1, n)), n)]
    return labels.astype(np.uint8), scores, groups


def drawn_rows(groups, seed, number):
    """The rows of one resample, each as often as its group was drawn."""
    names = sorted(set(groups))
    draws = np.random.RandomState([seed, number]).randint(0, len(names), len(names))
    return np.concatenate([np.flatnonzero(np.array(groups) == names[draw]) for draw in draws])


def scores_of(labels, scores, locations=None, location_scores=None):
    return Scores(
        image=[f"{row}.jpg" for row in range(len(labels))],
        protocol={},
        lesion_scores=scores,
        lesion_labels=labels,
        lesion_names=[f"lesion {column}" for column in range(labels.shape[1])],
        location_scores=location_scores,
        location_labels=locations,
        location_names=None if locations is None else [f"site {q}" for q in range(location_scores.shape[1])],
    )


def random_case(n=60, p=3, patients=20, seed=0):
    random = np.random.RandomState(seed)
    labels = (random.random_sample((n, p)) < 0.3).astype(np.uint8)
    scores = (random.random_sample((n, p)) + labels / 2).astype(np.float32)
    return labels, scores, [f"patient {number:03}" for number in random.randint(0, patients, n)]


def none_as_nan(value):
    return np.nan if value is None else value


class TestAgainstResamplesReallyBuilt:
    @settings(max_examples=200, **REPRODUCIBLE)
    @given(cases(), st.integers(0, 2**32 - 1))
    def test_every_figure_is_that_of_the_rows_repeated(self, case, seed):
        labels, scores, groups = case
        random = np.random.RandomState(0)
        locations, location_scores = random.randint(0, 5, len(labels)), random.randint(0, 9, (len(labels), 5)) / 8
        lesions = resampled_lesions(labels, scores, groups, 3, seed)
        places = resampled_locations(locations, location_scores, groups, 3, seed)
        for number in range(3):
            rows = drawn_rows(groups, seed, number)
            built = evaluate(scores_of(labels[rows], scores[rows], locations[rows], location_scores[rows]))
            by_class = [none_as_nan(value) for value in built["average_precision"].values()]
            np.testing.assert_allclose(lesions.average_precision[number], by_class, rtol=0, atol=1e-12)
            for found, name in (
                (lesions.map_class, "map_class"),
                (lesions.map_image, "map_image"),
                (places.top1, "location_top1"),
                (places.top3, "location_top3"),
            ):
                np.testing.assert_allclose(found[number], none_as_nan(built[name]), rtol=0, atol=1e-12)

    @pytest.mark.filterwarnings("ignore:invalid value encountered")  # an older scikit-learn, of images not drawn
    @settings(max_examples=150, **REPRODUCIBLE)
    @given(cases(), st.integers(0, 2**32 - 1))
    def test_ap_is_scikit_learns_on_the_rows_repeated_and_with_the_counts_as_weights(self, case, seed):
        labels, scores, groups = case
        found = resampled_lesions(labels, scores, groups, 2, seed).average_precision
        for number in range(2):
            rows = drawn_rows(groups, seed, number)
            weights = np.bincount(rows, minlength=len(labels))
            for p in range(labels.shape[1]):
                if not labels[rows, p].any():
                    assert np.isnan(found[number, p])
                    continue
                repeated = average_precision_score(labels[rows, p], scores[rows, p])
                weighted = average_precision_score(labels[:, p], scores[:, p], sample_weight=weights)
                assert found[number, p] == pytest.approx(repeated, abs=1e-12)
                assert found[number, p] == pytest.approx(weighted, abs=1e-12)

    def test_over_several_blocks(self):
        labels, scores, groups = random_case()
        found = resampled_lesions(labels, scores, groups, 2 * BLOCK + 1, 5)
        assert found.average_precision.shape == (2 * BLOCK + 1, 3)
        for number in range(2 * BLOCK + 1):
            rows = drawn_rows(groups, 5, number)
            wanted = average_precision(labels[rows].T, scores[rows].T)
            np.testing.assert_allclose(found.average_precision[number], wanted, rtol=0, atol=1e-12)

    def test_where_a_resample_has_more_images_than_16_bits_count(self):
        """Two groups of 40,000 and 10 images: most resamples have 80,000 or 40,010, beyond 65,535 or not."""
        labels, scores, _ = random_case(40_010, 1)
        scores = -scores  # so that the last images of the ranking matter too
        groups = ["big"] * 40_000 + ["small"] * 10
        found = resampled_lesions(labels, scores, groups, 8, 3)
        lengths = set()
        for number in range(8):
            rows = drawn_rows(groups, 3, number)
            lengths.add(len(rows))
            wanted = average_precision(labels[rows].T, scores[rows].T)
            np.testing.assert_allclose(found.average_precision[number], wanted, rtol=0, atol=1e-12)
        assert max(lengths) == 80_000 and min(lengths) < 65_536


class TestWhatIsDrawn:
    def test_every_model_gets_the_same_resamples_whatever_its_scores_and_rows(self):
        """Two models that rank alike have no difference in any resample, also with the rows in another order."""
        labels, scores, groups = random_case()
        order = np.random.RandomState(1).permutation(len(labels))
        one = resampled_lesions(labels, scores, groups, 200, 4)
        other = resampled_lesions(labels[order], np.exp(scores[order]), [groups[row] for row in order], 200, 4)
        np.testing.assert_allclose(other.average_precision, one.average_precision, rtol=0, atol=1e-12)
        np.testing.assert_allclose(other.map_class, one.map_class, rtol=0, atol=1e-12)

    def test_lesions_and_locations_are_resampled_together(self):
        """With one location right where one lesion is there alone, the figures move together."""
        labels = np.eye(2, dtype=np.uint8)[np.arange(40) % 2]
        groups = [str(row // 4) for row in range(40)]
        places = resampled_locations(labels[:, 1].astype(int), np.tile([0.9, 0.1], (40, 1)), groups, 50, 2)
        lesions = resampled_lesions(labels, np.tile(np.float32([0.9, 0.1]), (40, 1)), groups, 50, 2)
        np.testing.assert_allclose(lesions.map_image, places.top1 + (1 - places.top1) / 2, atol=1e-12)

    def test_more_resamples_begin_with_the_same_ones(self):
        labels, scores, groups = random_case()
        few, many = (resampled_lesions(labels, scores, groups, n, 4) for n in (10, BLOCK + 10))
        for field in fields(few):
            np.testing.assert_array_equal(getattr(many, field.name)[:10], getattr(few, field.name))

    def test_another_seed_draws_others(self):
        labels, scores, groups = random_case()
        one, other = (resampled_lesions(labels, scores, groups, 20, seed).map_class for seed in (1, 2))
        assert not np.intersect1d(one, other).size

    def test_a_single_group_is_the_whole_set_every_time(self):
        labels, scores, _ = random_case()
        found = resampled_lesions(labels, scores, ["one"] * len(labels), 5, 1)
        np.testing.assert_allclose(found.map_class, evaluate(scores_of(labels, scores))["map_class"], atol=1e-12)
        assert len(set(found.map_class)) == 1

    def test_the_groups_are_the_units_and_not_their_images(self):
        """Every image four times over, in its own group, tells nothing new: the intervals must not shrink."""
        labels, scores, _ = random_case()
        groups = [f"{row:02}" for row in range(len(labels))]
        once = resampled_lesions(labels, scores, groups, 50, 1)
        often = resampled_lesions(*(np.repeat(each, 4, axis=0) for each in (labels, scores, groups)), 50, 1)
        np.testing.assert_allclose(often.average_precision, once.average_precision, rtol=0, atol=1e-12)
        np.testing.assert_allclose(often.map_image, once.map_image, rtol=0, atol=1e-12)

    def test_the_spread_of_an_accuracy_is_the_one_that_theory_gives(self):
        right = np.arange(400) % 4 > 0
        scores = np.where(right[:, None], [0.9, 0.1], [0.1, 0.9])
        found = resampled_locations(np.zeros(400, int), scores, [str(row) for row in range(400)], 4000, 1)
        assert found.top1.mean() == pytest.approx(0.75, abs=0.002)
        assert found.top1.std() == pytest.approx(np.sqrt(0.75 * 0.25 / 400), rel=0.05)
        assert (found.top3 == 1).all()

    def test_groups_must_be_as_many_as_images(self):
        with pytest.raises(ValueError, match="5 groups for 60 images"):
            resampled_lesions(*random_case()[:2], ["a"] * 5, 3, 1)


class TestClassesWithoutAPositive:
    def test_have_no_ap_there_and_leave_that_mean_alone(self):
        """One image in ten has the rare lesion: where it is not drawn, mAP-class is the AP of the other lesion."""
        labels = np.array([[1, number == 0] for number in range(5)] + [[0, 0]] * 5, np.uint8)
        scores = np.random.RandomState(0).random_sample((10, 2)).astype(np.float32)
        groups = [str(row) for row in range(10)]
        found = resampled_lesions(labels, scores, groups, 100, 1)
        without = np.isnan(found.average_precision[:, 1])
        assert without.tolist() == [0 not in drawn_rows(groups, 1, number) for number in range(100)]
        assert 20 < without.sum() < 60
        np.testing.assert_array_equal(found.map_class[without], found.average_precision[without, 0])
        np.testing.assert_allclose(found.map_class[~without], found.average_precision[~without].mean(axis=1))

    def test_nowhere_any_lesion(self):
        labels, scores, groups = random_case()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = resampled_lesions(np.zeros_like(labels), scores, groups, 5, 1)
        assert all(np.isnan(getattr(found, field.name)).all() for field in fields(found))


class TestInterval:
    def test_is_that_of_the_percentiles(self):
        values = np.random.RandomState(0).permutation(np.arange(1001) / 1000)
        assert interval(values) == (pytest.approx(0.025), pytest.approx(0.975))
        assert interval(values, 0.5) == (pytest.approx(0.25), pytest.approx(0.75))

    def test_by_column_with_nan_ignored_and_nan_where_all_are(self):
        values = np.array([[1, np.nan, np.nan], [2, 5, np.nan], [3, np.nan, np.nan]])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            low, high = interval(values, 0.5)
        np.testing.assert_allclose(low, [1.5, 5, np.nan])
        np.testing.assert_allclose(high, [2.5, 5, np.nan])

    def test_holds_the_truth_about_as_often_as_it_says(self):
        """100 studies of 100 patients, the truth known: 95 % intervals miss it in some of them, not in many."""
        missed = 0
        for study in range(100):
            right = np.random.RandomState(study).random_sample(100) < 0.7
            scores = np.where(right[:, None], [0.9, 0.1], [0.1, 0.9])
            found = resampled_locations(np.zeros(100, int), scores, [str(row) for row in range(100)], 200, study)
            low, high = interval(found.top1)
            missed += not low <= 0.7 <= high
        assert 1 <= missed <= 15


class TestIntervals:
    def test_surround_the_figures_and_count_the_resamples_without_a_positive(self):
        labels, scores, groups = random_case()
        labels[:, 1], labels[:, 2] = 0, np.arange(len(labels)) == 0
        locations, location_scores = np.arange(60) % 4, np.random.RandomState(1).random_sample((60, 4))
        both = scores_of(labels, scores, locations, location_scores.astype(np.float32))
        made = intervals(both, groups, 300, 1, 0.9)
        figures = evaluate(both)
        for name in ("map_class", "map_image", "location_top1", "location_top3"):
            low, high = made["intervals"][name]
            assert low < figures[name] < high
        assert made["intervals"]["average_precision"]["lesion 1"] is None
        without = made["bootstrap"].pop("resamples_without_positive")
        assert without["lesion 0"] == 0 and without["lesion 1"] == 300 and 60 < without["lesion 2"] < 160
        assert made["bootstrap"] == {
            "resamples": 300,
            "seed": 1,
            "level": 0.9,
            "n_groups": len(set(groups)),
            "fewest": FEWEST,
        }


def test_memory_does_not_grow_with_the_resamples():
    labels, scores, groups = random_case(3000, 4, 1000)
    peaks = []
    for resamples in (BLOCK, 8 * BLOCK):
        tracemalloc.start()
        resampled_lesions(labels, scores, groups, resamples, 1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    results = 7 * BLOCK * (4 + 2) * 8
    assert peaks[1] < peaks[0] + 3 * results
