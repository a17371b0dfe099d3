"""What made each score file: its protocol, and the training run beside it."""

from __future__ import annotations

import base64
import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Mapping

from caffe_files.errors import InputError
from caffe_files.inputs import regular_file
from skinmtl.common.json_file import read_json
from skinmtl.common.provenance import sha256
from skinmtl.data.seen import marks
from skinmtl.images.image_file import ImageError, decode, encode_jpeg, read
from skinmtl.report.experiment import ENSEMBLE, TITLES, Experiment, scores_path
from skinmtl.report.mask_experiment import MaskExperiment
from skinmtl.scores.pairing import unlike_resizing

QUALITY = 88  # of photographs on the page, our choice: no more is seen beside the PNG
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Run:
    """One model on one fold.

    seen       what to know of its images: which the net has seen in its training, see `data.seen.marks`
    weights    sha256 of the snapshot, where the scores say so
    protocol   how the scores were made, from the scores file
    arguments  what args.json of the training run holds; None where there is none that can be read
    iteration  and
    rate       of the last line of log.csv, as written there
    curves     the PNG of the training curves as a data URI
    """

    model: str
    title: str
    fold: int
    n_images: int
    scores_sha256: str
    seen: list[str]
    weights: str | None
    protocol: dict[str, Any]
    arguments: Any | None
    iteration: str | None
    rate: str | None
    curves: str | None


def runs(experiment: Experiment | MaskExperiment, titles: Mapping[str, str] = TITLES) -> list[Run]:
    """A run for every score file of the models (model -> its title), in their order."""
    return [
        _run(experiment, model, title, fold)
        for model, title in titles.items()
        for fold in experiment.folds
        if (model, fold) in experiment.scores
    ]


def picture(path: Path) -> str | None:
    """A PNG as a data URI; None where there is none, or where the file is no PNG."""
    try:
        data = regular_file(path).read_bytes()
    except OSError:
        return None
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii") if data.startswith(PNG) else None


def photographs(path: Path) -> str | None:
    """The same of a PNG of photographs, as a JPEG of a fifth of its bytes; None too where it cannot be decoded."""
    if picture(path) is None:
        return None
    try:
        jpeg = encode_jpeg(decode(read(path)), QUALITY)
    except ImageError:
        return None
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def without(found: list[Run], part: str) -> list[str]:
    """The trained runs that have no `part`, as "MODEL, fold K"."""
    return [f"{run.model}, fold {run.fold}" for run in found if run.model != ENSEMBLE and getattr(run, part) is None]


def seen_text(found: list[Run]) -> list[str]:
    """What to know of the images that were scored, a line each with the models and folds that it is true of."""
    trained = [run for run in found if run.model != ENSEMBLE] or found  # an ensemble's are those of its models
    of_mark: dict[str, dict[str, list[str]]] = {}
    for run in trained:
        for mark in run.seen:
            of_mark.setdefault(mark, {}).setdefault(run.model, []).append(str(run.fold))
    lines = []
    for mark, models in of_mark.items():
        where = (f"{model}, fold{'s' * (len(folds) > 1)} {', '.join(folds)}" for model, folds in models.items())
        lines.append(f"{mark} ({'; '.join(where)})")
    return lines


def resizing_text(found: list[Run]) -> list[str]:
    """Where the images of some runs were resized by another rule than those of others, a line."""
    line = unlike_resizing([(f"{run.title} of fold {run.fold}", run.protocol) for run in found])
    return [f"{line}; score them again with one version of this package"] if line else []


def flattened(values: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(name, value) of a JSON object, nested names joined by a dot; lists stand on one line."""
    if isinstance(values, dict):
        for name, value in values.items():
            yield from flattened(value, f"{prefix}.{name}" if prefix else str(name))
    else:
        text = values if isinstance(values, str) else json.dumps(values, ensure_ascii=False)
        yield prefix or "value", text


def _run(experiment: Experiment | MaskExperiment, model: str, title: str, fold: int) -> Run:
    scores, file = experiment.scores[model, fold], scores_path(experiment.path, model, fold)
    folder = file.parent / "run"
    weights = scores.protocol.get("weights_sha256")
    last = _last_line(folder / "log.csv")
    return Run(
        model=model,
        title=title,
        fold=fold,
        n_images=len(scores.image),
        scores_sha256=sha256(file),
        seen=marks(scores.protocol),
        weights=weights if isinstance(weights, str) else None,
        protocol=scores.protocol,
        arguments=_json(folder / "args.json"),
        iteration=last.get("iteration"),
        rate=last.get("lr"),
        curves=picture(folder / "curves.png"),
    )


def _json(path: Path) -> Any | None:
    try:
        return read_json(path, "")
    except InputError:
        return None


def _last_line(path: Path) -> dict[str, str]:
    """Column -> value of a CSV's last line; empty where there is none. A cut line has fewer columns."""
    last: dict[str, str] = {}
    try:
        with open(str(regular_file(path)), encoding="utf-8", newline="") as file:
            for record in csv.DictReader(file):
                last = {name: value for name, value in record.items() if name and isinstance(value, str)}
    except (OSError, UnicodeDecodeError, csv.Error):
        return {}
    return last
