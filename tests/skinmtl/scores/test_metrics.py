"""Average precision, both mAPs and top-k, against scikit-learn and against a slow reading of the equations."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from skinmtl.scores.metrics import average_precision, evaluate, in_top_k, random_average_precision, tied_positives
from skinmtl.scores.scores_file import Scores

REPRODUCIBLE = {"derandomize": True, "deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
SCORE_SETS = ([0.5], [0.0, 1.0], [0.1, 0.2, 0.3], [-1e30, 0.0, 1e-30, 1.0], [step / 64 for step in range(64)])


def average_precision_by_the_equations(labels, scores):
    """Equations 9 and 10, the inner sum, one threshold k at a time, exactly."""
    positives, total, recall_before = sum(labels), Fraction(0), Fraction(0)
    for threshold in sorted(set(scores), reverse=True):
        retrieved = [label for label, score in zip(labels, scores) if score >= threshold]
        precision = Fraction(sum(retrieved), len(retrieved))
        recall = Fraction(sum(retrieved), positives)
        total += precision * (recall - recall_before)
        recall_before = recall
    return total


@st.composite
def rankings(draw, max_rows=6, max_entries=16):
    """Labels and scores (N, M), scores from a small set, so that most rankings have ties."""
    shape = draw(st.integers(1, max_rows)), draw(st.integers(1, max_entries))
    values = np.array(draw(st.sampled_from(SCORE_SETS)), dtype=np.float32)
    random = np.random.RandomState(draw(st.integers(0, 2**32 - 1)))
    prevalence = draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
    return (random.random_sample(shape) < prevalence).astype(np.uint8), random.choice(values, size=shape)


def one(labels, scores):
    return average_precision(np.array([labels]), np.array([scores]))[0]


def lesion_scores(labels, scores):
    labels, scores = np.asarray(labels, np.uint8), np.asarray(scores, np.float32)
    return Scores(
        image=[f"{row}.jpg" for row in range(len(labels))],
        protocol={},
        lesion_scores=scores,
        lesion_labels=labels,
        lesion_names=[f"lesion {column}" for column in range(labels.shape[1])],
    )


def location_scores(labels, scores):
    labels, scores = np.asarray(labels, np.int64), np.asarray(scores, np.float32)
    return Scores(
        image=[f"{row}.jpg" for row in range(len(labels))],
        protocol={},
        location_scores=scores,
        location_labels=labels,
        location_names=[f"location {column}" for column in range(scores.shape[1])],
    )


class TestAveragePrecision:
    def test_a_case_worked_by_hand(self):
        # Ranked: positive, negative, positive, negative. Recall rises at 1 (precision 1/1) and at 3 (precision 2/3).
        assert one([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.6]) == pytest.approx(float(Fraction(1, 2) + Fraction(2, 3) / 2))

    def test_tied_scores_share_one_threshold(self):
        # One threshold takes in three entries with two positives: precision 2/3, recall from 0 to 1.
        for order in itertools.permutations([1, 0, 1]):
            assert one(order, [0.5, 0.5, 0.5]) == pytest.approx(2 / 3)

    def test_there_is_no_interpolation(self):
        # Precision is 1/2 and then 2/3: interpolated, the first would be raised to 2/3 as well.
        assert one([0, 1, 1], [0.9, 0.8, 0.7]) == pytest.approx(float(Fraction(7, 12)))

    def test_equal_scores_everywhere_give_the_prevalence(self):
        assert one([1, 0, 0, 0], [0.3, 0.3, 0.3, 0.3]) == 0.25

    def test_a_ranking_with_no_positive_has_none(self):
        assert np.isnan(one([0, 0], [0.1, 0.2]))

    def test_a_ranking_of_one(self):
        assert one([1], [0.1]) == 1.0

    def test_scores_that_differ_in_the_last_bit_of_float32_are_not_tied(self):
        high = np.float32(1)
        low = np.nextafter(high, np.float32(0))
        assert one([1, 0], np.array([high, low])) == 1.0
        assert one([0, 1], np.array([high, low])) == 0.5

    def test_zero_and_minus_zero_are_tied(self):
        assert one([1, 0], [0.0, -0.0]) == one([0, 1], [0.0, -0.0]) == 0.5

    def test_the_order_of_a_reversed_ranking(self):
        # All R positives behind all M - R negatives: precision i / (M - R + i) at the i-th.
        assert one([1, 1, 0, 0, 0], [1, 2, 3, 4, 5]) == pytest.approx(float((Fraction(1, 4) + Fraction(2, 5)) / 2))

    @settings(max_examples=500, **REPRODUCIBLE)
    @given(rankings())
    def test_three_readings_agree(self, case):
        labels, scores = case
        ours = average_precision(labels, scores)
        assert ours.shape == (len(labels),) and ours.dtype == np.float64
        for row, value in enumerate(ours):
            if not labels[row].any():
                assert np.isnan(value)
                continue
            exact = average_precision_by_the_equations(labels[row].tolist(), scores[row].tolist())
            assert value == pytest.approx(float(exact), abs=1e-12)
            assert value == pytest.approx(average_precision_score(labels[row], scores[row]), abs=1e-12)
            assert 0 < value <= 1

    @settings(max_examples=300, **REPRODUCIBLE)
    @given(rankings())
    def test_a_strictly_monotone_transform_of_the_scores_changes_nothing(self, case):
        labels, scores = case
        ranks = np.unique(scores, return_inverse=True)[1].reshape(scores.shape)
        np.testing.assert_array_equal(average_precision(labels, np.exp2(ranks) - 7), average_precision(labels, scores))

    @settings(max_examples=300, **REPRODUCIBLE)
    @given(rankings(), st.randoms(use_true_random=False))
    def test_permuting_the_entries_changes_nothing_even_with_ties(self, case, random):
        labels, scores = case
        order = list(range(labels.shape[1]))
        random.shuffle(order)
        permuted = average_precision(labels[:, order], scores[:, order])
        np.testing.assert_array_equal(permuted, average_precision(labels, scores))

    @settings(max_examples=300, **REPRODUCIBLE)
    @given(rankings())
    def test_a_perfect_ranking_gives_exactly_one(self, case):
        labels, _ = case
        values = average_precision(labels, labels)
        assert (values[labels.any(axis=1)] == 1.0).all()

    @settings(max_examples=300, **REPRODUCIBLE)
    @given(rankings())
    def test_no_ranking_is_better_than_perfect_or_worse_than_reversed(self, case):
        labels, scores = case
        kept = labels.any(axis=1)
        values = average_precision(labels, scores)[kept]
        reversed_order = -(labels + np.linspace(0, 0.5, labels.shape[1]))
        assert (values >= average_precision(labels, reversed_order)[kept] - 1e-12).all()

    @pytest.mark.parametrize("positives, length", [(1, 1), (1, 5), (3, 6), (6, 6)])
    def test_chance_is_the_mean_over_all_orders(self, positives, length):
        labels = [1] * positives + [0] * (length - positives)
        orders = np.array(list(itertools.permutations(range(length))))
        mean = average_precision(np.tile(labels, (len(orders), 1)), orders).mean()
        assert random_average_precision(positives, length) == pytest.approx(mean)


class TestTies:
    def test_only_positives_that_share_a_score_are_counted(self):
        labels = np.array([[1, 0, 1, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]])
        scores = np.array([[0.5, 0.5, 0.7, 0.1, 0.1], [0.2, 0.2, 0.2, 0.1, 0.3], [0.1, 0.1, 0.1, 0.1, 0.1]])
        assert tied_positives(labels, scores).tolist() == [1, 3, 0]

    @settings(max_examples=300, **REPRODUCIBLE)
    @given(rankings())
    def test_against_a_slow_count(self, case):
        labels, scores = case
        slow = [
            sum(bool(label) and row.tolist().count(score) > 1 for label, score in zip(positive, row.tolist()))
            for positive, row in zip(labels, scores)
        ]
        assert tied_positives(labels, scores).tolist() == slow


class TestTopK:
    def test_the_true_one_is_among_the_k_best(self):
        scores = np.array([[0.4, 0.3, 0.2, 0.1]] * 4)
        assert in_top_k(np.arange(4), scores, 1).tolist() == [True, False, False, False]
        assert in_top_k(np.arange(4), scores, 3).tolist() == [True, True, True, False]

    def test_a_tie_counts_against_the_model(self):
        assert in_top_k(np.array([0, 1]), np.array([[0.5, 0.5], [0.5, 0.5]]), 1).tolist() == [False, False]

    def test_with_k_classes_or_fewer_all_are_in(self):
        assert in_top_k(np.array([0, 1]), np.array([[0.5, 0.5], [0.9, 0.1]]), 3).all()

    @settings(max_examples=200, **REPRODUCIBLE)
    @given(rankings(), st.integers(1, 5), st.integers(0, 2**32 - 1))
    def test_against_a_slow_loop(self, case, k, seed):
        _, scores = case
        labels = np.random.RandomState(seed).randint(scores.shape[1], size=len(scores))
        for found, true, row in zip(in_top_k(labels, scores, k), labels, scores):
            others_as_high = sum(row[other] >= row[true] for other in range(len(row)) if other != true)
            assert found == (others_as_high < k)


class TestEvaluate:
    def test_map_class_is_equation_9_and_map_image_equation_10(self):
        labels = [[1, 0], [0, 1], [1, 1]]
        scores = [[0.9, 0.8], [0.7, 0.6], [0.5, 0.9]]
        figures = evaluate(lesion_scores(labels, scores))
        # Class 0 ranks images 0+, 1-, 2+: (1 + 2/3) / 2. Class 1 ranks images 2+, 0-, 1+: the same.
        assert figures["average_precision"] == pytest.approx({"lesion 0": 5 / 6, "lesion 1": 5 / 6})
        assert figures["map_class"] == pytest.approx(5 / 6)
        # Image 0 ranks its class first (1), image 1 ranks it second (1/2), image 2 has both (1).
        assert figures["map_image"] == pytest.approx((1 + Fraction(1, 2) + 1) / 3)

    def test_a_class_with_no_positive_is_left_out_named_and_counted(self):
        figures = evaluate(lesion_scores([[1, 0], [0, 0]], [[0.1, 0.9], [0.2, 0.9]]))
        assert figures["average_precision"] == {"lesion 0": 0.5, "lesion 1": None}
        assert figures["support"] == {"lesion 0": 1, "lesion 1": 0}
        assert figures["map_class"] == 0.5
        assert (figures["n_classes"], figures["n_classes_used"]) == (2, 1)
        assert figures["classes_without_positive"] == ["lesion 1"]
        # It still stands in the ranking of every image: above the only lesion of image 0.
        assert figures["map_image"] == 0.5

    def test_an_image_with_no_lesion_is_left_out_of_map_image_and_stays_a_negative_of_every_class(self):
        figures = evaluate(lesion_scores([[1, 0], [0, 0]], [[0.5, 0.1], [0.9, 0.1]]))
        assert figures["map_image"] == 1.0
        assert (figures["n_images"], figures["n_images_used"], figures["n_images_without_lesion"]) == (2, 1, 1)
        assert figures["map_class"] == 0.5

    def test_ties_are_counted(self):
        figures = evaluate(lesion_scores([[1, 0, 0], [0, 1, 0]], [[0.5, 0.5, 0.1], [0.5, 0.2, 0.1]]))
        assert figures["n_tied_in_classes"] == 1  # class 0: both images have 0.5
        assert figures["n_tied_in_images"] == 1  # image 0: classes 0 and 1 have 0.5
        figures = evaluate(location_scores([0, 1, 2], [[0.4, 0.4, 0.2], [0.1, 0.8, 0.1], [0.4, 0.4, 0.2]]))
        assert figures["n_tied_locations"] == 1

    def test_where_nothing_is_positive_the_means_are_none(self):
        figures = evaluate(lesion_scores([[0, 0]], [[0.1, 0.2]]))
        for name in ("map_class", "map_image", "chance_map_class", "chance_map_image"):
            assert figures[name] is None
        assert (figures["n_classes_used"], figures["n_images_used"]) == (0, 0)

    def test_location_top_1_and_top_3(self):
        descending = [0.4, 0.3, 0.2, 0.1]
        figures = evaluate(location_scores([0, 1, 2, 3], [descending] * 4))
        assert (figures["location_top1"], figures["location_top3"]) == (0.25, 0.75)
        assert figures["n_locations"] == 4

    def test_with_fewer_than_four_locations_top_3_is_one(self):
        assert evaluate(location_scores([0, 1], [[0.1, 0.9], [0.9, 0.1]]))["location_top3"] == 1.0

    def test_what_a_model_gets_without_looking(self):
        labels = [[1, 1], [1, 0], [0, 1], [1, 0]]
        figures = evaluate(lesion_scores(labels, np.zeros((4, 2))))
        assert figures["chance_map_class"] == pytest.approx(np.mean(random_average_precision(np.array([3, 2]), 4)))
        # Lesion 0 is the more frequent and goes first: right in images 0, 1 and 3, second best in image 2.
        assert figures["chance_map_image"] == pytest.approx((1 + 1 + 0.5 + 1) / 4)
        figures = evaluate(location_scores([1, 1, 0, 2, 3, 1], np.eye(6, 5)))
        assert figures["chance_location_top1"] == 0.5
        assert figures["chance_location_top3"] == pytest.approx(5 / 6)

    def test_lesions_that_are_equally_frequent_are_answered_one_after_the_other(self):
        one_each = np.eye(3)[[0] * 5 + [1] * 5 + [2] * 2]
        figures = evaluate(lesion_scores(one_each.astype(int).tolist(), np.zeros((12, 3))))
        assert figures["chance_map_image"] == pytest.approx((5 * 1 + 5 / 2 + 2 / 3) / 12)  # not (10 / 2 + 2 / 3) / 12

    def test_the_figures_of_a_missing_head_are_none(self):
        lesions = evaluate(lesion_scores([[1]], [[0.5]]))
        locations = evaluate(location_scores([0], [[0.5]]))
        assert lesions.keys() == locations.keys()
        assert all(value is None for name, value in lesions.items() if "location" in name)
        assert locations["n_images"] == 1
        there = {name for name, value in locations.items() if value is not None}
        assert there == {"n_images"} | {name for name in locations if "location" in name}

    @settings(max_examples=150, **REPRODUCIBLE)
    @given(rankings(max_rows=12, max_entries=6))
    def test_the_means_are_over_what_has_a_positive_and_are_strict_json(self, case):
        labels, scores = case
        figures = evaluate(lesion_scores(labels, scores))
        for name, label_rows, score_rows in (
            ("map_class", labels.T, scores.T),
            ("map_image", labels, scores),
        ):
            values = [average_precision_score(*row) for row in zip(label_rows, score_rows) if row[0].any()]
            assert figures[name] == (pytest.approx(np.mean(values)) if values else None)
        assert json.loads(json.dumps(figures, allow_nan=False)) == figures

    @settings(max_examples=200, **REPRODUCIBLE)
    @given(rankings(max_rows=12, max_entries=6), st.randoms(use_true_random=False))
    def test_permuting_the_images_changes_nothing(self, case, random):
        labels, scores = case
        order = list(range(len(labels)))
        random.shuffle(order)
        before, after = evaluate(lesion_scores(labels, scores)), evaluate(lesion_scores(labels[order], scores[order]))
        for name in ("map_class", "map_image"):
            assert after[name] == (None if before[name] is None else pytest.approx(before[name]))
        assert after["average_precision"] == before["average_precision"]
        assert after["n_tied_in_classes"] == before["n_tied_in_classes"]

    def test_a_test_set_of_30_000_images_and_50_classes(self):
        random = np.random.RandomState(0)
        labels = (random.random_sample((30000, 50)) < 0.05).astype(np.uint8)
        scores = random.random_sample((30000, 50)).astype(np.float32)
        figures = evaluate(lesion_scores(labels, scores))
        assert figures["map_class"] == pytest.approx(figures["chance_map_class"], abs=0.002)
        assert figures["average_precision"]["lesion 7"] == pytest.approx(
            average_precision_score(labels[:, 7], scores[:, 7]), abs=1e-12
        )
