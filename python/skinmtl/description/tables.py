"""The description's tables for other programs: a line a label, a pair, a problem, a duplicate, an image."""

from __future__ import annotations

from pathlib import Path

from skinmtl.data.table import write_csv
from skinmtl.description.description import Description
from skinmtl.description.file_summary import FileSummary
from skinmtl.description.labels import LabelCounts

LABEL_COLUMNS = ("kind", "name", "images", "groups", "alone")
IMAGE_COLUMNS = (
    *("line", "image", "bytes", "sha256", "format", "width", "height", "colours", "bits", "exif_orientation", "blank"),
    *("kind", "problem"),
)
PROBLEM_COLUMNS = ("line", "image", "kind", "problem")
MASK_COLUMNS = ("line", "image", "mask", "share_of_the_image", "lesions", "kinds", "problem")
DUPLICATE_COLUMNS = ("set", "line", "image", "lesions", "location", "group", "fold", "same_labels", "same_group")


def write_tables(folder: Path, description: Description) -> None:
    """labels.csv, lesion_by_lesion.csv, lesion_by_location.csv; with files also images.csv, problems.csv and
    duplicates.csv, which are empty but for their header where there is none; with masks also masks.csv."""
    labels = description.labels
    folds = () if labels.folds is None else labels.folds.numbers
    header = [*LABEL_COLUMNS, *(f"fold {number}" for number in folds)]
    write_csv(folder / "labels.csv", header, [*_lines("lesion", labels.lesions), *_lines("location", labels.locations)])
    for name, matrix, columns in (
        ("lesion_by_lesion", labels.together, labels.lesions.names),
        ("lesion_by_location", labels.at_location, labels.locations.names),
    ):
        records = [[lesion, *counts] for lesion, counts in zip(labels.lesions.names, matrix.tolist())]
        write_csv(folder / f"{name}.csv", ["lesion", *columns], records)
    if description.files is not None:
        _write_files(folder, description, description.files)


def _lines(kind: str, counts: LabelCounts) -> list[list[object]]:
    folds = [[]] * len(counts.names) if counts.folds is None else counts.folds.tolist()
    return [
        [kind, name, int(counts.images[n]), int(counts.groups[n]), int(counts.alone[n]), *folds[n]]
        for n, name in enumerate(counts.names)
    ]


def _write_files(folder: Path, description: Description, files: FileSummary) -> None:
    rows = description.manifest.rows
    images = []
    for row, one in zip(rows, files.facts):
        header = one.header
        about = [header.format, one.width or "", one.height or "", header.colours, header.bits or "", header.turned]
        if one.n_bytes == 0:
            about = [""] * len(about)
        images.append(
            [row.line, row.image, one.n_bytes, one.sha256, *about, int(one.blank), one.kind, one.problem],
        )
    write_csv(folder / "images.csv", IMAGE_COLUMNS, images)
    problems = [[rows[n].line, rows[n].image, files.facts[n].kind, files.facts[n].problem] for n in files.problems]
    write_csv(folder / "problems.csv", PROBLEM_COLUMNS, problems)
    duplicates = [
        [
            *(number, rows[n].line, rows[n].image, ";".join(rows[n].lesions), rows[n].location, rows[n].group),
            "" if description.fold_of is None else int(description.fold_of[n]),
            *(int(one.same_labels), int(one.same_group)),
        ]
        for number, one in enumerate(files.duplicates, 1)
        for n in one.rows
    ]
    write_csv(folder / "duplicates.csv", DUPLICATE_COLUMNS, duplicates)
    if description.masks is not None:
        masks = [
            [rows[n].line, rows[n].image, rows[n].mask, one.share, one.n_components, "; ".join(one.kinds), one.problem]
            for n, one in description.masks.facts.items()
        ]
        write_csv(folder / "masks.csv", MASK_COLUMNS, masks)
