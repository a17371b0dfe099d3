"""Folders as a data set's download leaves them, with small real JPEGs, and what came of importing one."""

from __future__ import annotations

import json

import cv2
import numpy as np

from skinmtl.importers.importing import import_dataset
from skinmtl.importers.registry import importers
from skinmtl.importers.report import write_import


def jpeg(number):
    """A small image, another one for each number."""
    pixels = np.full((12, 16, 3), 40, np.uint8)
    pixels[:, : 1 + number % 15] = (number * 37 % 256, number * 11 % 256, 200)
    return cv2.imencode(".jpg", pixels)[1].tobytes() + number.to_bytes(4, "big")


def download(folder, tables, images=()):
    """Writes the tables (name -> text, or bytes as they are) and an image of its own bytes under each name."""
    for name, text in tables.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    for number, name in enumerate(images):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(number))
    return folder


def import_folder(name, folder, options=None, **arguments):
    """Imports in this process; the counts must add up."""
    imported = import_dataset(importers()[name], folder, options, **arguments)
    assert imported.rows_read == len(imported.manifest.rows) + len(imported.dropped)
    return imported


def kept(imported):
    return [(row.image, ";".join(row.lesions), row.location, row.group) for row in imported.manifest.rows]


def dropped(imported):
    return [(row.line, row.image, row.reason, row.detail) for row in imported.dropped]


def written_reasons(folder):
    """What import.json says of the rows: read, kept, and dropped by reason."""
    report = json.loads((folder / "import.json").read_text(encoding="utf-8"))
    assert report["rows_read"] == report["rows_kept"] + sum(report["dropped"].values())
    return report["rows_read"], report["rows_kept"], report["dropped"]


def report_text(imported, out):
    """import.md of an import."""
    write_import(imported, out, {})
    return (out / "import.md").read_text(encoding="utf-8")
