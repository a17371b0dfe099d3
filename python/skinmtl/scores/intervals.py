"""[low, high] of every figure of labels, from the resamples of `bootstrap`, ready for JSON; null where there is none.

`bootstrap` says where there is too little to draw from. Intervals are those of the percentiles. The calibration error
is the one figure that grows with mere scatter, so that it is larger in nearly every resample than in the set; its
resamples are moved back by that difference of the means first.
"""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from skinmtl.scores.bootstrap import FEWEST, ends_of, enough_with, indexed
from skinmtl.scores.label_figures import FIGURES, MEANS, OF_HEAD, Head, Thresholds, head_of
from skinmtl.scores.label_resamples import mean_over_labels, resampled_head
from skinmtl.scores.metrics import average_precision, in_top_k
from skinmtl.scores.reliability import calibration_error
from skinmtl.scores.scores_file import Scores
from skinmtl.scores.weighted_ranking import ratio

OF_LESIONS = ("map_class", "map_image", "average_precision", MEANS["lesion"])
OF_LOCATIONS = ("location_top1", "location_top3", MEANS["location"])


def intervals(
    scores: Scores,
    groups: Sequence[str],
    resamples: int,
    seed: int,
    level: float,
    thresholds: dict[str, Thresholds] | None = None,
) -> dict[str, Any]:
    """`intervals` by the names of `metrics.evaluate` and `label_figures`, and `bootstrap`: how they were made.

    thresholds  by head and label; without them there are no figures of calls

    `bootstrap` counts for each lesion the resamples that had no positive of it.
    """
    ends: dict[str, Any] = dict.fromkeys((*OF_LESIONS, *OF_LOCATIONS, *OF_HEAD.values()))
    without: dict[str, int] = {}
    chosen = thresholds or {}
    how = (groups, resamples, seed)
    index, _ = indexed(groups, len(scores.image))
    enough = len(set(groups)) >= FEWEST
    if scores.lesion_scores is not None:
        head = head_of(scores, "lesion")
        figures, of_set = resampled_lesion_figures(head, *how, chosen.get("lesion"))
        by_label = intervals_by_label(head, figures, index, level, chosen.get("lesion"))
        ends.update({name: ends_of(values, level, enough) for name, values in of_set.items()})
        ends["average_precision"] = {name: of_label["average_precision"] for name, of_label in by_label.items()}
        ends[OF_HEAD["lesion"]] = by_label
        without = dict(zip(head.names, np.isnan(figures["average_precision"]).sum(axis=0).tolist()))
    if scores.location_scores is not None:
        head = head_of(scores, "location")
        true = (scores.location_labels, scores.location_scores)
        also = (in_top_k(*true, 1), in_top_k(*true, 3), np.ones(len(groups)))
        figures, (top1, top3, drawn) = resampled_head(head, *how, "locations", chosen.get("location"), also)
        ends["location_top1"] = ends_of(top1 / drawn, level, enough)
        ends["location_top3"] = ends_of(top3 / drawn, level, enough)
        ends[MEANS["location"]] = ends_of(mean_over_labels(figures["auroc"]), level, enough)
        ends[OF_HEAD["location"]] = intervals_by_label(head, figures, index, level, chosen.get("location"))
    made = {"resamples": resamples, "seed": seed, "level": level, "n_groups": len(set(groups)), "fewest": FEWEST}
    return {"intervals": ends, "bootstrap": {**made, "resamples_without_positive": without}}


def resampled_lesion_figures(
    head: Head, groups: Sequence[str], resamples: int, seed: int, thresholds: Thresholds | None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The figures of each lesion (B, P) and those of the set (B,), by name, in each of B resamples."""
    of_images, there = average_precision(head.labels, head.scores), head.labels.any(axis=1)
    also = (np.where(there, of_images, 0), there)
    figures, sums = resampled_head(head, groups, resamples, seed, "lesions", thresholds, also)
    means = [mean_over_labels(figures[name]) for name in ("average_precision", "auroc")]
    return figures, {"map_class": means[0], "map_image": ratio(*sums), MEANS["lesion"]: means[1]}


def enough_by_figure(head: Head, index: np.ndarray, thresholds: Thresholds | None) -> dict[str, dict[str, bool]]:
    """By label and figure, whether enough groups have what it divides by; `index` (N,) is the group of each image."""
    found = {}
    for p, name in enumerate(head.names):
        labels = head.labels[:, p]
        with_it, without = enough_with(index, labels), enough_with(index, ~labels)
        enough = dict.fromkeys(FIGURES, with_it and without)
        if thresholds is not None and thresholds[name] is not None:
            called = head.scores[:, p] >= thresholds[name]
            enough.update(sensitivity=with_it, specificity=without)
            enough.update(ppv=enough_with(index, called), npv=enough_with(index, ~called))
        found[name] = enough
    return found


def intervals_by_label(
    head: Head, figures: dict[str, np.ndarray], index: np.ndarray, level: float, thresholds: Thresholds | None
) -> dict[str, dict[str, Any]]:
    """The intervals of the figures (B, P) that there are, by label and figure; `index` is the group of each image."""
    enough = enough_by_figure(head, index, thresholds)
    found: dict[str, dict[str, Any]] = {}
    for p, name in enumerate(head.names):
        found[name] = {}
        for figure, values in figures.items():
            of_label = values[:, p]
            if figure == "ece":
                moved = calibration_error(head.labels[:, p], head.scores[:, p]) - np.nanmean(of_label)
                of_label = np.clip(of_label + moved, 0, 1)
            found[name][figure] = ends_of(of_label, level, enough[name][figure])
    return found
