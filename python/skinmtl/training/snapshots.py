"""Snapshots of a run: Caffe's two files and, written last, the record that makes them whole.

Caffe writes in place: a killed process leaves half a file under its full name. So a snapshot counts only where its
record is there, which holds size and sha256 of both files and all that Caffe's own files do not: the plateau's state,
the position in the data, the losses since the last row of the log.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caffe_files.errors import InputError
from caffe_files.outputs import new_file
from caffe_files.prototxt import read_net
from skinmtl.common.json_file import read_json, write_json
from skinmtl.common.provenance import sha256

MODEL, STATE, RECORD = ".caffemodel", ".solverstate", ".json"
NAME = re.compile(r".*_iter_(\d+)\.(?:caffemodel|solverstate|json)")
LONGEST = 200  # bytes of a net's name: a file's has 255


@dataclass(frozen=True)
class Snapshot:
    """A whole snapshot: `stem` is its path without the suffixes, `record` what stands in its record."""

    stem: Path
    iteration: int
    record: dict[str, Any]

    @property
    def model(self) -> Path:
        """The caffemodel."""
        return _with(self.stem, MODEL)

    @property
    def state(self) -> Path:
        """The solverstate."""
        return _with(self.stem, STATE)


def prefix_of(net: Path, folder: Path) -> Path:
    """What the paths of a net's snapshots in `folder` begin with: Caffe adds _iter_N and the suffixes.

    InputError where the net's name would lead out of the folder, or is no name of a file.
    """
    name = read_net(net).name
    is_name = name.isprintable() and len(name.encode("utf-8")) <= LONGEST
    if not is_name or "/" in name or name in ("", ".", ".."):
        raise InputError(f"{net}: its name is {name!r}, by which no snapshot can be called; give it another")
    return folder / name


def write_record(stem: Path, iteration: int, record: dict[str, Any]) -> Snapshot:
    """Makes the files of `stem`, which Caffe has just written, a whole snapshot."""
    files = {}
    for suffix in (MODEL, STATE):
        path = _with(stem, suffix)
        to_disk(path)
        files[suffix] = {"size": path.stat().st_size, "sha256": sha256(path)}
    record = {**record, "iteration": iteration, "files": files}
    with new_file(_with(stem, RECORD)) as partial:
        write_json(partial, record)
        to_disk(partial)
    return Snapshot(stem, iteration, record)


def last_whole(folder: Path) -> tuple[Snapshot | None, list[Path]]:
    """The newest whole snapshot, and the records of newer ones that are not whole."""
    broken = []
    records = [path for path in folder.glob(f"*{RECORD}") if NAME.fullmatch(path.name)]
    for path in sorted(records, key=_iteration, reverse=True):
        snapshot = _whole(path)
        if snapshot:
            return snapshot, broken
        broken.append(path)
    return None, broken


def whole_at(folder: Path, iteration: int) -> Snapshot | None:
    """The snapshot of that iteration, if it is there and whole."""
    records = [path for path in _files(folder) if path.suffix == RECORD and _iteration(path) == iteration]
    return _whole(records[0]) if records else None


def remove_after(folder: Path, iteration: int) -> None:
    """Removes what stands there of later iterations: files without a record, or a broken snapshot."""
    for path in _files(folder):
        if _iteration(path) > iteration:
            path.unlink()


def prune(folder: Path, keep: int) -> None:
    """Removes all but the newest `keep` whole snapshots, the record first."""
    iterations = sorted({_iteration(path) for path in folder.glob(f"*{RECORD}") if NAME.fullmatch(path.name)})
    for iteration in iterations[:-keep]:
        old = [path for path in _files(folder) if _iteration(path) == iteration]
        for path in sorted(old, key=lambda path: path.suffix != RECORD):
            path.unlink()


def to_disk(path: Path) -> None:
    """Returns when the file would survive a power cut: an older snapshot may be removed only then."""
    handle = os.open(str(path), os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _whole(path: Path) -> Snapshot | None:
    stem = path.with_name(path.name[: -len(RECORD)])
    try:
        record = read_json(path, "")
        for suffix, expected in record["files"].items():
            file = _with(stem, suffix)
            if file.stat().st_size != expected["size"] or sha256(file) != expected["sha256"]:
                return None
        return Snapshot(stem, int(record["iteration"]), record)
    except (InputError, OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if NAME.fullmatch(path.name)] if folder.is_dir() else []


def _iteration(path: Path) -> int:
    return int(NAME.fullmatch(path.name).group(1))


def _with(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix)
