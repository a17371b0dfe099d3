"""Rows of numbers that are kept as they are made, so that a stopped run goes on where it was."""

from __future__ import annotations

import fcntl
import json
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Iterator

import numpy as np

from caffe_files.errors import InputError
from caffe_files.inputs import own_file
from caffe_files.outputs import disk_errors
from skinmtl.common.json_file import json_value


class ResumableRows:
    """The rows made so far, (width,) float32 each, in `done`; `append` keeps one more."""

    def __init__(self, file: IO[bytes], done: list[np.ndarray], start: int) -> None:
        self.done = done
        self._file, self._start = file, start

    def keep_first(self, count: int) -> None:
        """Drops the rows from `count` on: what belongs to them is not there any more."""
        if count < len(self.done):
            self._file.truncate(self._start + sum(row.nbytes for row in self.done[:count]))
            del self.done[count:]

    def append(self, row: np.ndarray) -> None:
        """Adds a row (width,) and hands it to the system, which keeps it if this process is killed."""
        self._file.write(row.astype(np.float32).tobytes())
        self._file.flush()
        self.done.append(row)


@contextmanager
def resumable_rows(target: Path, made_from: dict[str, Any], items: list[Any], width: int) -> Iterator[ResumableRows]:
    """Keeps rows in a file beside `target` until the block ends well: one row for each of `items`, in their order.

    `made_from` says what all rows come from, an item what its own row comes from. Of a stopped run those rows are used
    that came from the same things, up to the first item that is another now.
    """
    path = target.with_name(f".{target.name}.progress")
    header = {"made_from": made_from, "items": items}
    with disk_errors(target):
        if target.exists() and not target.is_file():
            raise InputError(f"{target}: is there and is no file; name another place")
        path.parent.mkdir(parents=True, exist_ok=True)
    with disk_errors(target), open(str(own_file(path)), "a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"{target}: another run is making it; wait for it, or name another file") from None
        file.seek(0)
        kept = _usable_rows(file.readline(), file.read(), header, width)
        file.truncate(0)
        line = json.dumps(header).encode() + b"\n"
        file.write(line + kept.tobytes())
        file.flush()
        yield ResumableRows(file, list(kept), len(line))
        path.unlink()


def _usable_rows(old_header: bytes, data: bytes, header: dict[str, Any], width: int) -> np.ndarray:
    """(n, width) float32; a killed run may have left a part of a row, or of the header."""
    old = json_value(old_header.decode("utf-8", errors="replace"))
    now = json.loads(json.dumps(header))  # as it reads back: tuples are lists
    same = 0
    is_whole = isinstance(old, dict) and isinstance(old.get("items"), list)
    if is_whole and old.get("made_from") == now["made_from"]:
        pairs = enumerate(zip(old["items"], now["items"]))
        same = next((n for n, (a, b) in pairs if a != b), min(len(old["items"]), len(now["items"])))
    n_rows = min(len(data) // (4 * width), same)
    return np.frombuffer(data, np.float32, n_rows * width).reshape(n_rows, width)
