"""The report's folder: rebuilt as a whole beside the old one, which goes only where it is a report and nothing else."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from caffe_files.errors import InputError
from caffe_files.outputs import LOCK_NAME, disk_errors, new_folder
from skinmtl.common.json_file import read_json

RECORD = "report.json"
KIND = "skinmtl report"
NOT_THE_USERS = {LOCK_NAME, ".snakemake_timestamp"}  # what new_folder and Snakemake leave in a folder that they made


@contextmanager
def new_report(target: Path) -> Iterator[Path]:
    """Yields a folder to fill; it takes the place of `target` when the block ends well.

    The block must leave `report.json` there, with "kind" and "files" as `list_of_files` gives them.
    """
    target = Path(target)
    check_replaceable(target)
    ready = target.with_name(f".{target.name}.new")
    old = target.with_name(f".{target.name}.old")
    if old.exists() and not target.exists():  # a run was killed while it put the new one into place
        old.rename(target)
    for left_over in (ready, old):
        if left_over.exists():
            check_replaceable(left_over)
            shutil.rmtree(str(left_over))
    with new_folder(ready) as folder:
        yield folder
    try:
        check_replaceable(target)  # it may have been filled with something else meanwhile
        with disk_errors(target):
            if target.exists():
                target.rename(old)
            ready.rename(target)
    finally:
        if old.exists() and not target.exists():
            old.rename(target)
        shutil.rmtree(str(ready), ignore_errors=True)
        shutil.rmtree(str(old), ignore_errors=True)


def check_replaceable(target: Path) -> None:
    """InputError unless there is nothing at `target`, or a report whose every file is listed in its report.json."""
    if not (target.exists() or target.is_symlink()):
        return
    remedy = "remove it or name another folder"
    if target.is_symlink() or not target.is_dir():
        raise InputError(f"{target}: is there and is no folder; {remedy}")
    try:
        record = read_json(target / RECORD, "")
        listed = set(record["files"]) if record["kind"] == KIND else None
    except (InputError, KeyError, TypeError):
        listed = None
    if listed is None:
        raise InputError(f"{target}: is there and is no report of this tool; {remedy}")
    strange = sorted(set(list_of_files(target)) - listed)
    if strange:
        raise InputError(f"{target}: has {strange[0]!r}, which is no part of the report; move it away first")


def list_of_files(folder: Path) -> list[str]:
    """What is in a report's folder, report.json included; folders in it too, which a report has none of."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*")} - NOT_THE_USERS
    return sorted(found | {RECORD})
