"""Which model a folder has: it is a model folder, a run of train.py, or an experiment of `skinmtl run`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from caffe_files.errors import InputError
from skinmtl.publishing.model_folder import RECORD

# what tells a run and an experiment, and where an experiment has its model folder
RUN_RECORD, EXPERIMENT_RECORD, OF_EXPERIMENT = "args.json", "config.yaml", "model"


class Found(NamedTuple):
    """The model's place, which is a run or a model folder; `line` says how it was found."""

    path: Path
    is_run: bool
    line: str


def find_model(folder: Path) -> Found | None:
    """The model of a folder; None where it is none of the three. InputError where an experiment has no model yet."""
    folder = Path(folder)
    if (folder / RECORD).is_file():
        return Found(folder, False, f"{folder}: taken as the model folder")
    if (folder / RUN_RECORD).is_file():
        return Found(folder, True, f"{folder}: taken as the training run whose last weights predict")
    if not (folder / EXPERIMENT_RECORD).is_file() or not (folder / "folds.csv").is_file():
        return None
    model = folder / OF_EXPERIMENT
    if not (model / RECORD).is_file():
        raise InputError(f"{folder}: an experiment without a model yet; the same skinmtl run goes on to make {model}")
    return Found(model, False, f"{folder}: taken as the experiment whose model is {model}")
