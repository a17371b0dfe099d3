"""The manifest: which image shows which lesions at which body location, and whom it belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from caffe_files.errors import InputError
from skinmtl.data.faults import Faults
from skinmtl.data.group_column import GROUP, GroupColumn
from skinmtl.data.label_file import read_names
from skinmtl.data.manifest_columns import (
    KNOWN_COLUMNS,
    LOCATION,
    MASK,
    NEEDED,
    SPLIT,
    cell_faults,
    check_optional,
    image_name_fault,
)
from skinmtl.data.names import Spellings, name_fault
from skinmtl.data.nothing import Nothings
from skinmtl.data.table import Oddities, read_csv, write_csv

__all__ = ["KNOWN_COLUMNS", "Manifest", "Row", "image_name_fault", "read_manifest", "write_manifest"]

LABEL_FILES = {"lesion": "lesions.txt", "location": "locations.txt"}  # beside the manifest


@dataclass(frozen=True)
class Row:
    """One image of the manifest; `line` is its line in the file, `group` what must not straddle folds.

    `location` is "" where the manifest has no such column. `mask` is the file of the lesion's mask and `split` the
    data set's own part that the image is of (`manifest_columns.SPLITS`), "" where there is none. `others` are the
    columns that the library does not know, kept for those who do.
    """

    line: int
    image: str
    lesions: tuple[str, ...]
    location: str
    group: str
    others: Mapping[str, str] = field(default_factory=dict, compare=False)
    mask: str = ""
    split: str = ""


@dataclass(frozen=True)
class Manifest:
    """A checked manifest. A name's place in `lesion_names` (P) or `location_names` (Q) is its label index.

    Without a column of locations `location_names` is empty: Q is 0.
    `notes` say, a line each, what was read otherwise than it is written. `columns` is the header that was read.
    """

    path: Path
    rows: tuple[Row, ...]
    lesion_names: tuple[str, ...]
    location_names: tuple[str, ...]
    notes: tuple[str, ...] = field(default=(), compare=False)
    columns: tuple[str, ...] = field(default=(), compare=False)

    @property
    def without_group(self) -> int:
        """How many images are groups of their own, since nobody says whom they belong to."""
        return sum(row.group == row.image for row in self.rows)

    @property
    def has_masks(self) -> bool:
        """Whether any image has a mask."""
        return any(row.mask for row in self.rows)

    def lesion_labels(self) -> np.ndarray:
        """(N, P) uint8: 1 where image n shows lesion p."""
        index = {name: p for p, name in enumerate(self.lesion_names)}
        labels = np.zeros((len(self.rows), len(index)), np.uint8)
        for n, row in enumerate(self.rows):
            labels[n, [index[name] for name in row.lesions]] = 1
        return labels

    def location_labels(self) -> np.ndarray:
        """(N,) int64: the location's index. InputError where the manifest has no locations."""
        if not self.location_names:
            raise InputError(f"{self.path}: no column {LOCATION!r}, which is needed here; add it")
        index = {name: q for q, name in enumerate(self.location_names)}
        return np.array([index[row.location] for row in self.rows], np.int64)


def read_manifest(path: Path, group_column: str | None = None) -> Manifest:
    """Reads `manifest.csv` and, beside it, `lesions.txt` and `locations.txt` (absent: the manifest's sorted names).

    group_column  which column has the groups; None: `group`, where there is one

    The columns location, mask and split may be absent; a cell of the latter two may be empty. A row without a group is
    its own group. Names come in their one spelling (`data.names`); words that mean nothing (`data.nothing`) are no
    group, no mask and no split, and no label unless the label files list them. InputError has a line for each fault.
    """
    return _Reader(Path(path), GroupColumn(group_column)).read()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes manifest.csv, lesions.txt and locations.txt into a folder that is being made; `path` plays no part."""
    others = list(dict.fromkeys(name for row in manifest.rows for name in row.others))
    columns: dict[str, Callable[[Row], str]] = {"image": lambda row: row.image, "lesions": _joined}
    if manifest.location_names:
        columns[LOCATION] = lambda row: row.location
    columns[GROUP] = lambda row: row.group
    if manifest.has_masks:
        columns[MASK] = lambda row: row.mask
    if any(row.split for row in manifest.rows):
        columns[SPLIT] = lambda row: row.split
    records = (
        [*(cell(row) for cell in columns.values()), *(row.others.get(name, "") for name in others)]
        for row in manifest.rows
    )
    write_csv(folder / "manifest.csv", [*columns, *others], records)
    for kind, names in (("lesion", manifest.lesion_names), ("location", manifest.location_names)):
        if not names:
            continue
        (folder / LABEL_FILES[kind]).write_text("".join(f"{each}\n" for each in names), encoding="utf-8")


def _joined(row: Row) -> str:
    return ";".join(row.lesions)


class _Reader:
    """Reads one manifest and the label files beside it, and gathers faults and notes on the way."""

    def __init__(self, path: Path, group_column: GroupColumn) -> None:
        self.path = path
        self.group_column = group_column
        self.faults = Faults(path)
        self.spelled = Spellings()
        self.oddities = Oddities()
        self.groups = Nothings()
        self.header: tuple[str, ...] = ()
        self.has_locations = True
        self.first_lines: dict[str, int] = {}
        self.sound: set[str] = set()  # names without a fault, looked at once

    def read(self) -> Manifest:
        rows = []
        try:
            rows = list(self._rows())
        except InputError as fault:  # where the file cannot be read on
            self.faults.add(str(fault))
        if not rows and not self.faults.count:
            raise InputError(f"{self.path}: no images; add a line for each")
        lesion_names = self._names("lesion", ((name, row) for row in rows for name in row.lesions))
        location_names = self._names("location", ((row.location, row) for row in rows)) if self.has_locations else ()
        self.faults.refuse()
        alone = "these images have no group"
        notes = (
            *self.oddities.notes(self.path),
            *self.spelled.notes(self.path),
            *self.groups.notes(self.path, self.group_column.name, alone),
            *self.groups.notes(self.path, MASK, "these images have no mask"),
            *self.groups.notes(self.path, SPLIT, "these images are of no split"),
            *self._without_locations(),
        )
        return Manifest(self.path, tuple(rows), lesion_names, location_names, notes, self.header)

    def _without_locations(self) -> Iterator[str]:
        """A note where names of locations are listed, and no image has one."""
        path = self.path.with_name(LABEL_FILES["location"])
        if not self.has_locations and path.exists():
            yield f"{self.path}: no column {LOCATION!r}: {path.name} is not read"

    def _check_header(self, header: Sequence[str]) -> None:
        self.group_column.checker(self.path)(header)
        check_optional(self.path)(header)
        self.header = tuple(filter(None, header))
        self.has_locations = LOCATION in header

    def _rows(self) -> Iterator[Row]:
        check, faults, oddities = self._check_header, self.faults, self.oddities
        for line, record in read_csv(self.path, NEEDED, check_header=check, faults=faults, oddities=oddities):
            row = self._row(line, record)
            found = list(self._faults_of(row, record))
            for fault in found:
                faults.add(f"{self.path}:{line}: {fault}")
            if not found:
                yield row

    def _row(self, line: int, record: Mapping[str, str]) -> Row:
        column, image = self.group_column.name, record["image"]
        others = {name: value for name, value in record.items() if name and name not in KNOWN_COLUMNS}
        if column != GROUP and GROUP in record:
            others[f"source_{GROUP}"] = record[GROUP]
        group = record.get(column, "")
        group = image if group == image else self.groups.known(self.spelled(group), column) or image
        lesions = tuple(map(self.spelled, record["lesions"].split(";")))
        mask, split = (self.groups.known(record.get(name, ""), name) for name in (MASK, SPLIT))
        location = self.spelled(record.get(LOCATION, ""))
        return Row(line, image, lesions, location, group, others, mask, split.lower())

    def _faults_of(self, row: Row, record: Mapping[str, str]) -> Iterator[str]:
        fault = image_name_fault(row.image)
        if fault:
            yield fault
        else:
            first = self.first_lines.setdefault(str(PurePosixPath(row.image)), row.line)
            if first != row.line:
                yield f"image {row.image!r} is on line {first} too; keep one line per image"
        if "" in row.lesions:
            yield "an empty lesion label; name one or more lesions, joined by ';'"
        elif len(set(row.lesions)) != len(row.lesions):
            yield f"a lesion is named twice in {record['lesions']!r}; name each once"
        if self.has_locations and not row.location:
            yield "an empty location label; name the body location"
        if ";" in row.location:
            yield f"location {row.location!r} names more than one; name one"
        yield from cell_faults(row.mask, row.split)
        names = {*row.lesions, row.location} if row.group == row.image else {*row.lesions, row.location, row.group}
        for name in sorted(names - self.sound):
            fault = name_fault(name)
            if fault:
                yield f"{fault} in {name!r}; correct it"
            else:
                self.sound.add(name)

    def _names(self, kind: str, used: Iterable[tuple[str, Row]]) -> tuple[str, ...]:
        """The names of one kind of label; a fault for each that the label file does not list, or that is none."""
        first: dict[str, Row] = {}
        times: dict[str, int] = {}
        for name, row in used:
            first.setdefault(name, row)
            times[name] = times.get(name, 0) + 1
        path = self.path.with_name(LABEL_FILES[kind])
        listed = read_names(path, self.spelled, self.faults) if path.exists() else None
        known = set(listed or ())
        nothing = Nothings()
        for name, row in first.items():
            if name in known:
                continue
            where = f"{self.path}:{row.line}: {kind} {name!r}"
            more = f" (and {times[name] - 1} more such)" if times[name] > 1 else ""
            if nothing.is_one(name):
                instead = f"name the {kind}, or take the line out; where it is a name, list it in {path.name}"
                self.faults.add(f"{where} stands for no value{more}; {instead}")
            elif listed is not None:
                self.faults.add(f"{where} is not in {path.name}{more}; correct it or add it there")
        return tuple(sorted(first)) if listed is None else tuple(listed)
