"""A trained snapshot as a model folder, with ONNX and a torch state dict in it where they are wanted."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Sequence

import numpy as np

from caffe_files.errors import InputError
from caffe_files.outputs import new_folder
from caffe_files.prototxt import read_net
from skinmtl.common.json_file import write_json
from skinmtl.common.libraries import import_or_refuse
from skinmtl.common.provenance import made_by, sha256
from skinmtl.data.manifest import Manifest, read_manifest
from skinmtl.data.trained_on import FILE as TRAINED_ON
from skinmtl.data.trained_on import TrainedOn
from skinmtl.engines.engine import Engine
from skinmtl.engines.snapshot import Snapshot, checked_snapshot, mean_of, short_side_of
from skinmtl.explanation.novelty import Novelty
from skinmtl.explanation.novelty_file import write_novelty
from skinmtl.images.image_size import MAX_PIXELS
from skinmtl.nets.net_record import read_net_record
from skinmtl.publishing.calibrations import CALIBRATION, chosen_calibration
from skinmtl.publishing.card import Facts, card
from skinmtl.publishing.converting import converted, libraries_for
from skinmtl.publishing.metrics_files import Metrics, read_metrics, setting_of
from skinmtl.publishing.model_folder import (
    CARD,
    CLASSES,
    DEPLOY,
    FORMAT,
    FORMAT_OF_REGIONS,
    LABELS,
    LARGEST_MEAN,
    OUTPUTS,
    RECORD,
    WEIGHTS,
    region_record,
    write_labels,
)
from skinmtl.publishing.novelties import NOVELTY, chosen_novelty
from skinmtl.publishing.trained_names import class_names_of, label_names
from skinmtl.scores.calibration_file import Calibration
from skinmtl.scores.crops import CROPS
from skinmtl.scores.mask_net import MaskNet, check_shapes, mask_net_of
from skinmtl.training.trained_images import of_net
from skinmtl.training.trained_net import TrainedNet


@dataclass(frozen=True)
class Request:
    """What the user asks for. `mean` and `short_side` None: as the net was trained and tested with.

    `state_dict` is "pth", "safetensors" or None.
    """

    source: TrainedNet
    name: str | None
    mean: tuple[float, ...] | None
    short_side: int | None
    manifest: Path | None
    metrics: Sequence[Path]
    licence: str | None
    onnx: bool
    state_dict: str | None
    engine: Engine
    group_column: str | None = None
    allow_trained: bool = False
    calibration: Path | None = None
    novelty: Path | None = None


def export(request: Request, out: Path, arguments: dict[str, Any]) -> list[str]:
    """Writes the new folder `out`; returns what to tell, a line each: what is in it, and what was checked."""
    source = request.source
    with new_folder(out) as folder:  # what takes no time is refused before the net is built
        for library in libraries_for(request.onnx, request.state_dict):
            import_or_refuse(library)
        manifest = None if request.manifest is None else read_manifest(request.manifest, request.group_column)
        metrics = read_metrics(request.metrics, source.weights, request.allow_trained)
        snapshot = checked_snapshot(source.deploy, source.weights, request.engine)
        labels = label_names(source, snapshot, manifest)
        drawn = mask_net_of(source.deploy)
        if drawn is None:
            record, class_names = _record(request, snapshot, labels, metrics), []
        else:
            class_names = class_names_of(source, drawn, manifest) if drawn.has_class else []
            record = _record_of_regions(request, snapshot, labels, drawn)
        shutil.copyfile(str(source.deploy), str(folder / DEPLOY))
        shutil.copyfile(str(source.weights), str(folder / WEIGHTS))
        for head, names in labels.items():
            write_labels(folder / LABELS[head], names)
        calibration = chosen_calibration(request.calibration, source, labels, record)
        if calibration is not None:
            write_json(folder / CALIBRATION, calibration.record(), allow_nan=False)
        novelty = chosen_novelty(request.novelty, snapshot, record)
        if novelty is not None:
            write_novelty(folder / NOVELTY, novelty)
        if class_names:
            write_labels(folder / CLASSES, class_names)
        trained_on = of_net(source)
        listed = None if trained_on is None else trained_on.for_publishing()
        if listed is not None:
            (folder / TRAINED_ON).write_text(listed.text(), encoding="utf-8")
        told = (
            converted(request.onnx, request.state_dict, snapshot, labels, class_names, record, folder)
            if request.onnx or request.state_dict
            else []
        )
        sums = {path.name: sha256(path) for path in sorted(folder.iterdir()) if not path.name.startswith(".")}
        (folder / f"{WEIGHTS}.sha256").write_text(f"{sums[WEIGHTS]}  {WEIGHTS}\n", encoding="utf-8")
        facts = _facts(
            request, snapshot, manifest, metrics, record, labels, sums, listed, class_names, calibration, novelty
        )
        (folder / CARD).write_text(card(facts), encoding="utf-8")
        record.update(sha256=sums, inputs_sha256=_inputs(request), **made_by(_without_folders(arguments)))
        write_json(folder / RECORD, record, allow_nan=False)
    counts = [f"{len(names)} {head}s" for head, names in labels.items()]
    if drawn is not None:
        classes = [f"{len(class_names)} classes"] if class_names else []
        counts = [" and ".join(drawn.heads), *classes, *counts]
    return [f"{out}: {record['name']}, {', '.join(counts)}", *told, *_lacking(request, metrics, listed)]


def _record_of_regions(
    request: Request, snapshot: Snapshot, labels: dict[str, list[str]], drawn: MaskNet
) -> dict[str, Any]:
    """The record of a net that draws lesions: the whole image goes into one square."""
    if request.short_side:
        raise InputError(f"--short-side: {snapshot.deploy} takes the whole image in a square; leave the flag out")
    check_shapes(drawn, snapshot)
    mean, side = request.mean or mean_of(request.source.deploy), snapshot.side
    mean_words = " ".join(f"{value:.7g}" for value in mean)
    return {
        **_of_net(request, snapshot, labels, mean),
        "format": FORMAT_OF_REGIONS,
        "regions": region_record(drawn, side),
        "short_side": side,
        "crops": 1,
        "input": f"data, 1 x 3 x {side} x {side} float32: channels B, G, R of 0 to 255 less the mean {mean_words}, of "
        "the whole image with zeros around it before the mean is subtracted; window, 1 x 4 float32: x1, y1, x2, y2 of "
        "the image in the square",
    }


def _record(
    request: Request, snapshot: Snapshot, labels: dict[str, list[str]], metrics: Sequence[Metrics]
) -> dict[str, Any]:
    mean = request.mean or mean_of(request.source.deploy)
    tested = {name: setting_of(metrics, name) for name in ("short_side", "mean")}
    short_side = request.short_side or tested["short_side"] or short_side_of(request.source.deploy)
    if tested["short_side"] not in (None, short_side):
        raise InputError(
            f"--short-side {short_side}: the metrics are of {tested['short_side']}; leave the flag out, or the metrics"
        )
    if tested["mean"] is not None and not np.allclose(tested["mean"], mean, rtol=1e-6):
        raise InputError(f"--mean: {list(mean)}, the metrics are of {tested['mean']}; give those of one test")
    if short_side < snapshot.side:
        raise InputError(f"{snapshot.deploy}: takes {snapshot.side} pixels; give a --short-side of at least that")
    if short_side**2 > MAX_PIXELS:
        raise InputError(f"--short-side {short_side}: no image could be resized to that; give a smaller one")
    mean_words = " ".join(f"{value:.7g}" for value in mean)
    return {
        **_of_net(request, snapshot, labels, mean),
        "format": FORMAT,
        "short_side": short_side,
        "crops": CROPS,
        "input": f"data, N x 3 x {snapshot.side} x {snapshot.side} float32: channels B, G, R of 0 to 255 less the mean "
        f"{mean_words}; squares cut from an image whose shorter side was resized to {short_side}",
    }


def _of_net(
    request: Request, snapshot: Snapshot, labels: dict[str, list[str]], mean: Sequence[float]
) -> dict[str, Any]:
    """What the record has of every net."""
    if not all(abs(value) <= LARGEST_MEAN for value in mean):
        raise InputError(f"{snapshot.deploy}: a mean of {list(mean)} is not one of pixels; give another --mean")
    net = read_net(snapshot.deploy).name
    name = request.name or net
    if not name.isprintable() or not name.strip():
        raise InputError(f"{snapshot.deploy}: its net's name is {net!r}; give another --name")
    made_for = read_net_record(snapshot.deploy.parent)
    return {
        "name": name,
        "net": net,
        "mean": list(mean),
        "crop": snapshot.side,
        "outputs": {OUTPUTS[head]: len(names) for head, names in labels.items()},
        "started_from": list(request.source.started_from),
        "made_for": made_for and {name: value for name, value in asdict(made_for).items() if name != "names"},
    }


def _facts(
    request: Request,
    snapshot: Snapshot,
    manifest: Manifest | None,
    metrics: Sequence[Metrics],
    record: dict[str, Any],
    labels: dict[str, list[str]],
    sums: dict[str, str],
    listed: TrainedOn | None,
    class_names: list[str],
    calibration: Calibration | None,
    novelty: Novelty | None,
) -> Facts:
    return Facts(
        record=record,
        labels=labels,
        manifest=manifest,
        train_data=request.source.train_data,
        settings=request.source.settings,
        metrics=metrics,
        licence=request.licence,
        net=read_net(snapshot.deploy),
        files=sums,
        trained_on=listed,
        class_names=class_names,
        started_from=request.source.started_from,
        calibration=calibration,
        novelty=novelty,
    )


def _inputs(request: Request) -> list[dict[str, str]]:
    """The name and sha256 of what went in beside net and weights."""
    paths = [*request.metrics, *(each for each in (request.manifest, request.calibration, request.novelty) if each)]
    if request.source.train_data:
        paths.append(request.source.train_data / "dataset.json")
    return [{"file": path.name, "sha256": sha256(path)} for path in paths]


def _without_folders(arguments: dict[str, Any]) -> dict[str, Any]:
    """Paths cut to their names: the folder is for others, and the name of a folder may be a patient's."""

    def cut(value: Any) -> Any:
        if isinstance(value, list):
            return [cut(each) for each in value]
        return value.name if isinstance(value, Path) else value

    return {name: cut(value) for name, value in arguments.items()}


def _lacking(request: Request, metrics: Sequence[Metrics], listed: TrainedOn | None) -> list[str]:
    lines = [f"{CARD}: says of {one.path}: {mark}" for one in metrics for mark in one.marks]
    for one in metrics:
        if one.of_these_weights and bool(one.calibrated) != (request.calibration is not None):
            of, remedy = ("calibrated", "export.py") if one.calibrated else ("uncalibrated", "evaluate.py")
            lines.append(f"{CARD}: has figures of {of} probabilities, of {one.path}; give {remedy} --calibration too")
    if not any(one.of_these_weights for one in metrics):
        lines.append(f"{CARD}: has no metrics of these weights; give evaluate.py's --json file as --metrics")
    if request.source.train_data is None and request.manifest is None:
        lines.append(f"{CARD}: does not say what data it was trained on; give --train-data or --manifest")
    if listed is None:
        lines.append(
            f"no {TRAINED_ON}: the contents of its training images are not recorded, so predict.py cannot know them"
        )
    if request.licence is None:
        lines.append(f"{CARD}: names no licence; give --licence")
    return lines
