"""What a training says in its log while it runs: each test, each change of its rate, and how fast it is at first."""

from __future__ import annotations

from pathlib import Path

from caffe_files.errors import InputError
from skinmtl.training.log_file import read_log
from skinmtl.training.run_folder import RunFolder
from skinmtl.training.telling import AT, BEST, NOTE, TEST


class Training:
    """One training, watched from when it begins, or begins again, on: then its log is begun anew too."""

    def __init__(self, folder: Path, log: Path) -> None:
        self._folder, self._log = RunFolder(folder), log
        self._stale = self._date()  # the log of before is there until the training has begun
        self._read = 0
        self._begun = self.iteration

    @property
    def iteration(self) -> int:
        """Of the last row of log.csv."""
        rows = self._rows()
        return int(rows[-1]["iteration"] or 0) if rows else 0

    def news(self) -> list[str]:
        """The notes, and the lines of tests, of changes of the rate and of the best weights, since the last call."""
        if self._stale is not None and self._date() == self._stale:
            return []
        self._stale = None
        try:
            with open(str(self._log), "rb") as file:
                file.seek(self._read)
                whole, newline, _ = file.read().rpartition(b"\n")
        except OSError:
            return []
        self._read += len(whole) + len(newline)
        lines = whole.decode("utf-8", "replace").splitlines()
        return [
            line for line in lines if line.startswith((TEST, BEST, NOTE)) or (line.startswith(AT) and " -> " in line)
        ]

    def first_iterations(self) -> tuple[int, float, int] | None:
        """How many iterations the first row of log.csv since then is about, the seconds that they took, and how many
        iterations there will be at most; None where there is no row yet."""
        rows = [row for row in self._rows() if (row["iteration"] or 0) > self._begun and row["images_per_second"]]
        if not rows:
            return None
        try:
            settings = self._folder.read_args()["settings"]
        except InputError:
            return None
        iterations = int(rows[0]["iteration"] or 0) - self._begun
        images = iterations * int(settings["batch_size"]) * max(1, int(settings["iter_size"]))
        return iterations, images / (rows[0]["images_per_second"] or 1.0), int(settings["max_iter"])

    def _date(self) -> int:
        try:
            return self._log.stat().st_mtime_ns
        except OSError:
            return 0

    def _rows(self) -> list[dict[str, float | None]]:
        try:
            return read_log(self._folder.log)
        except InputError:
            return []  # not there yet, or a row is being written
