"""All figures of saved scores, with intervals and thresholds where they are wanted: what evaluate.py tells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Sequence

from caffe_files.errors import InputError
from skinmtl.common.provenance import sha256
from skinmtl.data.subgroups import Subgroups
from skinmtl.scores.calibration_file import Calibration, calibrated, fitted_on, read_calibration
from skinmtl.scores.called import Rule
from skinmtl.scores.chosen_thresholds import chosen_thresholds
from skinmtl.scores.decision_table import NOT_CALIBRATED
from skinmtl.scores.intervals import intervals
from skinmtl.scores.label_figures import (
    MEANS,
    OF_HEAD,
    PROBABILITY,
    Thresholds,
    head_of,
    label_figures,
    mean_auroc,
)
from skinmtl.scores.metrics import evaluate
from skinmtl.scores.net_benefit import THRESHOLDS, decision_curves
from skinmtl.scores.one_lesion import one_lesion_figures, one_lesion_intervals
from skinmtl.scores.pairing import heads_of
from skinmtl.scores.region_bootstrap import region_intervals
from skinmtl.scores.region_metrics import evaluate_regions
from skinmtl.scores.scores_file import Scores, read_scores
from skinmtl.scores.subgroup_figures import subgroup_figures


class Resampling(NamedTuple):
    """Each image's group, the number of resamples, their seed, and the share of them that is inside an interval."""

    groups: Sequence[str]
    resamples: int
    seed: int
    level: float


class Plan(NamedTuple):
    """What is wanted beside the figures: intervals, thresholds by a rule that is read on the images of a file (None: on
    the tested ones), the calibration in a file, the figures of subgroups, and decision curves. None: not that."""

    resampling: Resampling | None = None
    rule: Rule | None = None
    thresholds_from: Path | None = None
    calibration: Path | None = None
    subgroups: Subgroups | None = None
    decision_curves: bool = False


@dataclass(frozen=True, eq=False)
class Prepared:
    """The scores of the file `path` as they are measured, calibrated where that is wanted, those `before` it, the
    thresholds by head and label, and the records of both: how the thresholds were chosen and which `fit` it is; None:
    neither."""

    path: Path
    scores: Scores
    before: Scores
    thresholds: dict[str, Thresholds]
    chosen: dict[str, Any] | None
    calibration: dict[str, Any] | None
    fit: Calibration | None


def evaluated(path: Path, scores: Scores, positive: str | None, plan: Plan) -> dict[str, Any]:
    """The figures of the scores in `path`, ready for JSON, by the names of `metrics`, `one_lesion`, `label_figures` and
    `region_metrics`.

    `positive` is the class that those of regions are of, as `evaluate_regions` has it. `thresholds` and `calibration`
    say where they are from; `calibration` also has `before`, Brier score and ECE of each label without it.
    """
    return figures_of(prepared(path, scores, plan), positive, plan)


def prepared(path: Path, scores: Scores, plan: Plan, external: bool = False) -> Prepared:
    """What the plan's calibration and thresholds make of the scores in `path`.

    `external`: the images are of another set than those that the calibration and the thresholds are from, so that an
    equal name makes no two images one.
    """
    used, before, calibration = None, scores, None
    if plan.calibration is not None:
        calibration = read_calibration(plan.calibration)
        used = {
            **calibration.record(),
            "fitted_on": calibration.fitted_on if external else fitted_on(scores, calibration),
            "sha256": sha256(plan.calibration),
            "words": calibration.words(),
        }
        scores = calibrated(path, scores, plan.calibration, calibration)
    thresholds, record = {}, None
    if plan.rule is not None:
        other = None if plan.thresholds_from is None else read_scores(plan.thresholds_from)
        if other is not None and calibration is not None:
            other = calibrated(plan.thresholds_from, other, plan.calibration, calibration)
        thresholds, record = chosen_thresholds(path, scores, plan.rule, plan.thresholds_from, other, external)
    return Prepared(path, scores, before, thresholds, record, used, calibration)


def figures_of(made: Prepared, positive: str | None, plan: Plan) -> dict[str, Any]:
    """See `evaluated`; the groups and subgroups of the plan are those of the prepared images."""
    scores, thresholds, used, resampling = made.scores, made.thresholds, made.calibration, plan.resampling
    figures = evaluate(scores)
    figures.update(dict.fromkeys((*OF_HEAD.values(), *MEANS.values())), thresholds=made.chosen, calibration=used)
    if scores.lesion_scores is not None:
        figures.update(one_lesion_figures(scores.lesion_labels, scores.lesion_scores, scores.lesion_names))
    for head in heads_of(scores):
        by_label = label_figures(head_of(scores, head), thresholds.get(head))
        figures[OF_HEAD[head]], figures[MEANS[head]] = by_label, mean_auroc(by_label)
        if used is not None:
            uncalibrated = label_figures(head_of(made.before, head))
            of_head = {name: {each: uncalibrated[name][each] for each in PROBABILITY} for name in by_label}
            used.setdefault("before", {})[OF_HEAD[head]] = of_head
    if scores.has_regions:
        figures.update(evaluate_regions(scores, positive))
    figures["subgroups"] = figures["decision_curves"] = None
    if plan.decision_curves:
        figures["decision_curves"] = _decision_curves(made.path, scores, made.fit, used, resampling)
    if plan.subgroups is not None:
        figures["subgroups"] = subgroup_figures(scores, plan.subgroups, thresholds, resampling)
    if resampling is None:
        return figures
    figures.update(intervals(scores, *resampling, thresholds))
    if figures.get("balanced_accuracy") is not None:
        figures["intervals"].update(one_lesion_intervals(scores.lesion_labels, scores.lesion_scores, *resampling))
    if scores.has_regions:
        figures["intervals"].update(region_intervals(scores, positive, *resampling))
    return figures


def _decision_curves(
    path: Path, scores: Scores, calibration: Calibration | None, used: Any, resampling: Resampling | None
) -> dict[str, Any]:
    """Those of the lesions, and what the probabilities are. InputError where there are none."""
    if scores.lesion_scores is None:
        raise InputError(f"{path}: has no lesion head, which decision curves are of; leave the flag out")
    head = head_of(scores, "lesion")
    if not head.probable:
        raise InputError(f"{path}: the lesion scores are not all from 0 to 1; decision curves need probabilities")
    words = NOT_CALIBRATED
    if calibration is not None:
        words = f"calibrated ({calibration.heads['lesion'].words()}), fitted on {used['fitted_on']}"
    curves = decision_curves(head, resampling)
    return {"probabilities": words, "thresholds": THRESHOLDS.tolist(), "of_lesions": curves}
