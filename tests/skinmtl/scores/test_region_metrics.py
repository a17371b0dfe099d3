"""Figures of classes, masks and boxes: by hand, against scikit-learn, and against the ISIC challenges' own scorer."""

from __future__ import annotations

import warnings
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_regions import BY_HAND, drawn_regions, rows_of
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score, roc_curve

from skinmtl.scores.region_metrics import (
    MASK_FIGURES,
    OF_CLASS,
    OF_MASK,
    RegionFigures,
    evaluate_regions,
    of_masks,
    overlaps,
    usual_positive,
)

REPRODUCIBLE = {"derandomize": True, "deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
CASES = st.tuples(st.integers(1, 40), st.integers(2, 4), st.integers(0, 2**32 - 1), st.sampled_from([0, 2, 5]))


def none_as_nan(value):
    return np.nan if value is None else value


def organisers():
    """The scorer of the ISIC challenges' organisers, which Python 3.9 and later can have."""
    return pytest.importorskip("isic_challenge_scoring", reason="pip install isic-challenge-scoring (extra test)")


class TestByHand:
    FIGURES = evaluate_regions(BY_HAND, "malignant")

    def test_the_class(self):
        """Called above 0.5, so 0.9 and 0.6: one right of two positives, one right of two others."""
        found = {name: self.FIGURES[f"class_{name}"] for name in OF_CLASS}
        assert (found["ac"], found["se"], found["sp"]) == (0.5, 0.5, 0.5)
        assert found["ap"] == pytest.approx((1 + 2 / 3) / 2)
        assert found["auc"] == 0.75
        assert (found["sp_at_se82"], found["sp_at_se89"], found["sp_at_se95"]) == (0.5, 0.5, 0.5)
        assert self.FIGURES["class_top1"] == 0.5, "3.jpg is a tie, which counts against the model"

    def test_the_mask(self):
        """4.jpg has no lesion in either mask, which counts as 1."""
        assert self.FIGURES["mask_ja"] == pytest.approx((1 + 0.5 + 0.8 + 1) / 4)
        assert self.FIGURES["mask_ja65"] == pytest.approx((1 + 0 + 0.8 + 1) / 4)
        assert self.FIGURES["mask_di"] == pytest.approx((1 + 50 / 75 + 32 / 36 + 1) / 4)
        assert self.FIGURES["mask_sp"] == pytest.approx((1 + 1 + 80 / 84 + 1) / 4), "without skin SP is 1"

    def test_two_empty_masks_agree(self):
        assert of_masks(np.array([[0, 0, 0, 9]])).tolist() == [[1, 1, 1, 1, 1, 1]]

    def test_an_image_without_a_true_mask_is_left_out_and_counted(self):
        counts = BY_HAND.mask_counts.copy()
        counts[0] = 0
        figures = evaluate_regions(replace(BY_HAND, mask_counts=counts), "malignant")
        assert figures["mask_ja"] == pytest.approx((0.5 + 0.8 + 1) / 3)
        assert figures["n_without_true_mask"] == 1

    def test_the_boxes(self):
        """IoU 1, 0.5 and 0.75, in the order of their scores; 4.jpg has no true box."""
        assert self.FIGURES["box_ap50"] == 1, "0.5 is enough"
        assert self.FIGURES["box_ap75"] == pytest.approx((1 + 2 / 3) / 3)
        assert self.FIGURES["box_iou"] == pytest.approx(0.75)
        assert (self.FIGURES["detected"], self.FIGURES["n_not_detected"]) == (0.75, 1)
        assert self.FIGURES["n_without_true_box"] == 1

    def test_the_boxes_of_a_class_are_those_that_are_called_so(self):
        """malignant is told of 1 and 2, and true of 1 and 3; 3, a tie, is told as the first class."""
        by_class = self.FIGURES["by_class"]
        assert by_class["malignant"]["box_ap50"] == 0.5
        assert by_class["benign"]["box_ap50"] == 0
        assert self.FIGURES["box_map50"] == 0.25


class TestAgainstScikitLearn:
    @settings(max_examples=150, **REPRODUCIBLE)
    @given(CASES)
    def test_every_figure_of_a_class(self, case):
        n, n_classes, seed, steps = case
        scores = drawn_regions(n, n_classes, seed, steps)
        by_class = evaluate_regions(scores, None)["by_class"]
        for number, name in enumerate(scores.class_names):
            labels, shares = scores.class_labels == number, scores.class_scores[:, number].astype(np.float64)
            (tn, fp), (fn, tp) = confusion_matrix(labels, shares > 0.5, labels=[False, True])
            found = by_class[name]
            assert found["ac"] == pytest.approx((tp + tn) / n)
            assert none_as_nan(found["se"]) == pytest.approx(tp / (tp + fn) if tp + fn else np.nan, nan_ok=True)
            assert none_as_nan(found["sp"]) == pytest.approx(tn / (tn + fp) if tn + fp else np.nan, nan_ok=True)
            if not labels.any():
                assert found["ap"] is found["auc"] is found["sp_at_se82"] is None
                continue
            assert found["ap"] == pytest.approx(average_precision_score(labels, shares))
            if labels.all():
                assert found["auc"] is found["sp_at_se82"] is None
                continue
            assert found["auc"] == pytest.approx(roc_auc_score(labels, shares))
            wrong, right, _ = roc_curve(labels, shares, drop_intermediate=False)
            for figure, least in (("sp_at_se82", 0.82), ("sp_at_se89", 0.89), ("sp_at_se95", 0.95)):
                assert found[figure] == pytest.approx(1 - wrong[np.argmax(right >= least)])

    @settings(max_examples=100, **REPRODUCIBLE)
    @given(CASES, st.integers(0, 2**32 - 1))
    def test_weights_are_rows_repeated(self, case, seed):
        n, n_classes, drawn, steps = case
        scores = drawn_regions(n, n_classes, drawn, steps, without=0.2)
        weights = np.random.RandomState(seed).randint(0, 3, (n, 2)).astype(float)
        weights[0] = 1
        figures, by_class = RegionFigures(scores, None).under(weights)
        for column in range(2):
            built = evaluate_regions(rows_of(scores, np.repeat(np.arange(n), weights[:, column].astype(int))), None)
            for name, values in figures.items():
                assert values[column] == pytest.approx(none_as_nan(built[name]), nan_ok=True), name
            for label, of_class in by_class.items():
                for name, values in of_class.items():
                    assert values[column] == pytest.approx(none_as_nan(built["by_class"][label][name]), nan_ok=True)

    def test_the_mean_of_the_classes_leaves_out_what_has_no_figure(self):
        scores = drawn_regions(30, 3)
        scores.class_labels[scores.class_labels == 2] = 0
        figures = evaluate_regions(scores, None)
        aucs = [figures["by_class"][name]["auc"] for name in scores.class_names]
        assert aucs[2] is None
        assert figures["class_auc"] == pytest.approx(np.mean(aucs[:2]))


def box_precision_by_hand(hits, scores, wanted):
    """The area under the highest precision of a recall or more, one threshold at a time."""
    points = []
    for threshold in sorted(set(scores), reverse=True):
        told = [hit for hit, score in zip(hits, scores) if score >= threshold]
        points.append((sum(told) / wanted, sum(told) / len(told)))
    area, before = 0.0, 0.0
    for recall, _ in points:
        area += (recall - before) * max(precision for other, precision in points if other >= recall)
        before = recall
    return area


class TestBoxes:
    @settings(max_examples=100, **REPRODUCIBLE)
    @given(CASES)
    def test_ap_against_a_slow_reading_of_its_definition(self, case):
        n, n_classes, seed, steps = case
        scores = drawn_regions(n, n_classes, seed, steps, without=0.1)
        known = ~np.isnan(scores.true_boxes[:, 0])
        figures = evaluate_regions(scores, None)
        if not known.any():
            assert figures["box_ap50"] is figures["box_map50"] is None
            return
        overlap = np.array([_iou(*pair) for pair in zip(scores.boxes, scores.true_boxes)])
        told = scores.class_scores.argmax(axis=1)
        for word, least in (("50", 0.5), ("75", 0.75)):
            hits = overlap >= least
            every = box_precision_by_hand(hits[known], scores.detection_scores[known], known.sum())
            assert figures[f"box_ap{word}"] == pytest.approx(every)
            of_classes = []
            for number, name in enumerate(scores.class_names):
                true, drawn = known & (scores.class_labels == number), known & (told == number)
                found = figures["by_class"][name][f"box_ap{word}"]
                if not true.any():
                    assert found is None
                    continue
                right = box_precision_by_hand((hits & true)[drawn], scores.detection_scores[drawn], true.sum())
                assert found == pytest.approx(right)
                of_classes.append(right)
            assert figures[f"box_map{word}"] == pytest.approx(np.mean(of_classes))

    def test_overlaps_of_boxes_that_do_not_meet_or_have_no_area(self):
        boxes = np.array([[0, 0, 2, 2], [0, 0, 0, 0], [0, 0, 2, 2.0]])
        others = np.array([[2, 0, 4, 2], [0, 0, 0, 0], [1, 0, 3, 2.0]])
        assert overlaps(boxes, others) == pytest.approx([0, 0, 1 / 3])


def _iou(one, other):
    if np.isnan(other).any():
        return 0.0
    one, other = one.astype(np.float64), other.astype(np.float64)
    width, height = (max(0.0, min(one[k + 2], other[k + 2]) - max(one[k], other[k])) for k in (0, 1))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width * height / (sum(areas) - width * height) if sum(areas) > width * height else 0.0


class TestAgainstTheOrganisers:
    MASKS = ("random", "same", "empty truth", "empty answer", "both empty", "all lesion", "below 0.65")

    def test_segmentation(self, tmp_path):
        """The folders of the 2018 challenge's first task, scored by the organisers."""
        organisers()
        from isic_challenge_scoring.segmentation import SegmentationScore

        random = np.random.RandomState(1)
        counts = []
        for number, kind in enumerate(self.MASKS):
            truth, answer = _two_masks(kind, random)
            for folder, mask in (("truth", truth), ("answer", answer)):
                (tmp_path / folder).mkdir(exist_ok=True)
                name = f"ISIC_{number:07}_segmentation.png"
                assert cv2.imwrite(str(tmp_path / folder / name), mask.astype(np.uint8) * 255)
            counts.append([(truth & answer).sum(), (~truth & answer).sum(), (truth & ~answer).sum()])
            counts[-1].append(truth.size - sum(counts[-1]))
        theirs = SegmentationScore.from_dir(tmp_path / "truth", tmp_path / "answer").macro_average
        ours = dict(zip(OF_MASK, of_masks(np.array(counts)).mean(axis=0)))
        names = {"ja": "jaccard", "di": "dice", "ac": "accuracy", "se": "sensitivity", "sp": "specificity"}
        for name, their_name in {**names, "ja65": "threshold_jaccard"}.items():
            assert ours[name] == pytest.approx(theirs[their_name], abs=1e-12), name
        assert len(MASK_FIGURES) == len(names) + 1

    @pytest.mark.parametrize("seed", range(3))
    def test_classification(self, seed):
        organisers()
        import pandas as pd
        from isic_challenge_scoring.classification import ClassificationMetric, ClassificationScore

        scores = drawn_regions(200, 3, seed, steps=20)
        images = pd.Index(scores.image)
        truth = pd.DataFrame(np.eye(3)[scores.class_labels], images, scores.class_names)
        answer = pd.DataFrame(scores.class_scores.astype(np.float64), images, scores.class_names)
        weights = pd.DataFrame({"score_weight": 1.0, "validation_weight": 1.0}, images)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = ClassificationScore(truth, answer, weights, ClassificationMetric.BALANCED_ACCURACY).per_category
        ours = evaluate_regions(scores, None)["by_class"]
        names = {"ac": "accuracy", "se": "sensitivity", "sp": "specificity", "ap": "ap", "auc": "auc"}
        for label in scores.class_names:
            for name, their_name in names.items():
                assert ours[label][name] == pytest.approx(theirs.at[label, their_name], abs=1e-12), (label, name)


def _two_masks(kind, random):
    """A true mask and an answer (40, 50)."""
    truth = random.random_sample((40, 50)) < 0.4
    answer = truth ^ (random.random_sample((40, 50)) < 0.1)
    nothing = np.zeros((40, 50), bool)
    return {
        "random": (truth, answer),
        "same": (truth, truth),
        "empty truth": (nothing, answer),
        "empty answer": (truth, nothing),
        "both empty": (nothing, nothing),
        "all lesion": (~nothing, truth),
        "below 0.65": (truth, truth & (random.random_sample((40, 50)) < 0.6)),
    }[kind]


class TestPositiveClass:
    @pytest.mark.parametrize(
        "names, expected",
        [
            (["benign", "malignant"], "malignant"),
            (["Melanoma", "nevus", "seborrheic keratosis"], "Melanoma"),
            (["nevus", "wart"], None),
            ([], None),
        ],
    )
    def test_the_usual_one(self, names, expected):
        assert usual_positive(names) == expected

    def test_figures_of_the_other_class_mirror_those_of_the_first(self):
        scores = drawn_regions(50, 2, 3)
        one, other = (evaluate_regions(scores, name) for name in scores.class_names)
        assert one["class_auc"] == pytest.approx(other["class_auc"])
        assert (one["class_se"], one["class_sp"]) == (other["class_sp"], other["class_se"])


def test_a_net_without_classes_or_masks_has_none_of_their_figures():
    boxes_alone = replace(BY_HAND, class_scores=None, class_labels=None, class_names=None, mask_counts=None)
    figures = evaluate_regions(boxes_alone, None)
    there = {name for name, value in figures.items() if value is not None}
    assert there == {"box_ap50", "box_ap75", "box_iou", "detected", "n_without_true_box", "n_not_detected"}
