"""What a tool has put into a folder that it made, written down there, so that only such a folder is ever replaced."""

from __future__ import annotations

import json
from pathlib import Path

from caffe_files.errors import InputError
from caffe_files.inputs import regular_file

LOCK_NAME = ".building"
MADE = ".made.json"
# what Snakemake and LMDB leave in a folder that others made
OF_OTHERS = {".snakemake_timestamp", "lock.mdb"}
REMEDY = "remove it or name another folder"


def note_contents(folder: Path) -> None:
    """Writes the names of all that is in a finished folder to a hidden file in it."""
    text = json.dumps({"files": sorted(_contents(folder))}, ensure_ascii=False, indent=1)
    (folder / MADE).write_text(text + "\n", encoding="utf-8")


def check_made(folder: Path) -> None:
    """InputError unless a tool has made the folder and nothing else is in it now."""
    if folder.is_symlink() or not folder.is_dir():
        raise InputError(f"{folder}: is there and is no folder; {REMEDY}")
    try:
        made = set(json.loads(regular_file(folder / MADE).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise InputError(
            f"{folder}: --overwrite replaces only what a tool has made, and nothing here says so; {REMEDY}"
        ) from None
    strange = sorted(_contents(folder) - made)
    if strange:
        raise InputError(f"{folder}: has {strange[0]!r}, which was not made with it; move it away first")


def _contents(folder: Path) -> set[str]:
    """All below the folder, relative to it; links are not followed."""
    ours = {MADE, LOCK_NAME}
    below = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.name not in OF_OTHERS}
    return below - ours
