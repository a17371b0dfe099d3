"""The figures of each label in each subgroup, and how far they are from those of all other images.

A gap is the figure of the subgroup less that of the images outside it. Its interval is paired: both are read in the
same resamples of the groups, so that it is that of the difference. A label that a subgroup has not, or that all of it
have, has no figure there, and no gap. AP and predictive values move with the prevalence too; AUROC, sensitivity and
specificity do not.
"""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from skinmtl.data.subgroups import Subgroups
from skinmtl.scores.bootstrap import blocks, ends_of, indexed, weighted
from skinmtl.scores.intervals import enough_by_figure, intervals_by_label
from skinmtl.scores.label_figures import FIGURES, OF_HEAD, Head, Thresholds, head_of, label_figures
from skinmtl.scores.label_resamples import LabelResampler, joined
from skinmtl.scores.pairing import heads_of
from skinmtl.scores.scores_file import Scores
from skinmtl.scores.subgroup_means import groups_with_lesion, image_sums, mean_figures, mean_intervals

FEW = 20  # positives, or others: below, a figure of a subgroup is marked: our choice


def subgroup_figures(
    scores: Scores,
    subgroups: Subgroups,
    thresholds: dict[str, Thresholds],
    resampling: tuple[Sequence[str], int, int, float] | None,
) -> dict[str, Any]:
    """Ready for JSON: `column`, `told`, and `values`, a record for each subgroup.

    Each has its `value`, `n_images`, and by head and label the figures (`of_lesions`), `gaps`, and where there are
    resamples (groups, number, seed, level) `intervals` and `gap_intervals`; `few` names the labels with fewer than FEW
    images there that have them, or that have not. `means`, where there are lesions, has what `subgroup_means` finds.
    """
    values = []
    for name, inside in zip(subgroups.names, subgroups.members):
        record: dict[str, Any] = {"value": name, "n_images": int(inside.sum()), "gaps": {}, "few": {}}
        if resampling is not None:
            record.update(intervals={}, gap_intervals={}, n_groups=len(set(np.asarray(resampling[0])[inside].tolist())))
        for head_name in heads_of(scores):
            key, chosen = OF_HEAD[head_name], thresholds.get(head_name)
            head = head_of(scores, head_name)
            parts = [_part(head, which) for which in (inside, ~inside)]
            here, elsewhere = (label_figures(part, chosen) for part in parts)
            record[key] = here
            record["gaps"][key] = {label: _gaps(of_label, elsewhere[label]) for label, of_label in here.items()}
            record["few"][key] = [
                label for label, of_label in here.items() if min(of_label["n_positive"], of_label["n_negative"]) < FEW
            ]
            if head_name == "lesion":
                record["means"] = mean_figures(*parts)
            if resampling is not None:
                gaps, means = record["gaps"][key], record["means"] if head_name == "lesion" else None
                record["intervals"][key], record["gap_intervals"][key], of_means = _intervals(
                    parts, inside, chosen, gaps, means, resampling, name
                )
                if means is not None:
                    means.update(of_means)
        values.append(record)
    return {"column": subgroups.column, "told": list(subgroups.told), "values": values}


def _part(head: Head, which: np.ndarray) -> Head:
    return Head(head.labels[which], head.scores[which], head.names, head.probable)


def _gaps(here: dict[str, Any], elsewhere: dict[str, Any]) -> dict[str, float | None]:
    """By figure; None where one of the two has none."""
    pairs = {figure: (here[figure], elsewhere[figure]) for figure in FIGURES if figure in here}
    return {figure: None if None in pair else pair[0] - pair[1] for figure, pair in pairs.items()}


def _intervals(
    parts: Sequence[Head],
    inside: np.ndarray,
    thresholds: Thresholds | None,
    gaps: dict[str, dict[str, float | None]],
    means: dict[str, Any] | None,
    resampling: tuple[Sequence[str], int, int, float],
    what: str,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The intervals of the figures of the first part, and those of the gaps, by label and figure; and those of the
    `means`, where there are some."""
    groups, resamples, seed, level = resampling
    index, sizes = indexed(groups, len(inside))
    of_parts = [index[inside], index[~inside]]
    resamplers = [
        LabelResampler(part, of_part, np.bincount(of_part, minlength=len(sizes)), thresholds)
        for part, of_part in zip(parts, of_parts)
    ]
    drawn: list[list[dict[str, np.ndarray]]] = [[], []]
    of_images: list[list[np.ndarray]] = [[], []]
    sums = [image_sums(part, of_part, len(sizes)) for part, of_part in zip(parts, of_parts) if means is not None]
    for counts in blocks(sizes, resamples, seed, what):
        for read, resampler in zip(drawn, resamplers):
            read.append(resampler.under(counts))
        for read, each in zip(of_images, sums):
            read.append(weighted(each, counts))
    here, elsewhere = (joined(read, resamples) for read in drawn)
    ends = intervals_by_label(parts[0], here, of_parts[0], level, thresholds)
    enough = [enough_by_figure(part, of_part, thresholds) for part, of_part in zip(parts, of_parts)]
    of_gaps: dict[str, Any] = {}
    for p, label in enumerate(parts[0].names):
        of_gaps[label] = {}
        for figure, values in here.items():
            gap = gaps[label].get(figure)
            differences = values[:, p] - elsewhere[figure][:, p]
            if figure == "ece" and gap is not None:  # moved back as in `intervals`
                differences = differences - np.nanmean(differences) + gap
            both = gap is not None and all(each[label][figure] for each in enough)
            of_gaps[label][figure] = ends_of(differences, level, both)
    if means is None:
        return ends, of_gaps, {}
    precision = here["average_precision"], elsewhere["average_precision"]
    counted = [np.concatenate(read, axis=1)[:, :resamples] for read in of_images]
    n_groups = [groups_with_lesion(part, of_part) for part, of_part in zip(parts, of_parts)]
    return ends, of_gaps, mean_intervals(means, precision, counted, n_groups, level)
