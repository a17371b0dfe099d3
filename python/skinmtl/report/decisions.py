"""The decision curves of an experiment's models: on calibrated probabilities where each fold has a calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skinmtl.report.experiment import TITLES, Experiment, scores_path
from skinmtl.report.table1 import Table1
from skinmtl.scores.calibration_file import calibrated, fitted_on, read_calibration
from skinmtl.scores.chosen_thresholds import TEST
from skinmtl.scores.label_figures import head_of
from skinmtl.scores.net_benefit import net_benefit, of_calling_all
from skinmtl.scores.pairing import pooled
from skinmtl.scores.scores_file import Scores

CALIBRATION = "calibration.json"  # beside the scores of a fold


@dataclass(frozen=True, eq=False)
class Decisions:
    """Net benefit at `net_benefit.THRESHOLDS` (T,).

    lesions   those that some images have and some have not, as (name, positives, prevalence)
    models    whose scores are probabilities
    curves    of each lesion, that of each model
    call_all  of each lesion, that of calling all images
    notes     what to know of the probabilities, a line each
    """

    lesions: list[tuple[str, int, float]]
    models: list[str]
    curves: list[list[np.ndarray]]
    call_all: list[np.ndarray]
    notes: list[str]


def decisions(experiment: Experiment, table: Table1) -> Decisions | None:
    """Of the models and folds of Table 1. None where there is no such lesion or no such model. InputError where a
    calibration is not of the scores beside it."""
    titles_of: dict[str, list[str]] = {}  # what is done to the probabilities -> the models
    models: dict[str, Scores] = {}
    for model in table.models:
        scores, note = _calibrated(experiment, model, table.folds[model])
        if head_of(scores, "lesion").probable:
            models[model] = scores
        else:
            note = "no probabilities; left out"
        titles_of.setdefault(note, []).append(TITLES[model])
    if not models:
        return None
    most = max(models.values(), key=lambda scores: len(scores.image))  # where the models' folds differ
    positives, prevalence = most.lesion_labels.sum(axis=0, dtype=np.int64), most.lesion_labels.mean(axis=0)
    there = [p for p, count in enumerate(positives) if 0 < count < len(most.image)]
    if not there:
        return None
    names = experiment.manifest.lesion_names
    return Decisions(
        [(names[p], int(positives[p]), float(prevalence[p])) for p in there],
        list(models),
        [
            [net_benefit(scores.lesion_labels[:, p] != 0, scores.lesion_scores[:, p]) for scores in models.values()]
            for p in there
        ],
        [of_calling_all(prevalence[p]) for p in there],
        [f"{'; '.join(titles)}: {note}." for note, titles in titles_of.items()],
    )


def _calibrated(experiment: Experiment, model: str, folds: tuple[int, ...]) -> tuple[Scores, str]:
    """The pooled scores, calibrated where each fold has a calibration beside them, and what is done to them."""
    files = [scores_path(experiment.path, model, fold, experiment.number) for fold in folds]
    sources = [file.with_name(CALIBRATION) for file in files]
    there = [source for source in sources if source.exists()]
    if len(there) < len(folds):
        some = f": {len(there)} of {len(folds)} folds have a {CALIBRATION}" if there else ""
        return experiment.pooled(model, folds), f"not calibrated{some}"
    named, parts = [], set()
    for file, source, fold in zip(files, sources, folds):
        scores, calibration = experiment.scores[model, fold], read_calibration(source)
        parts.add(fitted_on(scores, calibration))
        named.append((str(file), calibrated(file, scores, source, calibration)))
    note = f"calibrated, fitted on {' and '.join(sorted(parts))}"
    return pooled(named), f"{note}, so that its curve is too good" if TEST in parts else note
