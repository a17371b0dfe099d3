"""The workflow's configuration, from a preset and what the user asks for; and what differs from that of before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable

from caffe_files.errors import InputError
from caffe_files.outputs import disk_errors, new_file
from skinmtl.common.yaml_file import read_yaml
from skinmtl.data.folds import read_folds
from skinmtl.data.manifest import Manifest, read_manifest
from skinmtl.data.near_images import hint, near_file
from skinmtl.experiment.nets import SOLVERS, models_of, variants_of
from skinmtl.experiment.presets import Preset, read_preset
from skinmtl.experiment.request import Request
from skinmtl.nets.multi_task import MODELS

CONFIG = "config.yaml"
ABSENT = "not set"


@dataclass(frozen=True)
class Configuration:
    """`values` are the workflow's, all paths absolute; `folds` are those that are made, of `n_folds`; `notes` say what
    was decided for the user."""

    values: dict[str, Any]
    shown_out: Path  # as the user named it
    preset: Preset
    manifest: Manifest
    folds: tuple[int, ...]
    n_folds: int
    n_groups: int | None  # None: there are no groups
    notes: tuple[str, ...]

    @property
    def out(self) -> Path:
        return Path(self.values["out"])

    @property
    def seeds(self) -> int:
        """How often each model is trained."""
        return int(self.values.get("seeds", 1))

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(self.values["models"])

    @property
    def variants(self) -> tuple[str, ...]:
        """Those of one of the models."""
        return tuple(self.values.get("variants", ()))

    def solvers(self) -> dict[str, Path]:
        """The preset's solver of each model and variant that has one of its own, by the name of its copy."""
        nets = {**self.preset.models, **self.preset.variants}
        own = {name: nets[name].get("solver") for name in (*self.models, *self.variants)}
        return {name: Path(solver) for name, solver in own.items() if solver is not None}


def configure(request: Request, engine: str, python: Path) -> Configuration:
    """Checks what is given and reads nothing but small files; writes nothing. InputError names the fault."""
    manifest = read_manifest(request.manifest, request.group_column)
    _check_images(manifest, request.images)
    preset = read_preset(request.preset)
    groups = {row.group for row in manifest.rows}
    has_groups = manifest.without_group < len(manifest.rows)
    all_folds = _folds(request, manifest, len(groups), has_groups)
    watched = request.validation_fold
    folds = tuple(request.only_folds) or tuple(fold for fold in all_folds if fold != watched)
    if watched in folds:
        raise InputError(f"--validation-fold {watched}: is one of --only-fold, to be tested on; name another")
    unknown = [fold for fold in (*folds, *([] if watched is None else [watched])) if fold not in all_folds]
    if unknown:
        flag = "--validation-fold" if unknown[0] == watched else "--only-fold"
        raise InputError(f"{flag} {unknown[0]}: the folds are {', '.join(map(str, all_folds))}")
    models, notes = models_of(request, preset)
    variants, left_out = variants_of(request, preset, models)
    if not manifest.location_names and any(model in MODELS for model in models):
        raise InputError(
            f"{manifest.path}: no column 'location', which the experiment's nets and its report need; add it"
        )
    masked = [name for name, settings in models.items() if "model" in settings]
    if masked and request.seeds > 1:
        raise InputError(
            f"--seeds {request.seeds}: the report of nets that draw lesions, as {masked[0]}, is of one training each; "
            "leave it out"
        )
    if masked and variants:
        raise InputError(f"--preset {preset.name}: {masked[0]} draws lesions and has no variants; name them as models")
    if masked:
        _check_masks(manifest, request.masks or request.images, masked[0])
    elif request.masks:
        _check_held(manifest, request.masks, models)
    values = {
        "out": str(request.out.resolve()),
        "manifest": str(request.manifest.resolve()),
        "images": str(request.images.resolve()),
        **({} if request.masks is None else {"masks": str(request.masks.resolve())}),
        **({} if request.group_column is None else {"group_column": request.group_column}),
        "engine": engine,
        "precision": request.precision,
        "path": str(python),
        "gpu": request.gpu,
        "folds": request.folds if isinstance(request.folds, int) else str(request.folds.resolve()),
        "only_folds": list(request.only_folds),
        **({} if watched is None else {"validation_fold": watched}),
        "seed": request.seed,
        **({} if request.seeds == 1 else {"seeds": request.seeds}),
        **preset.settings,
        **({} if request.photographs else {"photographs": False}),
        **({} if request.weights_licence is None else {"weights_licence": request.weights_licence}),
        "models": models,
        **variants,
    }
    return Configuration(
        values,
        request.out,
        preset,
        manifest,
        folds,
        len(all_folds),
        len(groups) if has_groups else None,
        (*manifest.notes, *notes, *left_out),
    )


def _check_images(manifest: Manifest, images: Path) -> None:
    if not images.is_dir():
        raise InputError(f"{images}: no such folder; give the folder that the manifest's images are in")
    missing = [row for row in manifest.rows if not (images / row.image).is_file()]
    if missing:
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        near = hint(near_file(images, missing[0].image))
        raise InputError(
            f"{manifest.path}:{missing[0].line}: no file {images / missing[0].image}{more}{near}; mend the manifest, "
            "or give the folder that its images are in"
        )


def _check_masks(manifest: Manifest, masks: Path, model: str) -> None:
    """InputError where an image has no mask, or its file is not there: nets that draw lesions need all of them."""
    for fault, rows in (
        ("has no mask", [row for row in manifest.rows if not row.mask]),
        (f"its mask is not in {masks}", [row for row in manifest.rows if not (masks / row.mask).is_file()]),
    ):
        if rows:
            more = f", and {len(rows) - 1} more" if len(rows) > 1 else ""
            raise InputError(
                f"{manifest.path}:{rows[0].line}: {rows[0].image}: {fault}{more}; {model} needs one: complete the "
                "column mask, give the folder of the masks (--masks), or take these lines out"
            )


def _check_held(manifest: Manifest, masks: Path, models: Iterable[str]) -> None:
    """InputError where maps are to be held against masks and there are no maps or no masks, or a file is absent."""
    if "resnet50_mtl" not in models:
        raise InputError("--masks: these nets draw no lesions, and only resnet50_mtl's maps are held against masks")
    if not manifest.has_masks:
        raise InputError(f"{manifest.path}: names no mask; fill its column 'mask', or leave --masks out")
    absent = [row for row in manifest.rows if row.mask and not (masks / row.mask).is_file()]
    if absent:
        more = f", and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise InputError(
            f"{manifest.path}:{absent[0].line}: {absent[0].image}: its mask is not in {masks}{more}; give the folder "
            "of the masks, or leave --masks out"
        )


def _folds(request: Request, manifest: Manifest, n_groups: int, has_groups: bool) -> tuple[int, ...]:
    """The numbers of all folds."""
    if isinstance(request.folds, int):
        if n_groups < request.folds:
            what = "groups" if has_groups else "images"
            raise InputError(
                f"{manifest.path}: {n_groups} {what} cannot fill {request.folds} folds; give fewer --folds"
            )
        return tuple(range(request.folds))
    numbers = tuple(sorted(set(read_folds(request.folds, manifest).tolist())))
    if len(numbers) < 2:
        raise InputError(f"{request.folds}: one fold leaves nothing to train on; give two or more")
    return numbers


def differences(configuration: Configuration) -> list[str]:
    """What is set otherwise than when the experiment was last run in this folder, a line each."""
    path = configuration.out / CONFIG
    if not path.exists():
        return []
    before = read_yaml(path, "move it away, or name another folder")
    before = _flat(before) if isinstance(before, dict) else {}
    now = _flat(configuration.values)
    changed = [
        f"{name}: {before.get(name, ABSENT)} -> {now.get(name, ABSENT)}"
        for name in {**before, **now}
        if before.get(name, ABSENT) != now.get(name, ABSENT) and name != "path"
    ]
    for name, solver in configuration.solvers().items():
        copied = configuration.out / SOLVERS / f"{name}.prototxt"
        if copied.exists() and copied.read_bytes() != solver.read_bytes():
            changed.append(f"{'models' if name in configuration.models else 'variants'}.{name}.solver: another text")
    return changed


def _flat(values: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Nested names joined by dots, without what nothing follows from."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{above}{name}.") if name != "made_by" else {})
        else:
            flat[f"{above}{name}"] = value
    return flat


def write(configuration: Configuration, made_by: dict[str, Any]) -> None:
    """OUT/config.yaml and the solvers; a solver that is there already keeps its date, or all would be trained anew."""
    import yaml

    with disk_errors(configuration.out):
        (configuration.out / SOLVERS).mkdir(exist_ok=True)
        for name, solver in configuration.solvers().items():
            text = solver.read_bytes()
            copy = configuration.out / SOLVERS / f"{name}.prototxt"
            if not copy.exists() or copy.read_bytes() != text:
                with new_file(copy) as partial:
                    partial.write_bytes(text)
        with new_file(configuration.out / CONFIG) as partial:
            said = {**configuration.values, "made_by": made_by}
            partial.write_text(yaml.safe_dump(said, sort_keys=False, allow_unicode=True), encoding="utf-8")
