"""The figures of a net that draws the lesion: class, mask and box, as the ISIC challenges and Song et al. have them.

Class. The score of a class is its share of the lesion classes. AP (no interpolation) and AUC are of the ranking of all
images by it; AC, SE and SP call an image positive above 0.5, not at 0.5; the specificity at a sensitivity of 82, 89 or
95 % is that of the highest threshold which reaches the sensitivity (ISIC 2017). The figures are of one class against
the rest: the positive class where there is one, else each class, and the mean of them. What has no positive or no
negative has no such figure, and leaves the mean. Top-1 is the share of images whose true class has the highest share; a
tie counts against the model.

Mask. JA = tp/(tp+fp+fn), DI = 2tp/(2tp+fp+fn), AC, SE and SP are of the pixels of one image in its original size, and
are averaged over the images. JA and DI of two empty masks, SE of an image without lesion and SP of one without skin are
1, as in the organisers' scorer since 2018. The thresholded Jaccard of 2018 is JA where that is at least 0.65, else 0.

Box. One box an image is what the net answers, ranked over the images by its score, detected or not; it is a hit where
its IoU with the true box is at least 0.5 or 0.75. AP is the area under precision over recall where a recall has the
highest precision of it or more (PASCAL VOC since 2010): `box_ap50` of all boxes whatever their class, `box_map50` the
mean over the classes of the AP of the boxes with that class (the likeliest) among the true boxes of it.

Images without a true mask, or with an empty one for the boxes, are left out of these figures and counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from skinmtl.scores.called import called_figures
from skinmtl.scores.metrics import in_top_k
from skinmtl.scores.scores_file import Scores
from skinmtl.scores.weighted_ranking import WeightedRanking, ratio

USUAL_POSITIVE = ("malignant", "melanoma")
SENSITIVITIES = {"sp_at_se82": 0.82, "sp_at_se89": 0.89, "sp_at_se95": 0.95}
OF_CLASS = ("ac", "ap", "auc", "se", "sp", *SENSITIVITIES)
OF_MASK = ("ja", "di", "ac", "se", "sp", "ja65")
LEAST_JACCARD = 0.65  # ISIC 2018
LEAST_OVERLAP = {"50": 0.5, "75": 0.75}
CLASS_FIGURES = (*(f"class_{name}" for name in OF_CLASS), "class_top1")
MASK_FIGURES = tuple(f"mask_{name}" for name in OF_MASK)
BOX_FIGURES = (*(f"box_{kind}{name}" for kind in ("ap", "map") for name in LEAST_OVERLAP), "box_iou", "detected")
REGION_FIGURES = (*CLASS_FIGURES, *MASK_FIGURES, *BOX_FIGURES)


class RegionFigures:
    """The figures of scores with regions, ready to be read under weightings of their images.

    `positive` is the name of the positive class; None stands for each class against the rest.
    """

    def __init__(self, scores: Scores, positive: str | None) -> None:
        self.scores, self.positive = scores, positive
        self.names = scores.class_names or []
        self._true = ~np.isnan(scores.true_boxes).any(axis=1)
        self._iou = overlaps(scores.boxes, np.where(self._true[:, None], scores.true_boxes, 0))
        if scores.mask_counts is not None:
            self.with_mask = scores.mask_counts.any(axis=1)
            self._masks = of_masks(scores.mask_counts)
        if scores.class_scores is not None:
            self._told = scores.class_scores.argmax(axis=1)

    def under(self, weights: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, dict[str, np.ndarray]]]:
        """The figures under B weightings (N, B): by name (B,) float64, and by class and name. nan: no such figure."""
        figures: dict[str, np.ndarray] = {}
        by_class: dict[str, dict[str, np.ndarray]] = {name: {} for name in self.names}
        if self.scores.class_scores is not None:
            for number, name in enumerate(self.names):
                by_class[name].update(self._of_class(number, weights))
            of_which = [self.positive] if self.positive is not None else self.names
            for figure in OF_CLASS:
                figures[f"class_{figure}"] = mean_of([by_class[name][figure] for name in of_which])
            top1 = in_top_k(self.scores.class_labels, self.scores.class_scores, 1)
            figures["class_top1"] = averaged(top1[:, None], weights)[0]
        if self.scores.mask_counts is not None:
            values = averaged(self._masks, weights * self.with_mask[:, None])
            figures.update({f"mask_{name}": each for name, each in zip(OF_MASK, values)})
        figures.update(self._of_boxes(weights, by_class))
        figures["detected"] = averaged(self.scores.detected[:, None], weights)[0]
        return figures, by_class

    def _of_class(self, number: int, weights: np.ndarray) -> dict[str, np.ndarray]:
        labels, shares = self.scores.class_labels == number, self.scores.class_scores[:, number]
        called = shares > 0.5
        ranking = WeightedRanking(labels, shares, weights)
        right, found, of_called = (
            np.einsum("n,nb->b", which.astype(np.float64), weights)
            for which in (called == labels, called & labels, called)
        )
        images = weights.sum(axis=0)
        of_calls = called_figures(found, of_called, ranking.positives, images)
        return {
            "ac": ratio(right, images),
            "ap": ranking.average_precision(),
            "auc": ranking.area_under_roc(),
            "se": of_calls["sensitivity"],
            "sp": of_calls["specificity"],
            **{name: ranking.specificity_at(least) for name, least in SENSITIVITIES.items()},
        }

    def _of_boxes(self, weights: np.ndarray, by_class: dict[str, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        true = weights * self._true[:, None]
        figures = {"box_iou": averaged(self._iou[:, None], true)[0]}
        for word, least in LEAST_OVERLAP.items():
            hit = self._true & (self._iou >= least)
            figures[f"box_ap{word}"] = self._box_precision(hit, true, np.ones(len(hit), bool), self._true)
            if self.scores.class_scores is None:
                continue
            for number, name in enumerate(self.names):
                labels, told = self.scores.class_labels == number, self._told == number
                by_class[name][f"box_ap{word}"] = self._box_precision(hit & labels, true, told, labels)
            figures[f"box_map{word}"] = mean_of([by_class[name][f"box_ap{word}"] for name in self.names])
        return figures

    def _box_precision(self, hit: np.ndarray, weights: np.ndarray, drawn: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Of the boxes that were `drawn` (N,) where those of `wanted` (N,) were to be found."""
        ranking = WeightedRanking(hit[drawn], self.scores.detection_scores[drawn], weights[drawn])
        return ranking.interpolated_precision(weights[wanted].sum(axis=0))


def evaluate_regions(scores: Scores, positive: str | None) -> dict[str, Any]:
    """All figures of regions, ready for JSON: those of REGION_FIGURES that the model has parts for, else None.

    `class_positive` is the positive class, None where the figures are means over the classes; `by_class` has the
    figures of each class against the rest; counts say what was left out. `positive` as `positive_of` gives it.
    """
    of = RegionFigures(scores, positive)
    found, by_class = of.under(np.ones((len(scores.image), 1)))
    true_box = ~np.isnan(scores.true_boxes).any(axis=1)
    figures: dict[str, Any] = {name: number(found[name][0]) if name in found else None for name in REGION_FIGURES}
    figures["class_positive"] = positive
    figures["by_class"] = None
    if scores.class_scores is not None:
        counts = np.bincount(scores.class_labels, minlength=len(of.names)).tolist()
        figures["by_class"] = {
            name: {"n_positive": count, **{key: number(value[0]) for key, value in by_class[name].items()}}
            for name, count in zip(of.names, counts)
        }
    figures["n_without_true_mask"] = None if scores.mask_counts is None else int((~of.with_mask).sum())
    figures["n_without_true_box"] = int((~true_box).sum())
    figures["n_not_detected"] = int((~scores.detected).sum())
    return figures


def usual_positive(names: list[str]) -> str | None:
    """The class that is positive where nothing else is said: malignant or melanoma; None where there is neither."""
    by_word = {name.lower(): name for name in names}
    return next((by_word[word] for word in USUAL_POSITIVE if word in by_word), None)


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N,) float64: the IoU of each pair of boxes (N, 4), x2 and y2 exclusive; 0 of two without area."""
    boxes, others = (np.asarray(each, np.float64) for each in (boxes, others))
    corner, end = np.maximum(boxes[:, :2], others[:, :2]), np.minimum(boxes[:, 2:], others[:, 2:])
    both = np.prod(np.maximum(end - corner, 0), axis=1)
    areas = sum(np.prod(each[:, 2:] - each[:, :2], axis=1) for each in (boxes, others))
    return np.divide(both, areas - both, out=np.zeros(len(boxes)), where=areas - both > 0)


def of_masks(counts: np.ndarray) -> np.ndarray:
    """(N, 6) float64, the figures OF_MASK of each image, from (N, 4) counts of pixels: tp, fp, fn, tn."""
    tp, fp, fn, tn = np.asarray(counts, np.float64).T
    either = tp + fp + fn
    jaccard = _or_1(tp, either)
    values = {
        "ja": jaccard,
        "di": _or_1(2 * tp, tp + either),
        "ac": _or_1(tp + tn, either + tn),
        "se": _or_1(tp, tp + fn),
        "sp": _or_1(tn, tn + fp),
        "ja65": np.where(jaccard >= LEAST_JACCARD, jaccard, 0),
    }
    return np.stack([values[name] for name in OF_MASK], axis=1)


def averaged(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(K, B): the weighted means of values (N, K) under weights (N, B). Not by BLAS, whose threads wait for each other
    on a busy machine."""
    return ratio(np.einsum("nk,nb->kb", np.asarray(values, np.float64), weights), weights.sum(axis=0))


def mean_of(values: list[np.ndarray]) -> np.ndarray:
    """(B,): the mean over what is there of each; nan where nothing is."""
    stacked = np.stack(values)
    there = ~np.isnan(stacked)
    return ratio(np.where(there, stacked, 0).sum(axis=0), there.sum(axis=0))


def number(value: float) -> float | None:
    """For JSON: None for nan."""
    return None if np.isnan(value) else float(value)


def _or_1(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.ones(len(numerator)), where=denominator > 0)
