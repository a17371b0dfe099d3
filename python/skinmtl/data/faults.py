"""Faults of one input, gathered so that one run tells all of them."""

from __future__ import annotations

from pathlib import Path

from caffe_files.errors import InputError

SHOWN = 20


class Faults:
    """Lines for an InputError: the first SHOWN faults, and how many more there are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        """A fault, as an InputError of its own would tell it."""
        self.count += 1
        if self.count <= SHOWN:
            self._lines.append(line)

    def refuse(self) -> None:
        """InputError with a line for each fault, where there is one."""
        if self.count > SHOWN:
            raise InputError("\n".join([*self._lines, f"{self.path}: {self.count - SHOWN} more faults"]))
        if self.count:
            raise InputError("\n".join(self._lines))
