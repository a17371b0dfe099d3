"""The report's page: all numbers as the reader sees them, in one file that needs no other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterable

import numpy as np

from skinmtl.common.pages import rendered
from skinmtl.data.correlation import Strength
from skinmtl.report.attention_maps import shown_maps
from skinmtl.report.comparison import Gain, LesionComparison, LocationComparison, Measured
from skinmtl.report.draw import most_gain_first
from skinmtl.report.error_pages import summary
from skinmtl.report.errors import Errors
from skinmtl.report.experiment import ENSEMBLE, TITLES, Experiment
from skinmtl.report.paper import PaperTable
from skinmtl.report.runs import Run, flattened, without
from skinmtl.report.seeds import SeedTables, shown_seeds
from skinmtl.report.table1 import Table1, signed, three, with_deviation
from skinmtl.report.what_helps import WhatHelps, shown_what_helps
from skinmtl.scores.bootstrap import FEWEST


@dataclass(frozen=True)
class Parts:
    """What the page is made of; a part that the experiment has not is None. `figures` are data URIs by name."""

    experiment: Experiment
    folds_text: Callable[[tuple[int, ...]], str]
    missing: list[str]
    seen: list[str]
    table: Table1 | None
    table_notes: list[str]
    paper: PaperTable
    strengths: Strength
    shares: np.ndarray
    lesions: LesionComparison | None
    rank_text: str
    locations: LocationComparison | None
    confusion_folds: tuple[int, ...]
    figures: dict[str, str]
    decision_notes: list[str]
    maps: dict[str, Any] | None
    photographs: bool
    errors: Errors | None
    seeds: SeedTables | None
    helps: WhatHelps | None
    runs: list[Run]
    resamples: int
    seed: int


def page(parts: Parts, provenance: dict[str, Any]) -> str:
    """The page as HTML. All names are escaped."""
    manifest = parts.experiment.manifest
    with_image = parts.strengths.images > 0
    values = dict(
        parts=parts,
        titles=TITLES,
        n_images=len(manifest.rows),
        n_groups=len({row.group for row in manifest.rows}),
        without_group=manifest.without_group,
        n_lesions=len(manifest.lesion_names),
        n_locations=len(manifest.location_names),
        n_folds=len(parts.experiment.folds),
        table=_table(parts.table) if parts.table else None,
        namesakes=_namesakes(parts.table) if parts.table else [],
        gains=_gains(parts),
        too_few=any(each is not None and each.n_groups < FEWEST for each in (parts.lesions, parts.locations)),
        fewest=FEWEST,
        locations=_locations(parts.locations) if parts.locations else None,
        strengths=_strengths(parts),
        without_image=[name for name, seen in zip(manifest.lesion_names, with_image) if not seen],
        paper=_paper(parts.paper),
        curves=_curves(parts.runs),
        maps=None if parts.maps is None else shown_maps(parts.maps),
        errors=None if parts.errors is None else summary(parts.errors),
        seeds=None if parts.seeds is None else shown_seeds(parts.seeds),
        helps=None if parts.helps is None else shown_what_helps(parts.helps),
        without_curves=without(parts.runs, "curves"),
        without_arguments=without(parts.runs, "arguments"),
        runs=[run_row(run) for run in parts.runs],
        details=details(parts.runs),
        provenance=list(flattened(provenance)),
    )
    return rendered(Path(__file__).with_name("template.html"), values)


def with_interval(measured: Measured, form: Callable[[float], str] = three) -> str:
    """The value and its interval, for reading; in words where it has none."""
    ends = f"({measured.without})" if measured.without else interval_text(measured, form)
    return f"{form(measured.value)} {ends}".strip()


def interval_text(measured: Measured, form: Callable[[float], str] = three) -> str:
    """[low, high], or why there is no interval; nothing where there is no value."""
    if np.isnan(measured.low):
        return measured.without
    return f"[{form(measured.low)}, {form(measured.high)}]"


def _table(table: Table1) -> list[dict[str, Any]]:
    rows = []
    for row in table.rows:
        cells = []
        for model in table.models:
            cell = row.cells[model]
            cells.append((with_deviation(cell), model in row.best_mean))
            cells.append((three(cell.pooled), model in row.best_pooled))
            if table.has_paper:
                cells.append((three(cell.paper), None))
        chance = [three(value) for value in table.chance.get(row.name, ())]
        rows.append({"name": row.name, "positives": row.positives, "chance": chance, "cells": cells})
    return rows


def _namesakes(table: Table1) -> list[list[str]]:
    """Of the lesions that the paper has too, though not all are its: each model's pooled figure, and the paper's."""
    if table.has_paper:
        return []
    return [
        [row.name, *(three(value) for cell in row.cells.values() for value in (cell.pooled, cell.paper))]
        for row in table.rows
        if row.name in table.namesakes
    ]


def _gains(parts: Parts) -> list[dict[str, Any]]:
    if parts.lesions is None:
        return []
    bits_of = dict(zip(parts.experiment.manifest.lesion_names, parts.strengths.corrected))
    rows = [_gain(gain, bits_of[gain.name]) for gain in most_gain_first(parts.lesions.lesions)]
    return [*rows, *(_gain(gain, np.nan) for gain in (parts.lesions.map_class, parts.lesions.map_image))]


def _gain(gain: Gain, bits: float) -> dict[str, Any]:
    verdict = ""
    if gain.gain.excludes_zero:
        verdict = "MTL better" if gain.gain.value > 0 else "ResNet better"
    return {
        "name": gain.name,
        "positives": gain.positives,
        "chance": three(gain.chance),
        "resnet": three(gain.resnet),
        "mtl": three(gain.mtl),
        "gain": signed(gain.gain.value),
        "interval": interval_text(gain.gain, signed),
        "gain_and_interval": with_interval(gain.gain, signed),
        "verdict": verdict,
        "undefined": gain.undefined,
        "bits": "" if np.isnan(bits) else f"{bits:.3f}",
    }


def _locations(locations: LocationComparison) -> list[dict[str, Any]]:
    return [
        {
            "title": title,
            "chance": three(locations.chance[name]),
            "resnet_value": three(locations.resnet[name].value),
            "mtl_value": three(locations.mtl[name].value),
            "resnet": with_interval(locations.resnet[name]),
            "mtl": with_interval(locations.mtl[name]),
            "gain": with_interval(locations.gain[name], signed),
            "verdict": _verdict(locations.gain[name]),
        }
        for name, title in (("top1", "top-1"), ("top3", "top-3"))
    ]


def _verdict(gain: Measured) -> str:
    if np.isnan(gain.low):
        return gain.without
    return "excludes 0" if gain.excludes_zero else "includes 0"


def _strengths(parts: Parts) -> list[dict[str, Any]]:
    """Strongest first; lesions with no image last."""
    manifest, strengths = parts.experiment.manifest, parts.strengths
    order = np.argsort(np.where(np.isnan(strengths.corrected), np.inf, -strengths.corrected), kind="stable")
    rows = []
    for p in order.tolist():
        row = {"name": manifest.lesion_names[p], "images": int(strengths.images[p]), "most": "-", "share": "-"}
        if strengths.images[p]:
            most = int(parts.shares[p].argmax())
            row.update(most=manifest.location_names[most], share=f"{100 * parts.shares[p][most]:.0f} %")
        for name in ("divergence", "by_chance", "corrected"):
            row[name] = three(float(getattr(strengths, name)[p]))
        rows.append(row)
    return rows


def _paper(paper: PaperTable) -> list[dict[str, str]]:
    return [
        {
            "title": TITLES[model],
            "average": three(average),
            "map_class": three(paper.map_class[model]),
            "map_image": three(paper.map_image[model]),
        }
        for model, average in paper.averages().items()
    ]


def _curves(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Title of the model -> its runs that have curves."""
    by_model: dict[str, list[Run]] = {}
    for run in runs:
        if run.curves is not None:
            by_model.setdefault(run.title, []).append(run)
    return by_model


def run_row(run: Run) -> dict[str, Any]:
    given = [(name.split(".")[-1], value) for name, value in flattened(run.arguments or {}) if value != "null"]
    seeds = {value for name, value in given if name in ("seed", "random_seed")}
    return {
        "title": run.title,
        "fold": run.fold,
        "n_images": run.n_images,
        "iteration": run.iteration or "-",
        "rate": run.rate or "-",
        "seeds": ", ".join(sorted(seeds)) or "-",
        "weights": run.weights or ("of its two models" if run.model == ENSEMBLE else "-"),
        "scores": run.scores_sha256,
    }


def details(runs: Iterable[Run]) -> dict[str, list[tuple[str, str]]]:
    """Title of the model -> (what, value), one line where all folds agree, a line a fold where they do not."""
    by_model: dict[str, dict[str, dict[int, str]]] = {}
    folds: dict[str, list[int]] = {}
    for run in runs:
        folds.setdefault(run.title, []).append(run.fold)
        of_model = by_model.setdefault(run.title, {})
        for source, values in (("scores", run.protocol), ("run", run.arguments or {})):
            for name, value in flattened(values, source):
                of_model.setdefault(name, {})[run.fold] = value
    return {
        title: [
            line
            for name, by_fold in of_model.items()
            for line in (
                [(name, next(iter(by_fold.values())))]
                if len(by_fold) == len(folds[title]) and len(set(by_fold.values())) == 1
                else [(f"{name}, fold {fold}", value) for fold, value in by_fold.items()]
            )
        ]
        for title, of_model in by_model.items()
    }
