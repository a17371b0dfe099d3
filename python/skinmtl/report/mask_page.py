"""The page of an experiment with mask nets: all numbers as the reader sees them, in one file that needs no other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skinmtl.common.pages import rendered
from skinmtl.report.comparison import Measured
from skinmtl.report.mask_experiment import TITLES, MaskExperiment, title_of
from skinmtl.report.outlines import KINDS, Picture
from skinmtl.report.page import details, interval_text, run_row, with_interval
from skinmtl.report.runs import Run, flattened, without
from skinmtl.report.song2020 import NOTES, PUBLISHED
from skinmtl.report.studies import FIGURES, STUDIES, Comparison, Results
from skinmtl.report.table1 import signed, three
from skinmtl.scores.bootstrap import FEWEST

HEADLINE = ("class_auc", "class_ac", "mask_ja", "mask_di")  # of the end of a run and of the top of the page


@dataclass(frozen=True)
class MaskParts:
    """What the page is made of: `curves` are data URIs by class, `outlines` of the variant `shown`."""

    experiment: MaskExperiment
    results: Results
    missing: list[str]
    seen: list[str]
    curves: dict[str, str]
    outlines: list[Picture]
    shown: str | None
    runs: list[Run]
    resamples: int
    seed: int


def mask_page(parts: MaskParts, provenance: dict[str, Any]) -> str:
    """The page as HTML. All names are escaped."""
    manifest, found = parts.experiment.manifest, parts.results
    values = dict(
        parts=parts,
        n_images=len(manifest.rows),
        n_groups=found.n_groups,
        fewest=FEWEST,
        without_group=manifest.without_group,
        classes=manifest.lesion_names,
        folds=parts.experiment.folds,
        positive=found.positive,
        columns=[(title_of(column.variant), column.n_images) for column in found.columns],
        figures=_figures(found),
        published=[
            (each.what, [(FIGURES[name], three(value)) for name, value in each.figures.items()]) for each in PUBLISHED
        ],
        published_notes=NOTES,
        studies=[
            {"title": study.title, "name": study.name, "comparisons": [_comparison(each) for each in of]}
            for study in STUDIES
            for of in [[each for each in found.comparisons if each.study == study.name]]
        ],
        outlines=[
            (kind, [each for each in parts.outlines if each.kind == kind])
            for kind in KINDS
            if any(each.kind == kind for each in parts.outlines)
        ],
        shown="" if parts.shown is None else title_of(parts.shown),
        curves=[run for run in parts.runs if run.curves is not None],
        without_curves=without(parts.runs, "curves"),
        runs=[run_row(run) for run in parts.runs],
        details=details(parts.runs),
        provenance=list(flattened(provenance)),
        three=three,
    )
    return rendered(Path(__file__).with_name("mask_template.html"), values)


def as_text(found: Results) -> str:
    """The main figures of each variant, a line each, for the screen."""
    names = [name for name in HEADLINE if any(name in column.figures for column in found.columns)]
    rows = [["", *(FIGURES[name] for name in names)]]
    for column in found.columns:
        cells = (with_interval(column.figures[name]) if name in column.figures else "-" for name in names)
        rows.append([column.variant, *cells])
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def _figures(found: Results) -> list[dict[str, Any]]:
    """A row a figure that any variant has; the best value of each is marked."""
    rows = []
    for name, title in FIGURES.items():
        of = [column.figures.get(name) for column in found.columns]
        there = [each.value for each in of if each is not None and each.value == each.value]
        if not there:
            continue
        best = max(there) if len(there) > 1 else None
        cells = [("-" if each is None else with_interval(each), each is not None and each.value == best) for each in of]
        rows.append({"title": title, "cells": cells})
    return rows


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "title": comparison.title,
        "n_images": comparison.n_images,
        "rows": [
            {
                "title": FIGURES[name],
                "difference": signed(value.value),
                "interval": interval_text(value, signed),
                "verdict": _verdict(value, comparison),
            }
            for name, value in comparison.differences.items()
        ],
    }


def _verdict(value: Measured, comparison: Comparison) -> str:
    if not value.excludes_zero:
        return ""
    better = comparison.variant if value.value > 0 else comparison.against
    return f"{TITLES.get(better, better)} higher"
