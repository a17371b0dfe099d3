"""All figures of saved scores, with intervals and thresholds where they are wanted: what evaluate.py tells."""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

from skinmtl.scores.intervals import intervals
from skinmtl.scores.label_figures import MEANS, OF_HEAD, Thresholds, head_of, label_figures, mean_auroc
from skinmtl.scores.metrics import evaluate
from skinmtl.scores.one_lesion import one_lesion_figures, one_lesion_intervals
from skinmtl.scores.pairing import heads_of
from skinmtl.scores.region_bootstrap import region_intervals
from skinmtl.scores.region_metrics import evaluate_regions
from skinmtl.scores.scores_file import Scores


class Resampling(NamedTuple):
    """Each image's group, the number of resamples, their seed, and the share of them that is inside an interval."""

    groups: Sequence[str]
    resamples: int
    seed: int
    level: float


def evaluated(
    scores: Scores,
    positive: str | None,
    resampling: Resampling | None,
    chosen: tuple[dict[str, Thresholds], dict[str, Any]] | None,
) -> dict[str, Any]:
    """The figures, ready for JSON, by the names of `metrics`, `one_lesion`, `label_figures` and `region_metrics`.

    positive    the class that those of regions are of, as `evaluate_regions` has it
    resampling  None: no intervals
    chosen      of `chosen_thresholds`; its record is `thresholds`. None: no figures of calls
    """
    figures = evaluate(scores)
    figures.update(dict.fromkeys((*OF_HEAD.values(), *MEANS.values(), "thresholds")))
    thresholds, figures["thresholds"] = ({}, None) if chosen is None else chosen
    if scores.lesion_scores is not None:
        figures.update(one_lesion_figures(scores.lesion_labels, scores.lesion_scores, scores.lesion_names))
    for head in heads_of(scores):
        by_label = label_figures(head_of(scores, head), thresholds.get(head))
        figures[OF_HEAD[head]], figures[MEANS[head]] = by_label, mean_auroc(by_label)
    if scores.has_regions:
        figures.update(evaluate_regions(scores, positive))
    if resampling is None:
        return figures
    figures.update(intervals(scores, *resampling, thresholds))
    if figures.get("balanced_accuracy") is not None:
        figures["intervals"].update(one_lesion_intervals(scores.lesion_labels, scores.lesion_scores, *resampling))
    if scores.has_regions:
        figures["intervals"].update(region_intervals(scores, positive, *resampling))
    return figures
