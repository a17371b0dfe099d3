"""The description as a page and as plain text."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any, Iterable

from skinmtl.common.counting import counted
from skinmtl.common.pages import rendered
from skinmtl.description.description import Description
from skinmtl.description.file_sections import file_sections
from skinmtl.description.files import TILE
from skinmtl.description.findings import findings
from skinmtl.description.label_sections import label_sections
from skinmtl.description.sections import Section, Table, shortened, width
from skinmtl.description.sheets import Tile, sheet_width

NOT_LOOKED_AT = "The image files were not looked at: no --images."


def page(
    description: Description, provenance: dict[str, Any], sheet_seed: int, sizes: dict[str, tuple[int, int]]
) -> str:
    """HTML. All names are escaped; the pictures are beside it, `sizes` are those that the charts are shown with."""
    values = dict(
        summary=summary(description),
        manifest=description.manifest.path,
        findings=findings(description),
        not_looked_at=NOT_LOOKED_AT if description.files is None else "",
        sections=_sections(description),
        sheets=_sheets(description),
        sheet_seed=sheet_seed,
        tile=TILE,
        sizes=sizes,
        provenance=provenance,
    )
    return rendered(Path(__file__).with_name("template.html"), values, {"shortened": shortened})


def text(description: Description) -> str:
    """The same facts for a terminal; names that are very wide lose their middle."""
    lines = [*short_text(description), ""]
    for section in _sections(description):
        lines += [section.title, "=" * len(section.title), *section.notes]
        for table in section.tables:
            lines += ["", f"{table.caption}:", *_plain_table(table), *([table.note] if table.note else [])]
        lines.append("")
    return "\n".join(lines)


def short_text(description: Description) -> list[str]:
    """What the data set is, and what to look at first, a line each."""
    found = findings(description)
    lines = [summary(description), *([NOT_LOOKED_AT] if description.files is None else [])]
    return [*lines, *(f"- {each}" for each in found or ["nothing that needs a look before training"])]


def summary(description: Description) -> str:
    """One sentence."""
    labels = description.labels
    parts = [
        *(counted(labels.n_images, "image"), counted(labels.n_groups, "group")),
        *(counted(len(labels.lesions.names), "lesion"), counted(len(labels.locations.names), "body location")),
    ]
    if labels.folds is not None:
        parts.append(counted(len(labels.folds.numbers), "fold"))
    return ", ".join(parts)


def _sections(description: Description) -> list[Section]:
    return [*label_sections(description), *file_sections(description)]


def _sheets(description: Description) -> list[dict[str, Any]]:
    labels = {"lesion": description.labels.lesions, "location": description.labels.locations}
    return [
        {
            "key": f"{kind}-{n}",
            "kind": kind,
            "name": labels[kind].names[n],
            "file": f"sheets/{sheet.file}",
            "width": sheet_width(len(sheet.tiles)),
            "tallest": max(tile.height for tile in sheet.tiles),
            "tiles": [_tile(description, tile) for tile in sheet.tiles],
            "of": int(labels[kind].images[n]),
        }
        for kind, of_labels in description.sheets.items()
        for n, sheet in enumerate(of_labels)
        if sheet.file
    ]


def _tile(description: Description, tile: Tile) -> dict[str, Any]:
    """Where the picture lies, and what stands below it: its name, its group if it has one, why it cannot be used."""
    row = description.manifest.rows[tile.row]
    group = "" if row.group == row.image else row.group
    kind = "" if description.files is None else description.files.facts[tile.row].kind
    return {**tile._asdict(), "image": row.image, "name": PurePosixPath(row.image).name, "group": group, "kind": kind}


def _plain_table(table: Table) -> Iterable[str]:
    rows = [[shortened(cell) for cell in row] for row in (table.columns, *table.rows)]
    widths = [max(map(width, column)) for column in zip(*rows)]
    for row in rows:
        cells = [
            cell + " " * (room - width(cell)) if n in table.text else " " * (room - width(cell)) + cell
            for n, (cell, room) in enumerate(zip(row, widths))
        ]
        yield "  " + "  ".join(cells).rstrip()
