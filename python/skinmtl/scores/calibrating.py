"""A calibration of saved scores, and what it does to the images that it is fitted on: what calibrate.py writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from caffe_files.outputs import new_file
from skinmtl.common.json_file import write_json
from skinmtl.common.provenance import made_by
from skinmtl.scores.calibration import log_loss, logits
from skinmtl.scores.calibration_file import Calibration, calibrated, fit
from skinmtl.scores.chosen_thresholds import TEST, VALIDATION
from skinmtl.scores.label_figures import Head, head_of, label_figures
from skinmtl.scores.scores_file import read_scores
from skinmtl.scores.tables import as_number, columns


def calibrate(path: Path, scaling: str, out: Path, arguments: dict[str, Any]) -> str:
    """Writes the calibration of the scores in `path`; returns what to tell: before and after, and what to mind."""
    scores = read_scores(path)
    calibration = fit(path, scores, scaling)
    after = calibrated(path, scores, out, calibration)
    figures = {
        name: {"before": _figures(head_of(scores, name), head.kind), "after": _figures(head_of(after, name), head.kind)}
        for name, head in calibration.heads.items()
    }
    record = {**calibration.record(), "images": list(calibration.images), "figures": figures, **made_by(arguments)}
    with new_file(out) as partial:
        write_json(partial, record, allow_nan=False)
    return "\n".join([f"{out}: fitted on {calibration.n_images} {_of(calibration)}", *_table(calibration, figures)])


def _figures(head: Head, kind: str) -> dict[str, float | None]:
    """The log loss of all images, the means of Brier score and ECE over the labels that have one."""
    by_label = label_figures(head).values()
    means = {}
    for name in ("brier", "ece"):
        values = [figures[name] for figures in by_label if figures[name] is not None]
        means[name] = float(np.mean(values)) if values else None
    return {"log_loss": log_loss(logits(head.scores, kind), head.labels, kind), **means}


def _of(calibration: Calibration) -> str:
    return "images, the test images" if calibration.fitted_on == TEST else calibration.fitted_on


def _table(calibration: Calibration, figures: dict[str, Any]) -> list[str]:
    rows = [["head", "log loss", "Brier", "ECE", "calibrated: log loss", "Brier", "ECE", ""]]
    for name, head in calibration.heads.items():
        cells = [as_number(value) for when in ("before", "after") for value in figures[name][when].values()]
        rows.append([f"{name}, {head.kind}", *cells, head.words()])
    lines = [*columns(rows), "of the images that it was fitted on; evaluate.py --calibration has those of others"]
    if calibration.fitted_on == TEST:
        lines.append(
            "note: these are the test images: figures of them calibrated are too good, and export.py refuses it"
        )
    elif calibration.fitted_on != VALIDATION:
        lines.append("note: nothing says that these are validation images; score them with --subset validation")
    return lines
