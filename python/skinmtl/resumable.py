"""Rows of numbers that are kept as they are made, so that a stopped run goes on where it was."""

from __future__ import annotations

import fcntl
import json
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Iterator

import numpy as np

from skinmtl.errors import InputError
from skinmtl.outputs import disk_errors


class ResumableRows:
    """The rows made so far, (n, width) float32 in `done`; `append` keeps one more."""

    def __init__(self, file: IO[bytes], width: int) -> None:
        kept = np.frombuffer(file.read(), np.uint8)
        whole = len(kept) // (4 * width) * 4 * width  # a killed run may have left a part of a row
        file.seek(-(len(kept) - whole), 2)
        file.truncate()
        self.done = list(kept[:whole].view(np.float32).reshape(-1, width))
        self._file = file

    def append(self, row: np.ndarray) -> None:
        """Adds a row (width,) and hands it to the system, which keeps it if this process is killed."""
        self._file.write(row.astype(np.float32).tobytes())
        self._file.flush()
        self.done.append(row)


@contextmanager
def resumable_rows(target: Path, made_from: dict[str, Any], width: int) -> Iterator[ResumableRows]:
    """Keeps rows in a file beside `target` until the block ends well.

    `made_from` says what the rows come from; rows of a stopped run that came from anything else are dropped.
    """
    path = target.with_name(f".{target.name}.progress")
    header = json.dumps(made_from, sort_keys=True).encode() + b"\n"
    with disk_errors(target):
        if target.exists() and not target.is_file():
            raise InputError(f"{target}: is there and is no file; name another place")
        path.parent.mkdir(parents=True, exist_ok=True)
    with disk_errors(target), open(str(path), "a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"{target}: another run is making it; wait for it, or name another file") from None
        file.seek(0)
        if file.readline() != header:
            file.truncate(0)
            file.write(header)
            file.flush()
        yield ResumableRows(file, width)
        path.unlink()
