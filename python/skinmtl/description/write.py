"""A data set described: a folder with a page, a text, numbers, tables, charts and contact sheets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caffe_files.outputs import new_folder
from skinmtl.common.json_file import write_json
from skinmtl.common.provenance import made_by, sha256
from skinmtl.data.folds import read_folds
from skinmtl.data.manifest import read_manifest
from skinmtl.description import charts
from skinmtl.description.description import Description
from skinmtl.description.file_summary import FileSummary, summarise
from skinmtl.description.files import look_at_files
from skinmtl.description.findings import findings
from skinmtl.description.labels import count_labels
from skinmtl.description.masks import summarise_masks
from skinmtl.description.near_names import near_names
from skinmtl.description.page import page, text
from skinmtl.description.sheets import sample, write_sheets
from skinmtl.description.tables import write_tables


@dataclass(frozen=True)
class Request:
    """What to describe: `images` and `folds` may be None, `per_sheet` 0."""

    manifest: Path
    images: Path | None
    folds: Path | None
    per_sheet: int
    seed: int
    workers: int
    group_column: str | None = None
    masks: Path | None = None


def describe(request: Request, out: Path, arguments: dict[str, Any]) -> Description:
    """Fills the new folder `out`; returns what it says.

    Files that cannot be used are described, not refused. InputError for everything else that is wrong.
    """
    manifest = read_manifest(request.manifest, request.group_column)
    fold_of = None if request.folds is None else read_folds(request.folds, manifest)
    with new_folder(out) as folder:  # first: a folder that is there is refused before the long work
        files, sheets = None, {}
        if request.images is not None:
            samples = sample(manifest, request.per_sheet, request.seed)
            shown = {n for of_labels in samples.values() for rows in of_labels for n in rows}
            facts = look_at_files(manifest, request.images, shown, request.workers, request.masks)
            files = summarise(manifest, facts, fold_of)
            if request.per_sheet:
                sheets = write_sheets(folder / "sheets", manifest, facts, samples)
        near = [pair for names in (manifest.lesion_names, manifest.location_names) for pair in near_names(names)]
        masks = None if request.images is None else summarise_masks(manifest, [one.mask for one in facts])
        description = Description(manifest, fold_of, count_labels(manifest, fold_of), near, files, sheets, masks)
        sizes = _write_charts(folder, description, files)
        write_tables(folder, description)
        provenance = made_by(arguments)
        provenance["inputs_sha256"] = {
            str(path): sha256(path) for path in (request.manifest, request.folds) if path is not None
        }
        record = {**provenance, "findings": findings(description), **description.as_json()}
        write_json(folder / "description.json", record)
        (folder / "description.txt").write_text(text(description), encoding="utf-8")
        (folder / "index.html").write_text(page(description, provenance, request.seed, sizes), encoding="utf-8")
    return description


def _write_charts(folder: Path, description: Description, files: FileSummary | None) -> dict[str, tuple[int, int]]:
    """File name -> the size to show it with."""
    labels = description.labels
    drawn = {
        "lesions.png": charts.label_bars(labels.lesions, "lesion"),
    }
    if labels.locations.names:
        drawn["locations.png"] = charts.label_bars(labels.locations, "location")
        drawn["lesion_by_location.png"] = charts.location_map(labels)
    if max(labels.lesions_per_image) > 1:
        drawn["lesion_by_lesion.png"] = charts.together_map(labels)
    if files is not None and len(files.usable):
        drawn["sizes.png"] = charts.size_histograms(files)
    return {name: charts.save_picture(figure, folder / name) for name, figure in drawn.items()}
