"""What an import tells of the columns that it kept beside labels, and of the image files that are of no kept row."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from typing import Any, Mapping

from skinmtl.common.counting import counted
from skinmtl.data.nothing import Nothings
from skinmtl.importers.importing import Imported

FOLDERS_SHOWN = 5


def kept_columns(imported: Imported) -> dict[str, dict[str, Any]]:
    """Column of the manifest -> how many rows have a value there, and what it `tells`: of what tells no subgroups "".

    Those of the importer's `subgroups` come first, as far as the data set's tables have them.
    """
    rows = imported.manifest.rows
    names = list(dict.fromkeys(name for row in rows for name in row.others))
    subgroups = imported.importer.subgroups
    nothings = Nothings()
    return {
        name: {
            "rows": sum(not nothings.is_one(row.others.get(name, "")) for row in rows),
            "tells": subgroups.get(name, ""),
        }
        for name in sorted(names, key=lambda name: list(subgroups).index(name) if name in subgroups else len(subgroups))
    }


def kept_columns_text(imported: Imported) -> list[str]:
    """A line for the columns that tell subgroups, one for those that are not in the tables, one for the others."""
    columns, total = kept_columns(imported), len(imported.manifest.rows)
    told = [f"{name} ({of['tells']}; {of['rows']} of {total} rows)" for name, of in columns.items() if of["tells"]]
    absent = [f"{name} ({what})" for name, what in imported.importer.subgroups.items() if name not in columns]
    others = [f"{name} ({of['rows']} of {total} rows)" for name, of in columns.items() if not of["tells"]]
    lines = []
    if told:
        lines.append(f"columns kept for evaluate.py --subgroup-column: {', '.join(told)}")
    if absent:
        lines.append(f"columns for subgroups that the tables have not: {', '.join(absent)}")
    if others:
        lines.append(f"other columns kept: {', '.join(others)}")
    return lines


def unused_images(imported: Imported) -> dict[str, int]:
    """Folder below the images' root -> its image files that are of no kept row: neither its image, nor its mask, nor a
    copy of one; the folder with the most first."""
    images, masks = imported.images, imported.masks
    if images is None:
        return {}
    used = {row.image for row in imported.manifest.rows}
    used.update(name for same in images.copies.values() if same[0] in used for name in same)
    if masks is not None and masks.root == images.root:
        used.update(row.mask for row in imported.manifest.rows)
    folders = Counter(str(PurePosixPath(name).parent) for name in images.names() if name not in used)
    return dict(sorted(folders.items(), key=lambda item: (-item[1], item[0])))


def unused_images_text(folders: Mapping[str, int]) -> str:
    """How many of them there are, and where; "" where there are none."""
    if not folders:
        return ""
    shown = [f"{count} in {folder}" for folder, count in list(folders.items())[:FOLDERS_SHOWN]]
    more = len(folders) - len(shown)
    where = ", ".join([*shown, *([f"the others in {counted(more, 'more folder')}"] if more else [])])
    return f"image files of no kept row: {sum(folders.values())} ({where})"
