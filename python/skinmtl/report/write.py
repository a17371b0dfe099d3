"""The report as a whole: every table and figure once, as files and on the page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import scipy

from caffe_files.errors import InputError
from caffe_files.outputs import check_free, new_folder
from skinmtl.common.json_file import write_json
from skinmtl.common.provenance import made_by, sha256
from skinmtl.data.correlation import correlation, strength
from skinmtl.data.manifest import Manifest
from skinmtl.report.attention_maps import read_maps
from skinmtl.report.comparison import compare_lesions, compare_locations, rank_correlation
from skinmtl.report.decisions import decisions
from skinmtl.report.draw import (
    draw_confusion,
    draw_correlation,
    draw_decisions,
    draw_gains,
    draw_locations,
    draw_precision_recall,
    rank_text,
    write_gains,
    write_locations,
    write_runs,
    write_table1,
)
from skinmtl.report.error_pages import ErrorPages
from skinmtl.report.errors import EACH, Errors, find_errors, write_above, write_errors
from skinmtl.report.experiment import LESION_MODELS, MTL, NO_VARIANTS, TITLES, Experiment, Variants, read_experiment
from skinmtl.report.page import Parts, page
from skinmtl.report.paper import PaperTable, read_paper_table
from skinmtl.report.runs import Run, flattened, photographs, resizing_text, runs, seen_text
from skinmtl.report.seeds import seed_tables, seeds_text, write_seeds
from skinmtl.report.table1 import Table1, as_text, table1
from skinmtl.report.what_helps import what_helps, what_helps_text, write_what_helps

FOLDS_LISTED = 10  # more of them are counted


@dataclass(frozen=True)
class Settings:
    """How the report is made: resamples and seed of all intervals, the paper's table, whether gaps are refused, and how
    many trainings of each model it is of, and which variants of one model are held against it.

    errors       images of a kind on the pages of errors, 0: no such pages
    images       the folder of the photographs, for these pages; None: they are without
    photographs  whether there may be any in the report, Figure 3's too
    """

    resamples: int
    seed: int
    paper_table: Path
    require_complete: bool
    seeds: int = 1
    variants: Variants = NO_VARIANTS
    errors: int = EACH
    images: Path | None = None
    photographs: bool = True


def write_report(path: Path, manifest: Manifest, out: Path, settings: Settings, arguments: dict[str, Any]) -> str:
    """Makes the report of the experiment in `path` as the folder `out`; returns Table 1 and what is missing, as text.

    InputError where the scores do not belong together or to the manifest, where `out` is there already, and, if so
    wanted, where scores are missing.
    """
    check_free(out, folder=True)
    paper = read_paper_table(settings.paper_table)
    experiment = read_experiment(path, manifest, variants=settings.variants)
    missing = missing_text(experiment)
    if missing and settings.require_complete:
        raise InputError(f"{path}: not complete: {'; '.join(missing)}; run what is missing, or leave the flag out")
    with new_folder(out) as folder:
        parts = _parts(experiment, paper, settings, folder, missing)
        provenance = {**made_by(arguments), "manifest_sha256": sha256(manifest.path)}
        provenance["versions"].update(matplotlib=matplotlib.__version__, scipy=scipy.__version__)
        if experiment.has_folds_csv:
            provenance["folds_sha256"] = sha256(experiment.path / "folds.csv")
        provenance["paper_table_sha256"] = sha256(settings.paper_table)
        if parts.errors is not None:
            _write_errors(experiment, parts.errors, parts.runs, settings, folder, provenance)
        (folder / "index.html").write_text(page(parts, provenance), encoding="utf-8")
        record = {"missing": missing, "seen": parts.seen, **provenance}
        write_json(folder / "report.json", record, allow_nan=False)
    lines = [] if parts.table is None else [as_text(parts.table), *parts.table_notes]
    lines += [] if parts.helps is None else what_helps_text(parts.helps)
    lines += [] if parts.seeds is None else seeds_text(parts.seeds)
    notes = [*(f"missing: {line}" for line in missing), *(f"note: {line}" for line in parts.seen)]
    return "\n".join([*lines, *notes])


def missing_text(experiment: Experiment) -> list[str]:
    """What the experiment should have and has not, a phrase a model."""
    lacking = [
        f"no scores of {model} on {_folds_text(folds, experiment.folds).replace('all', 'any of the')}"
        for model, folds in experiment.missing().items()
    ]
    if not experiment.has_folds_csv:
        lacking.append("no folds.csv: the folds are those that have scores, and their images cannot be checked")
    return lacking


def _folds_text(folds: tuple[int, ...], of: tuple[int, ...]) -> str:
    """Which folds, for the reader: "all 5 folds", "folds 0 and 2"."""
    if folds == of:
        return f"all {len(of)} folds" if len(of) > 1 else f"fold {of[0]}, the only one"
    listed = ", ".join(map(str, folds))
    all_of_them = f"folds {', '.join(map(str, of))}" if len(of) <= FOLDS_LISTED else f"{len(of)} folds"
    return f"fold{'s' if len(folds) > 1 else ''} {listed} (of {all_of_them})"


def _parts(experiment: Experiment, paper: PaperTable, settings: Settings, folder: Path, missing: list[str]) -> Parts:
    """Computes everything, writes its files into `folder`, and gathers what the page shows."""
    manifest = experiment.manifest
    figures: dict[str, str] = {}
    shares, strengths = correlation(manifest), strength(manifest)
    figures.update(draw_correlation(manifest, shares, strengths, folder))
    table = table1(experiment, paper)
    if table is not None:
        write_table1(table, folder)
        figures["precision_recall"] = draw_precision_recall(experiment, table, folder)
    of_calls = None if table is None else decisions(experiment, table)
    if of_calls is not None:
        figures["decision_curves"] = draw_decisions(of_calls, folder)
    lesions = compare_lesions(experiment, settings.resamples, settings.seed)
    rank = None
    if lesions is not None:
        gains = np.array([gain.gain.value for gain in lesions.lesions])
        rank = rank_correlation(strengths.corrected, gains, settings.resamples, settings.seed)
        write_gains(lesions, strengths.corrected, folder)
        figures.update(draw_gains(lesions, strengths.corrected, rank, folder))
    locations = compare_locations(experiment, settings.resamples, settings.seed)
    if locations is not None:
        write_locations(locations, folder)
        figures["locations"] = draw_locations(locations, folder)
    of_mtl = experiment.folds_of(MTL)
    if of_mtl:
        figures["confusion"] = draw_confusion(experiment, of_mtl, folder)
    figure3 = photographs(experiment.path / "figure3.png") if settings.photographs else None
    if figure3 is not None:
        figures["figure3"] = figure3
    maps = read_maps(experiment.path / "maps.json")
    if maps is not None:
        write_json(folder / "maps.json", maps, allow_nan=False)
    seeds = seed_tables(experiment, settings.seeds)
    if seeds is not None:
        write_seeds(seeds, folder)
    helps = what_helps(experiment, settings.resamples, settings.seed)
    if helps is not None:
        write_what_helps(helps, folder)
    found = runs(experiment, experiment.titles)
    write_runs(found, folder)
    return Parts(
        experiment=experiment,
        folds_text=lambda folds: _folds_text(folds, experiment.folds),
        missing=missing,
        seen=[*seen_text(found), *resizing_text(found)],
        table=table,
        table_notes=[] if table is None else _table_notes(experiment, table, paper),
        paper=paper,
        strengths=strengths,
        shares=shares,
        lesions=lesions,
        rank_text="" if rank is None else rank_text(rank),
        locations=locations,
        confusion_folds=of_mtl,
        figures=figures,
        decision_notes=[] if of_calls is None else of_calls.notes,
        maps=maps,
        photographs=settings.photographs,
        errors=find_errors(experiment, settings.errors) if settings.errors else None,
        seeds=seeds,
        helps=helps,
        runs=found,
        resamples=settings.resamples,
        seed=settings.seed,
    )


def _write_errors(
    experiment: Experiment,
    errors: Errors,
    found: list[Run],
    settings: Settings,
    folder: Path,
    provenance: dict[str, Any],
) -> None:
    """The pages of errors and their tables."""
    write_errors(folder / "errors.csv", errors)
    write_above(folder / "scored_above.csv", errors)
    of_model = {run.fold: run for run in found if run.model == errors.model}
    told = ("arguments.", "versions.skinmtl", "manifest")
    made = [line for line in flattened(provenance) if line[0].startswith(told)]
    images = settings.images if settings.photographs else None
    ErrorPages(folder, experiment, errors, images, made, of_model).write()


def _table_notes(experiment: Experiment, table: Table1, paper: PaperTable) -> list[str]:
    """What a reader must know to read Table 1 rightly."""
    notes = []
    if not table.comparable:
        each = "; ".join(f"{TITLES[m]}: {_folds_text(table.folds[m], experiment.folds)}" for m in table.models)
        notes.append(f"No fold has the scores of all models, so each has its own and no best is marked ({each}).")
    else:
        folds = table.folds[table.models[0]]
        notes.append(f"{table.n_images} images of {_folds_text(folds, experiment.folds)}.")
        notes.append(
            "Without looking: the AP to expect of images in random order, about the lesion's share of the images; for "
            "mAP-image, of each image's lesions in the order of how frequent they are."
        )
        left_out = [
            f"{TITLES[m]}: {', '.join(str(f) for f in experiment.folds_of(m) if f not in folds)}"
            for m in table.models
            if experiment.folds_of(m) != folds
        ]
        if left_out:
            notes.append(f"Only folds that all models here have; scored too, but left out: {'; '.join(left_out)}.")
    if not table.has_paper:
        notes.append(
            f"The paper's figures do not stand beside these: its table is of {len(paper.lesions)} lesions, of which "
            f"{len(table.namesakes)} are among the {len(experiment.manifest.lesion_names)} here, and how hard a lesion "
            "is to find depends on which others there are and on how frequent it is."
        )
    absent = [TITLES[model] for model in LESION_MODELS if model not in table.models]
    if absent and not experiment.variants.what:  # which compares one model's variants, and not the paper's models
        notes.append(f"No scores at all: {'; '.join(absent)}.")
    short = []
    for row in table.rows:
        fewest = min(cell.n_folds for cell in row.cells.values())
        of = max(len(folds) for folds in table.folds.values())
        if fewest < of:
            short.append(f"{row.name} ({fewest} of {of})")
    if short:
        notes.append(
            f"Some folds have no positive of these and no AP there; the mean is over the others: {', '.join(short)}."
        )
    return notes
