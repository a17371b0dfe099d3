"""log.csv of a run: a row a display or test, cut back where a run resumes."""

from __future__ import annotations

import csv
import io
import os
import re
from pathlib import Path
from typing import Mapping, Sequence

from caffe_files.errors import InputError
from caffe_files.inputs import regular_file
from caffe_files.outputs import disk_errors, new_file
from skinmtl.nets.dead_proposals import DEAD_PROPOSALS

# of the nets that tell lesions or locations; of a net with other losses see `columns_of`
COLUMNS = (
    "iteration",
    "lr",
    "lesion_loss",
    "location_loss",
    "validation_lesion_loss",
    "validation_location_loss",
    "map_class",
    "map_image",
    "location_top1",
    "images_per_second",
)
FIRST, LAST = COLUMNS[:2], COLUMNS[-1:]
BALANCED = "balanced_accuracy"
# balanced accuracy is of nets whose lesions are one choice, dead proposals of nets that propose regions
METRICS = (*COLUMNS[6:-1], BALANCED, DEAD_PROPOSALS)
REMEDY = "give a log.csv of train.py"
Row = Mapping[str, "float | None"]


def columns_of(losses: Sequence[str], watched: Sequence[str], metrics: Sequence[str]) -> tuple[str, ...]:
    """The columns of a net: its losses by name, in training and in validation, and what is measured. Those that have
    no other losses than the heads of lesions and locations have COLUMNS, with BALANCED where it is measured."""
    if not {*losses, *watched} - {"lesion", "location"}:
        return (*COLUMNS[:-1], BALANCED, *LAST) if BALANCED in metrics else COLUMNS
    of_losses = [f"{name}_loss" for name in losses] + [f"validation_{name}_loss" for name in watched]
    return (*FIRST, *of_losses, *(name for name in METRICS if name in metrics), *LAST)


def write_rows(path: Path, lines: list[str], columns: Sequence[str] = COLUMNS) -> None:
    """Replaces the log by its heading and these lines, whole or not at all."""
    with new_file(path) as partial:
        partial.write_text("".join([",".join(columns) + "\n", *lines]), encoding="utf-8")


def append_row(path: Path, row: Row, columns: Sequence[str] = COLUMNS) -> None:
    """Adds one row; a column that `row` lacks, or has None for, is empty."""
    with disk_errors(path), open(str(path), "a", encoding="utf-8", newline="") as file:
        file.write(_line(row, columns))
        file.flush()
        os.fsync(file.fileno())  # a snapshot counts the rows before it, also after a power cut


def cut_back(path: Path, rows: int, iteration: int) -> tuple[str, ...]:
    """Leaves the first `rows` rows, as many as there were when the snapshot of `iteration` was made; returns the log's
    columns, which are fewer where an older version began it."""
    heading, *lines = _read_text(path).splitlines(keepends=True) or [""]
    whole = [line for line in lines[:rows] if line.endswith("\n")]
    if len(whole) < rows:
        raise InputError(
            f"{path}: {len(whole)} rows, but the snapshot of iteration {iteration} came after {rows}; restore the log, "
            "or train anew in another folder"
        )
    columns = _checked(path, heading.rstrip("\n").split(","))
    write_rows(path, whole, columns)
    return columns


def read_log(path: Path) -> list[dict[str, float | None]]:
    """The rows of a log.csv, a dict of its columns each; None where a cell is empty."""
    reader = csv.reader(io.StringIO(_read_text(path)))
    try:
        columns = _checked(path, next(reader, []))
        return [_values(record, columns) for record in reader if record]
    except (TypeError, ValueError, csv.Error):  # the last also for NUL, in Python before 3.11
        raise InputError(f"{path}:{reader.line_num}: a value is no number; {REMEDY}") from None


def _checked(path: Path, heading: list[str]) -> tuple[str, ...]:
    """InputError unless these are the columns of some net: each once, in the order of `columns_of`."""
    columns = tuple(heading)
    middle = columns[len(FIRST) : -len(LAST)]
    kinds = [_kind(name) for name in middle]
    ordered = "".join(kinds) == "".join(sorted(kinds)) and len(set(columns)) == len(columns)
    if columns != COLUMNS and not (columns == (*FIRST, *middle, *LAST) and ordered and "?" not in kinds):
        raise InputError(f"{path}:1: the columns are not those of a training, such as {','.join(COLUMNS)}; {REMEDY}")
    return columns


def _kind(name: str) -> str:
    """In their order: a loss, one of the validation, a metric; or what is no column."""
    if name in METRICS:
        return "c"
    is_loss = name.endswith("_loss") and name != "_loss"
    return ("b" if name.startswith("validation_") else "a") if is_loss else "?"


def _values(record: list[str], columns: Sequence[str]) -> dict[str, float | None]:
    """A line as numbers; ValueError where they are none, or not one a column. The iteration is a whole one."""
    if len(record) != len(columns) or not re.fullmatch("([0-9]{1,18})?", record[0]):
        raise ValueError
    return {name: float(value) if value else None for name, value in zip(columns, record)}


def _line(row: Row, columns: Sequence[str]) -> str:
    return ",".join(_cell(name, row.get(name)) for name in columns) + "\n"


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if name == "iteration" else f"{value:.7g}"


def _read_text(path: Path) -> str:
    try:
        return regular_file(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file; {REMEDY}") from None
