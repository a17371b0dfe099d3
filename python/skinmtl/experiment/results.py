"""The main figures of an experiment, for the end of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from caffe_files.errors import InputError
from skinmtl.common.json_file import read_json

OF_LABELS = {"map_class": "mAP-class", "map_image": "mAP-image", "location_top1": "location top-1"}
OF_REGIONS = {"class_auc": "class AUC", "class_ac": "class AC", "mask_ja": "mask JA", "mask_di": "mask DI"}


def figures_table(out: Path, folds: tuple[int, ...], scored: tuple[str, ...], seeds: int = 1) -> list[str]:
    """A line a model: each figure's mean over the folds, and over the seeds, where there are several, with that of
    chance behind it. Of figures of labels and of regions those are shown that some model has."""
    places = ["", *(f"seed{number}" for number in range(2, seeds + 1))]  # of the trainings, below the fold
    by_model = {
        model: [_metrics(out / f"fold{fold}" / place / model / "metrics.json") for place in places for fold in folds]
        for model in scored
    }
    by_model = {model: there for model, there in by_model.items() if all(there)}
    shown: dict[str, str] = {}
    for figures in (OF_LABELS, OF_REGIONS):
        if any(metrics.get(name) is not None for of in by_model.values() for metrics in of for name in figures):
            shown.update(figures)
    over = "mean over folds" if len(folds) > 1 else f"fold {folds[0]}"
    over += f" and {seeds} seeds" if seeds > 1 and len(folds) > 1 else f", mean over {seeds} seeds" if seeds > 1 else ""
    lines = [[over, *shown.values()]]
    for model, there in by_model.items():
        cells = [model]
        for name in shown:
            value, chance = (_mean([metrics.get(key) for metrics in there]) for key in (name, f"chance_{name}"))
            cells.append(
                "-" if value is None else f"{value:.3f}" + ("" if chance is None else f" (chance {chance:.3f})")
            )
        lines.append(cells)
    widths = [max(map(len, column)) for column in zip(*lines)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]


def _metrics(path: Path) -> dict[str, Any]:
    try:
        return read_json(path, "")
    except InputError:
        return {}


def _mean(values: list[Any]) -> float | None:
    there = [value for value in values if type(value) in (int, float)]
    return sum(there) / len(there) if there else None
