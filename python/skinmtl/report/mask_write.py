"""The report of an experiment with mask nets: the paper's studies of losses and tasks, curves and outlines."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Sequence

import matplotlib

from caffe_files.errors import InputError
from caffe_files.outputs import check_free, new_folder
from skinmtl.common.json_file import write_json
from skinmtl.common.provenance import made_by, sha256
from skinmtl.data.manifest import Manifest
from skinmtl.figures.class_curves import Ranked, class_curves_figure
from skinmtl.report.correlation import write_csv
from skinmtl.report.draw import save_and_inline, write_runs
from skinmtl.report.mask_experiment import (
    FULL,
    MASK_ALONE,
    MaskExperiment,
    read_mask_experiment,
    title_of,
)
from skinmtl.report.mask_page import MaskParts, as_text, mask_page
from skinmtl.report.outlines import Folders, pictures
from skinmtl.report.runs import resizing_text, runs, seen_text
from skinmtl.report.studies import FIGURES, Results, by_fold, results


class MaskSettings(NamedTuple):
    """Resamples and seed of all intervals, where the photographs are (None: no outlines), and whether gaps are
    refused."""

    resamples: int
    seed: int
    folders: Folders | None
    require_complete: bool


def write_mask_report(
    path: Path, manifest: Manifest, out: Path, settings: MaskSettings, arguments: dict[str, Any]
) -> str:
    """Makes the report of the experiment in `path` as the folder `out`; returns its main figures as text.

    InputError where the scores do not belong together or to the manifest, where `out` is there already, where a
    photograph or mask cannot be read and, if so wanted, where scores are missing.
    """
    check_free(out, folder=True)
    experiment = read_mask_experiment(path, manifest)
    missing = [
        f"no scores of {variant} on fold{'s' * (len(folds) > 1)} {', '.join(map(str, folds))}"
        for variant, folds in experiment.missing().items()
    ]
    if missing and settings.require_complete:
        raise InputError(f"{path}: not complete: {'; '.join(missing)}; run what is missing, or leave the flag out")
    with new_folder(out) as folder:
        found = results(experiment, settings.resamples, settings.seed)
        _write_tables(experiment, found, folder)
        figures = _curves(experiment, found, folder)
        shown = shown_variant(experiment)
        outlines = []
        if settings.folders is not None and shown is not None:
            outlines = pictures(experiment, shown, settings.folders)
            (folder / "outlines").mkdir()
            for number, picture in enumerate(outlines):
                (folder / "outlines" / f"{number:02d}_{picture.kind}.jpg").write_bytes(picture.jpeg)
        made = runs(experiment, {variant: title_of(variant) for variant in experiment.variants})
        write_runs(made, folder)
        provenance = {**made_by(arguments), "manifest_sha256": sha256(manifest.path)}
        provenance["versions"].update(matplotlib=matplotlib.__version__)
        if experiment.has_folds_csv:
            provenance["folds_sha256"] = sha256(experiment.path / "folds.csv")
        parts = MaskParts(
            experiment,
            found,
            missing,
            [*seen_text(made), *resizing_text(made)],
            figures,
            outlines,
            shown,
            made,
            settings.resamples,
            settings.seed,
        )
        (folder / "index.html").write_text(mask_page(parts, provenance), encoding="utf-8")
        write_json(folder / "report.json", {"missing": missing, "seen": parts.seen, **provenance}, allow_nan=False)
    notes = [*(f"missing: {line}" for line in missing), *(f"note: {line}" for line in parts.seen)]
    return "\n".join([as_text(found), *notes])


def shown_variant(experiment: MaskExperiment) -> str | None:
    """Whose outlines are shown: the full net's, else the first that has masks, else the first."""
    with_masks = [
        variant
        for variant in (FULL, MASK_ALONE, *experiment.variants)
        if any(name == variant and scores.mask_counts is not None for (name, _), scores in experiment.scores.items())
    ]
    return next(iter([*with_masks, *experiment.variants]), None)


def _write_tables(experiment: MaskExperiment, found: Results, folder: Path) -> None:
    """studies.csv: each difference with its interval; figures.csv: each variant's; folds.csv: of each fold."""
    header = ("study", "variant", "against", "figure", "difference", "low", "high", "images")
    lines = [
        (each.study, each.variant, each.against, name, *_digits(value.value, value.low, value.high), each.n_images)
        for each in found.comparisons
        for name, value in each.differences.items()
    ]
    write_csv(folder / "studies.csv", header, lines)
    lines = [
        (column.variant, name, *_digits(value.value, value.low, value.high), column.n_images)
        for column in found.columns
        for name, value in column.figures.items()
    ]
    write_csv(folder / "figures.csv", ("variant", "figure", "value", "low", "high", "images"), lines)
    write_csv(
        folder / "figures_folds.csv", ("variant", "fold", "images", *FIGURES), by_fold(experiment, found.positive)
    )


def _digits(*values: float) -> Sequence[str]:
    return ["" if value != value else f"{value:.6f}" for value in values]


def _curves(experiment: MaskExperiment, found: Results, folder: Path) -> dict[str, str]:
    """Of the positive class, or of each class where none is; variants without classes have no curve."""
    pooled = {variant: experiment.pooled(variant, experiment.folds_of(variant)) for variant in experiment.variants}
    with_classes = {variant: scores for variant, scores in pooled.items() if scores.class_scores is not None}
    names = next((scores.class_names for scores in with_classes.values()), None) or []
    figures = {}
    for number, name in enumerate(names):
        if found.positive not in (None, name):
            continue
        ranked = [
            Ranked(title_of(variant), scores.class_labels == number, scores.class_scores[:, number])
            for variant, scores in with_classes.items()
        ]
        figures[name] = save_and_inline(class_curves_figure(name, ranked), folder, f"curves_{number}")
    return figures
