"""Presets: trunk, crop, scales, short side, BatchNorm, iterations, batch sizes and solver of each model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caffe_files.errors import InputError
from caffe_files.inputs import is_there
from skinmtl.common.yaml_file import read_yaml
from skinmtl.experiment.places import PRESETS, SHARED

NAMES = ("demo", "tiny", "resnet50", "mask-demo", "mask-resnet50")
NEEDS = ("weights", "gpu")
# what a preset may not set, since it is about one data set or one machine
NOT_OF_A_PRESET = {
    "out",
    "manifest",
    "images",
    "masks",
    "group_column",
    "engine",
    "path",
    "image",
    "gpu",
    "only_folds",
    "validation_fold",
    "made_by",
}


@dataclass(frozen=True)
class Preset:
    """What a preset says.

    `settings` are of the workflow's configuration, without the models, whose settings are `models`, by name. The
    `usual_models` are trained where none are named. `needs` is of NEEDS.
    """

    name: str
    about: str
    settings: dict[str, Any]
    models: dict[str, dict[str, str]]
    usual_models: tuple[str, ...]
    needs: tuple[str, ...]


def read_preset(name: str) -> Preset:
    """One of NAMES, or a YAML file of that form."""
    path = PRESETS / f"{name}.yaml" if name in NAMES else Path(name)
    said = read_yaml(path, f"name one of {', '.join(NAMES)}, or a file that is correct")
    if not isinstance(said, dict) or not isinstance(said.get("models"), dict) or not said["models"]:
        raise InputError(f"{path}: has no models; see {PRESETS / 'tiny.yaml'}")
    wrong = sorted(NOT_OF_A_PRESET & set(said))
    if wrong:
        raise InputError(f"{path}: {wrong[0]} is no setting of a preset; take it out, skinmtl run has flags for such")
    settings = {key: value for key, value in said.items() if key not in ("about", "usual_models", "needs", "models")}
    wrong = sorted(str(model) for model, of_model in said["models"].items() if not isinstance(of_model or {}, dict))
    if wrong:
        raise InputError(f"{path}: {wrong[0]} has no settings; see {PRESETS / 'tiny.yaml'}")
    models = {str(model): dict(of_model or {}) for model, of_model in said["models"].items()}
    for model, of_model in models.items():
        of_model["solver"] = str(_file(path, model, "solver", of_model.get("solver"), "solvers/"))
        if "trunk_net" in of_model:
            named = _file(path, model, "trunk_net", of_model["trunk_net"], "a published net")
            of_model["trunk_net"] = str(named.resolve())
        if "phases" in of_model:
            of_model["phases"] = str(_file(path, model, "phases", of_model["phases"], "workflow/presets/").resolve())
    usual, needs = said.get("usual_models") or list(models), said.get("needs") or []
    if not (isinstance(usual, list) and isinstance(needs, list)):
        raise InputError(f"{path}: usual_models and needs are lists, such as [{next(iter(models))}]; correct it")
    usual, needs = tuple(map(str, usual)), tuple(map(str, needs))
    if not set(usual) <= set(models) or not set(needs) <= set(NEEDS):
        raise InputError(f"{path}: usual_models are names of models, needs are of {', '.join(NEEDS)}; correct it")
    return Preset(name, str(said.get("about", "")), settings, models, usual, needs)


def _file(preset: Path, model: str, what: str, named: Any, usual: str) -> Path:
    """A solver's file, one of phases or a published net: beside the preset, or of the project."""
    for folder in (preset.parent, SHARED):
        if named and is_there(folder / str(named)):
            return folder / str(named)
    raise InputError(f"{preset}: {model}: no {what} {named}; name a file of {usual}, or one beside the preset")
