"""The model card: README.md of a model folder, from what is known of the data, the training and the metrics."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Sequence

import jinja2
from google.protobuf.message import Message

from skinmtl.common.markdown import plain
from skinmtl.data.dataset import read_summary
from skinmtl.data.manifest import Manifest
from skinmtl.data.trained_on import TrainedOn
from skinmtl.explanation.novelty import Novelty, ordinal
from skinmtl.onnx_graphs.model import OPSET
from skinmtl.onnx_graphs.regions import OPSET as OPSET_OF_REGIONS
from skinmtl.pretrained.resnet50 import caffe_shapes
from skinmtl.publishing.guidelines import filled_items, open_items
from skinmtl.publishing.label_rows import label_rows, with_interval
from skinmtl.publishing.metrics_files import FIGURES, OF_REGIONS, Metrics
from skinmtl.publishing.model_folder import LABELS, OUTPUTS
from skinmtl.publishing.state_dict import is_resnet
from skinmtl.scores.calibration_file import Calibration

TEMPLATE = Path(__file__).with_name("card.md")


@dataclass(frozen=True)
class Facts:
    """What a card is made of; what is not known is None or empty. `files` are the sha256 by name."""

    record: dict[str, Any]
    labels: dict[str, list[str]]
    manifest: Manifest | None
    train_data: Path | None
    settings: dict[str, Any] | None
    metrics: Sequence[Metrics]
    licence: str | None
    net: Message
    files: dict[str, str]
    trained_on: TrainedOn | None = None
    class_names: list[str] = field(default_factory=list)
    started_from: Sequence[dict[str, Any]] = ()
    calibration: Calibration | None = None
    novelty: Novelty | None = None


def card(facts: Facts) -> str:
    """The card as Markdown."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(TEMPLATE.parent)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["plain"] = plain
    summary = None if facts.train_data is None else read_summary(facts.train_data)
    filled = filled_items(
        None if summary is None else summary["n_images"],
        summary is not None and _training(summary)["fold"] is not None,
        facts.metrics,
        facts.calibration,
        facts.novelty is not None,
    )
    figures = {**OF_REGIONS, **(FIGURES if facts.labels else {})} if "regions" in facts.record else FIGURES
    text = environment.get_template(TEMPLATE.name).render(
        record=facts.record,
        labels=facts.labels,
        class_names=facts.class_names,
        drawn=facts.record.get("regions"),
        trunk_net=(facts.record.get("made_for") or {}).get("trunk_net"),
        started_from=facts.started_from,
        label_files=LABELS,
        outputs=OUTPUTS,
        data=None if facts.manifest is None else _data(facts.manifest),
        training=None if summary is None else _training(summary),
        listed=_listed(facts.trained_on),
        counts=_counts(facts, summary),
        settings=facts.settings,
        metrics=[_row(one, figures) for one in facts.metrics],
        of_labels=label_rows(facts.metrics),
        calibration=facts.calibration,
        novelty=facts.novelty,
        nearest=None if facts.novelty is None else ordinal(facts.novelty.k),
        filled=filled,
        open_items=open_items(filled),
        tested=any(one.of_these_weights for one in facts.metrics),
        others=any(not one.of_these_weights for one in facts.metrics),
        intervals=_intervals(facts.metrics),
        titles=list(figures.values()),
        licence=facts.licence,
        files=facts.files,
        opset=OPSET_OF_REGIONS if "regions" in facts.record else OPSET,
        is_resnet=is_resnet(facts.net),
        is_resnet50=_is_resnet50(facts.net),
        stride_on_1x1=_stride_on_1x1(facts.net),
        pool1=_pool1(facts.net),
    )
    return re.sub(r"\n{3,}", "\n\n", text)


def _data(manifest: Manifest) -> dict[str, Any]:
    groups = {row.group for row in manifest.rows}
    return {"n_images": len(manifest.rows), "n_groups": len(groups)}


def _training(summary: dict[str, Any]) -> dict[str, Any]:
    made = summary.get("arguments") or {}
    fold = made.get("fold")
    return {
        "n_images": summary["n_images"],
        "n_records": summary["n_records"],
        "copies": summary["copies"],
        "short_side": summary["short_side"],
        "fold": fold,
        "manifest_sha256": summary.get("manifest_sha256"),
        "validation": made.get("validation") or 0,
    }


def _listed(trained_on: TrainedOn | None) -> dict[str, Any] | None:
    """How many images trained_on.json lists, and what is known of the weights that training began with."""
    if trained_on is None:
        return None
    return {**{role: len(images) for role, images in trained_on.images.items()}, "start": trained_on.start}


def _counts(facts: Facts, summary: dict[str, Any] | None) -> dict[str, list[Any]]:
    """By head, (name, number of training images); None where the number is not known."""
    of_training = summary or {}
    return {
        head: list(zip(names, of_training.get(f"images_per_{head}") or [None] * len(names)))
        for head, names in facts.labels.items()
    }


def _row(one: Metrics, figures: Sequence[str]) -> dict[str, Any]:
    cells = []
    for figure in figures:
        cell = with_interval(one.figures.get(figure), one.interval(figure), one.says_too_few)
        chance = one.figures.get(f"chance_{figure}")
        cells.append(cell if cell == "-" or chance is None else f"{cell}; by chance {chance:.3f}")
    subset = one.subset + "".join(f"; {mark}" for mark in (*one.marks, *one.calibrated))
    return {"subset": subset, "n_images": one.figures["n_images"], "cells": cells, "these": one.of_these_weights}


def _intervals(metrics: Sequence[Metrics]) -> dict[str, Any] | None:
    """How the first intervals were made."""
    return next((one.figures["bootstrap"] for one in metrics if one.figures.get("bootstrap")), None)


def _stride_on_1x1(net: Message) -> bool:
    """Whether a ResNet's blocks stride in their first convolution, as the published net does and torchvision's not."""
    return any(
        layer.name.endswith("branch2a") and list(layer.convolution_param.stride) == [2]
        for layer in net.layer
        if layer.type == "Convolution"
    )


def _pool1(net: Message) -> dict[str, Any] | None:
    """The first pooling as torch's MaxPool2d has it; None where it is torchvision's."""
    for layer in net.layer:
        if layer.name == "pool1":
            settings = layer.pooling_param
            rounds_up = settings.round_mode == settings.CEIL
            return {"padding": settings.pad, "rounds_up": rounds_up} if settings.pad != 1 or rounds_up else None
    return None


def _is_resnet50(net: Message) -> bool:
    """Whether the trunk has the layers of the published ResNet-50, with their numbers of channels."""
    shapes = {name: of_layer[0][0] for name, of_layer in caffe_shapes().items() if len(of_layer[0]) == 4}
    there = {layer.name: layer.convolution_param.num_output for layer in net.layer if layer.type == "Convolution"}
    return there == shapes
