"""What a log of `caffe train` says: losses, learning rates and tests, by iteration.

Lines are glog's, with or without their prefix, of Caffe from release 1.0 to the last snapshot:

    Iteration 100 (25.3 iter/s, 3.95s/100 iters), loss = 4.56       (before 1.0: Iteration 100, loss = 4.56)
        Train net output #0: lesion_loss = 3.2 (* 1 = 3.2 loss)
    Iteration 100, lr = 0.001                                       (NVCaffe: , m = 0.9, and more of its settings)
    Iteration 500, Testing net (#0)
        Test net output #0: lesion_loss = 3.1 (* 1 = 3.1 loss)
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from caffe_files.errors import InputError
from caffe_files.inputs import regular_file
from caffe_files.outputs import new_file

PREFIX = re.compile(r"^[IWEF]\d{4,8} [\d:.]+ +\d+ [^\]]*\] ?")
NUMBER = "[0-9]{1,18}"
LOSS = re.compile(rf"Iteration ({NUMBER})(?: \(.*\))?, loss = (\S+)$")
RATE = re.compile(rf"Iteration ({NUMBER}), lr = ([^\s,]+)(?:, \w+ = [^\s,]+)*$")
TESTING = re.compile(rf"Iteration ({NUMBER}), Testing net \(#({NUMBER})\)$")
OUTPUT = re.compile(r"\s*(Train|Test) net output #\d+: (.+?) = (\S+)(?: \(\* .*\))?$")
REMEDY = "give what `caffe train` wrote to stderr"


@dataclass(frozen=True)
class CaffeLog:
    """rows: by iteration, ascending, the values by column (`lr`, `loss`, `train NAME`, `test N NAME`).

    superseded: how many rows a resumed training made again. cut_short: whether the last line has no end.
    """

    rows: list[tuple[int, dict[str, float]]]
    superseded: int
    cut_short: bool

    @property
    def columns(self) -> list[str]:
        """All columns: rate and loss, then the training net's, then each test net's, in the log's order."""
        found = dict.fromkeys(column for _, values in self.rows for column in values)
        return sorted(found, key=_rank)


def read_caffe_log(path: Path) -> CaffeLog:
    """Reads a log, of one `caffe train` or of several that resumed each other.

    Where iterations begin again at an earlier one, what was logged from there on is replaced. InputError where no
    line tells of an iteration.
    """
    try:
        text = regular_file(path).read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {REMEDY}") from None
    lines = text.split("\n")
    cut_short = bool(lines.pop())  # a whole log ends with the end of a line
    rows: dict[int, dict[str, float]] = {}
    superseded = 0
    iteration, block, seen = None, "", Counter()
    for line in lines:
        line = PREFIX.sub("", line.rstrip("\r"))
        head = next((match for match in (pattern.match(line) for pattern in (LOSS, RATE, TESTING)) if match), None)
        output = OUTPUT.match(line)
        if head:
            earlier, iteration = iteration, int(head.group(1))
            if earlier is not None and iteration < earlier:
                again = [number for number in rows if number >= iteration]
                superseded += len(again)
                for number in again:
                    del rows[number]
            if head.re is TESTING:
                block, seen = f"test {head.group(2)}", Counter()
            elif head.re is LOSS:
                block, seen = "train", Counter()
            if head.re is not TESTING:
                _set(rows, iteration, "loss" if head.re is LOSS else "lr", head.group(2))
        elif output and iteration is not None and output.group(1).lower() == block.partition(" ")[0]:
            name = output.group(2)
            seen[name] += 1  # an output with several values has a line for each
            column = f"{block} {name}" + (f" {seen[name]}" if seen[name] > 1 else "")
            _set(rows, iteration, column, output.group(3))
    if not rows:
        raise InputError(f"{path}: no line tells of an iteration; {REMEDY}")
    return CaffeLog(sorted(rows.items()), superseded, cut_short)


def write_csv(log: CaffeLog, path: Path) -> None:
    """Writes `iteration` and all columns, a row an iteration; a cell without a value is empty."""
    with new_file(path) as partial, open(str(partial), "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["iteration", *log.columns])
        for iteration, values in log.rows:
            writer.writerow([iteration, *(values.get(column, "") for column in log.columns)])


def _set(rows: dict[int, dict[str, float]], iteration: int, column: str, text: str) -> None:
    try:
        value = float(text)
    except ValueError:
        return  # a line that another process wrote into
    rows.setdefault(iteration, {})[column] = value


def _rank(column: str) -> tuple[int, str]:
    """Rate and loss first; equal ranks stay in order."""
    first = {"lr": 0, "loss": 1}.get(column, 2 if column.startswith("train") else 3)
    return first, column.split()[1] if first == 3 else ""
