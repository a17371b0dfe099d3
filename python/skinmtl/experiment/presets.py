"""Presets: trunk, crop, scales, short side, BatchNorm, iterations, batch sizes and solver of each model."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from caffe_files.errors import InputError
from caffe_files.inputs import is_there
from skinmtl.common.yaml_file import read_yaml
from skinmtl.experiment.places import PRESETS, SHARED

NAMES = ("demo", "tiny", "resnet50", "what-helps", "mask-demo", "mask-resnet50")
NEEDS = ("weights", "gpu")
NAME = "[a-z][a-z0-9_]*"  # of a model or a variant: its folder, and a wildcard of the workflow
RESERVED = "ensemble|data|seed[0-9]+"  # folders of a fold that are no net's
NO_WEIGHTS = "none"  # of a variant that begins from scratch
# what a model or a variant may name, and where such files usually are
FILES = {
    "solver": "solvers/",
    "trunk_net": "a published net",
    "phases": "workflow/presets/",
    "weights": "pretrained weights",
}
OF_NETS = ("about", "usual_models", "needs", "models", "variants", "base")  # what is no setting as it stands
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
    `usual_models` are trained where none are named. `needs` is of NEEDS. `variants` are of the model `base`, by name,
    with what differs.
    """

    name: str
    about: str
    settings: dict[str, Any]
    models: dict[str, dict[str, str]]
    usual_models: tuple[str, ...]
    needs: tuple[str, ...]
    variants: dict[str, dict[str, str]] = field(default_factory=dict)
    base: str = ""


def read_preset(name: str) -> Preset:
    """One of NAMES, or a YAML file of that form."""
    path = PRESETS / f"{name}.yaml" if name in NAMES else Path(name)
    said = read_yaml(path, f"name one of {', '.join(NAMES)}, or a YAML file of your own")
    if not isinstance(said, dict) or not isinstance(said.get("models"), dict) or not said["models"]:
        raise InputError(f"{path}: has no models; see {PRESETS / 'tiny.yaml'}")
    wrong = sorted(NOT_OF_A_PRESET & set(said))
    if wrong:
        raise InputError(f"{path}: {wrong[0]} is no setting of a preset; take it out, skinmtl run has flags for such")
    settings = {key: value for key, value in said.items() if key not in OF_NETS}
    models = _nets(path, said["models"], "tiny.yaml")
    for model, of_model in models.items():
        if "solver" not in of_model:
            raise InputError(f"{path}: {model}: no solver; name a file of solvers/, or one beside the preset")
    variants = _nets(path, said.get("variants") or {}, "what-helps.yaml")
    _check_names(path, models, variants)
    base = str(said.get("base") or next(iter(models)))
    if variants and base not in models:
        raise InputError(f"{path}: base: {base} is none of its models, {', '.join(models)}; correct it")
    usual, needs = said.get("usual_models") or list(models), said.get("needs") or []
    if not (isinstance(usual, list) and isinstance(needs, list)):
        raise InputError(f"{path}: usual_models and needs are lists, such as [{next(iter(models))}]; correct it")
    usual, needs = tuple(map(str, usual)), tuple(map(str, needs))
    if not set(usual) <= set(models) or not set(needs) <= set(NEEDS):
        raise InputError(f"{path}: usual_models are names of models, needs are of {', '.join(NEEDS)}; correct it")
    return Preset(name, str(said.get("about", "")), settings, models, usual, needs, variants, base if variants else "")


def _check_names(path: Path, models: dict[str, Any], variants: dict[str, Any]) -> None:
    for what, names in (("models", models), ("variants", variants)):
        for name in names:
            if not re.fullmatch(NAME, name):
                raise InputError(
                    f"{path}: {what}: {name!r} is no name; name it with lower-case letters, digits and _, "
                    "a letter first"
                )
    taken = [name for name in variants if name in models or re.fullmatch(RESERVED, name)]
    if taken:
        raise InputError(f"{path}: variants: {taken[0]} means something else; name it otherwise")


def _nets(path: Path, said: Any, see: str) -> dict[str, dict[str, str]]:
    """The settings of each model or variant, with the files that it names."""
    if not isinstance(said, dict):
        raise InputError(f"{path}: variants has no settings; see {PRESETS / see}")
    wrong = sorted(str(name) for name, of_net in said.items() if not isinstance(of_net or {}, dict))
    if wrong:
        raise InputError(f"{path}: {wrong[0]} has no settings; see {PRESETS / see}")
    nets = {str(name): dict(of_net or {}) for name, of_net in said.items()}
    for name, of_net in nets.items():
        for what, usual in FILES.items():
            if what in of_net and not (what == "weights" and of_net[what] == NO_WEIGHTS):
                of_net[what] = str(_file(path, name, what, of_net[what], usual).resolve())
    return nets


def _file(preset: Path, model: str, what: str, named: Any, usual: str) -> Path:
    """A solver's file, one of phases or a published net: beside the preset, or of the project."""
    for folder in (preset.parent, SHARED):
        if named and is_there(folder / str(named)):
            return folder / str(named)
    raise InputError(f"{preset}: {model}: no {what} {named}; name a file of {usual}, or one beside the preset")
