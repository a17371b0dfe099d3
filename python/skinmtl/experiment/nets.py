"""The nets of an experiment: which of a preset's models and variants, each with its solver and its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from caffe_files.errors import InputError
from skinmtl.common.json_file import read_json
from skinmtl.experiment.presets import NO_WEIGHTS, Preset
from skinmtl.experiment.request import Request
from skinmtl.pretrained.net_check import Preprocessing

ALEXNET = "alexnet_lesion"  # the one net that does not start from a ResNet's weights
SOLVERS = "solvers"  # in the output folder: what the user changes there has no part in another experiment


def models_of(request: Request, preset: Preset) -> tuple[dict[str, dict[str, str]], list[str]]:
    """The models' settings in the order of the preset, each with its weights; and what was left out."""
    for model in [*(request.models or ()), *(name for name, _ in request.weights if name)]:
        if model not in preset.models:
            raise InputError(f"--preset {preset.name}: has no model {model}; it has {', '.join(preset.models)}")
    if request.weights and "weights" not in preset.needs:
        raise InputError(f"--weights: the nets of --preset {preset.name} start from scratch; give --preset resnet50")
    wanted = request.models or preset.usual_models
    weights = _weights(request, preset)
    models, notes = {}, []
    for model, settings in preset.models.items():
        if model not in wanted:
            continue
        file = weights.get(model)
        if file is None and "weights" in preset.needs:
            if request.models or not weights:
                raise InputError(
                    f"--preset {preset.name}: {model} starts from pretrained weights; give --weights FILE"
                    f"{_of_which(preset)}"
                )
            notes.append(f"{model} is left out: it has no weights (--weights {model}=FILE)")
            continue
        models[model] = {**settings, "solver": solver_of(request, model)}
        if file is not None:
            models[model]["weights"] = str(file.resolve())
            if "trunk_net" not in settings:
                models[model]["net"] = f"{settings.get('net', '')} {_flags_for(file)}".strip()
    return models, notes


def _of_which(preset: Preset) -> str:
    """Which file, of the nets that the preset has."""
    if ALEXNET not in preset.models:
        return " (skinmtl fetch-weights gets one)"
    return f" for the ResNets (skinmtl fetch-weights gets them), --weights {ALEXNET}=FILE for AlexNet"


def _weights(request: Request, preset: Preset) -> dict[str, Path]:
    """Model -> its file; one without a name is for each ResNet of the preset."""
    found: dict[str, Path] = {}
    for model, file in sorted(request.weights, key=lambda each: each[0] is not None):  # a name has the last word
        if not file.is_file():
            raise InputError(
                f"{file}: no such file; give a caffemodel (skinmtl fetch-weights, skinmtl convert-weights)"
            )
        if model:
            found[model] = file
        else:
            found.update((name, file) for name in preset.models if name != ALEXNET)
    return found


def _flags_for(weights: Path) -> str:
    """The flags of the net that converted weights belong in, as convert_weights.py wrote them down beside."""
    record = weights.with_name(weights.name + ".json")
    if not record.exists():
        return ""
    net = read_json(record, "convert the weights again").get("net")
    try:
        return Preprocessing(**net).flags if net else ""
    except (ValueError, TypeError):
        raise InputError(f"{record}: cannot be read as what convert-weights wrote; convert the weights again") from None


def variants_of(
    request: Request, preset: Preset, models: dict[str, dict[str, str]]
) -> tuple[dict[str, Any], list[str]]:
    """The workflow's settings of the variants, where there are any, and what was left out."""
    for name in request.variants or ():
        if name not in preset.variants:
            there = f"it has {', '.join(preset.variants)}" if preset.variants else "it has none"
            raise InputError(f"--preset {preset.name}: has no variant {name}; {there}")
    wanted = {name: of for name, of in preset.variants.items() if request.variants is None or name in request.variants}
    if not wanted:
        return {}, []
    if preset.base not in models:
        if request.variants:
            raise InputError(f"--variants: they are of {preset.base}, which is not trained; name it in --models too")
        return {}, [f"the variants are left out: {preset.base}, which they are of, is not trained"]
    found = {}
    for name, settings in wanted.items():
        found[name] = dict(settings)
        if "solver" in settings:
            found[name]["solver"] = solver_of(request, name)
        if settings.get("weights") == NO_WEIGHTS and "weights" not in models[preset.base]:
            raise InputError(f"--preset {preset.name}: {name}: {preset.base} starts from scratch already; take it out")
    return {"base": preset.base, "variants": found}, []


def solver_of(request: Request, name: str) -> str:
    """Where the solver of a model or variant is copied to."""
    return str(request.out.resolve() / SOLVERS / f"{name}.prototxt")
