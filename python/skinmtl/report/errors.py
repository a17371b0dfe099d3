"""The errors of an experiment: of which net, at which thresholds, on which images; and as tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from caffe_files.errors import InputError
from caffe_files.outputs import all_or_none, new_file
from skinmtl.common.json_file import read_json, write_json
from skinmtl.common.provenance import made_by, sha256
from skinmtl.data.table import write_csv
from skinmtl.figures.shown import MOST, shown
from skinmtl.report.experiment import ALEXNET, MTL, RESNET, Experiment, scores_path
from skinmtl.scores.chosen_thresholds import VALIDATION
from skinmtl.scores.label_figures import OF_HEAD
from skinmtl.scores.scores_file import Scores
from skinmtl.scores.worst_images import CALLED, LesionErrors, lesion_errors

EACH = 12  # images of a kind, our choice: whole rows of two, three and four thumbnails
NONE_CHOSEN = "none were chosen"
LISTED = ("image", "fold", "lesion", "kind", "rank", "score", "lesions")
ABOVE = ("lesion", "images", "scored_above", "on_images")


@dataclass(frozen=True)
class Errors:
    """Of one model: its pooled `scores` and each image's fold, `lesions` most of them wrong or not, as they are listed
    in the manifest, at most MOST; `rule` by which thresholds were chosen on validation images, "" where there are none,
    and in `notes` what to know of that."""

    model: str
    scores: Scores
    fold: np.ndarray
    thresholds: np.ndarray | None
    rule: str
    notes: tuple[str, ...]
    lesions: list[LesionErrors]
    each: int

    @property
    def images(self) -> list[int]:
        """Rows of the scores that are shown of any lesion, as they are in the scores."""
        rows = {row for lesion in self.lesions for worst in lesion.worst.values() for row in worst.rows.tolist()}
        return sorted(rows)

    def true_lesions(self, row: int) -> list[str]:
        names = self.scores.lesion_names or []
        return [names[p] for p in np.flatnonzero(self.scores.lesion_labels[row])]


def find_errors(experiment: Experiment, each: int) -> Errors | None:
    """Of the net with both heads, else of the best known one that has lesions; None where there is none."""
    model = next((model for model in (MTL, RESNET, ALEXNET) if experiment.folds_of(model)), None)
    if model is None:
        return None
    folds = experiment.folds_of(model)
    scores = experiment.pooled(model, folds)
    fold = np.concatenate([np.full(len(experiment.scores[model, k].image), k) for k in folds])
    thresholds, rule, notes = _thresholds(experiment, model, folds)
    found = lesion_errors(scores.lesion_names, scores.lesion_labels, scores.lesion_scores, each, thresholds)
    kept = shown([lesion.positives for lesion in found], MOST)
    return Errors(model, scores, fold, thresholds, rule, notes, [found[p] for p in kept], each)


def write_errors(path: Path, errors: Errors) -> None:
    """A line for each image that is shown of a lesion."""
    image, values = errors.scores.image, errors.scores.lesion_scores
    lines = [
        (
            *(image[row], errors.fold[row], lesion.name, CALLED.get(kind, kind) if lesion.called else kind, rank),
            *(f"{values[row, lesion.index]:.6f}", ";".join(errors.true_lesions(row))),
        )
        for lesion in errors.lesions
        for kind, worst in lesion.worst.items()
        for rank, row in enumerate(worst.rows.tolist(), 1)
    ]
    write_csv(path, LISTED, lines)


def write_above(path: Path, errors: Errors) -> None:
    """A line for each pair of lesions of which the second is scored above the first where that is true."""
    names = errors.scores.lesion_names
    lines = [
        (lesion.name, lesion.positives, names[q], int(lesion.above[q]))
        for lesion in errors.lesions
        for q in most_above(lesion)
    ]
    write_csv(path, ABOVE, lines)


def most_above(lesion: LesionErrors) -> list[int]:
    """The lesions that are scored above this one on any image, on most images first."""
    order = np.argsort(-lesion.above, kind="stable")
    return [int(q) for q in order if lesion.above[q]]


def list_errors(experiment: Experiment, errors: Errors, out: Path, arguments: dict[str, Any]) -> str:
    """Writes the list, and beside it what made it; returns what is in it, as text."""
    files = [scores_path(experiment.path, errors.model, fold) for fold in experiment.folds_of(errors.model)]
    record = {"model": errors.model, "rule": errors.rule, "notes": list(errors.notes)}
    with all_or_none(), new_file(out) as partial, new_file(out.with_suffix(".json")) as beside:
        write_errors(partial, errors)
        scores = {str(file): sha256(file) for file in files}
        write_json(beside, {**record, "scores": scores, **made_by(arguments)}, allow_nan=False)
    return f"{out}: {len(errors.images)} of the {len(errors.scores.image)} images that {errors.model} was tested on"


def _thresholds(
    experiment: Experiment, model: str, folds: tuple[int, ...]
) -> tuple[np.ndarray | None, str, tuple[str, ...]]:
    """(N, P) thresholds of the pooled images, the rule that all of them were chosen by, and what to know."""
    parts: list[np.ndarray] = []
    rules: set[str] = set()
    reasons: dict[str, list[int]] = {}
    for fold in folds:
        path = scores_path(experiment.path, model, fold).with_name("metrics.json")
        scores = experiment.scores[model, fold]
        found, rule, reason = thresholds_of(path, scores)
        if found is None:
            reasons.setdefault(reason, []).append(fold)
        else:
            parts.append(np.tile(found, (len(scores.image), 1)))
            rules.add(rule)
    if not parts and set(reasons) <= {NONE_CHOSEN}:
        return None, "", ()
    if reasons or len(rules) > 1:
        why = [f"{reason} (fold {', '.join(map(str, of))})" for reason, of in reasons.items()]
        why = why or [f"the folds' were chosen by different rules: {', '.join(sorted(rules))}"]
        return None, "", (f"Thresholds in metrics.json are not used: {'; '.join(why)}.",)
    return np.concatenate(parts), rules.pop(), ()


def thresholds_of(path: Path, scores: Scores) -> tuple[np.ndarray | None, str, str]:
    """(P,) thresholds, nan where a lesion has none, and their rule; None and why where they are not to be used."""
    if not path.exists():
        return None, "", NONE_CHOSEN
    figures = read_json(path, "make it again with tools/evaluate.py")
    record = figures.get("thresholds") if isinstance(figures, dict) else None
    if not isinstance(record, dict):
        return None, "", NONE_CHOSEN
    if record.get("chosen_on") != VALIDATION:
        return None, "", "they were chosen on the test images"
    if figures.get("calibration"):
        return None, "", "they are of calibrated probabilities, the scores are not calibrated"
    protocol = figures.get("protocol")
    if not isinstance(protocol, dict) or protocol.get("weights_sha256") != scores.protocol.get("weights_sha256"):
        return None, "", "they are of other weights"
    try:
        by_lesion: dict[str, Any] = figures[OF_HEAD["lesion"]]
        values = [by_lesion[name]["threshold"] for name in scores.lesion_names or []]
        return np.array([np.nan if value is None else float(value) for value in values]), str(record["rule"]), ""
    except (KeyError, OverflowError, TypeError, ValueError):
        raise InputError(f"{path}: not the metrics of its scores; make them again with tools/evaluate.py") from None
