"""Folds of a data set's own split: its test images are fold 0, its validation images fold 1, its training images last.

Where it has no validation images, or no test images, the others move up: fold 0 is what the set is judged on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator

import numpy as np

from caffe_files.errors import InputError
from caffe_files.outputs import new_file
from skinmtl.common.json_file import write_json
from skinmtl.common.provenance import made_by, sha256
from skinmtl.data.folds import write_folds
from skinmtl.data.manifest import Manifest
from skinmtl.data.manifest_columns import SPLIT, SPLITS
from skinmtl.splits import balance

ORDER = ("test", "validation", "train")  # of the folds
assert set(ORDER) == set(SPLITS)


def write_official(manifest: Manifest, out: Path, report: Path, column: str, arguments: dict[str, Any]) -> list[str]:
    """Writes the folds to `out` and what they hold to `report`; returns what to tell, a line each.

    column  which column of the manifest has train, validation or test for every image

    InputError where it is not there, where an image has none of the three, and where there is nothing to train on or
    nothing to test.
    """
    splits = _splits(manifest, column)
    numbers = {name: n for n, name in enumerate(name for name in ORDER if name in splits)}
    if "train" not in numbers or len(numbers) == 1:
        missing = "train" if "train" not in numbers else "test or validation"
        raise InputError(f"{manifest.path}: no image is of split {missing} by the column {column!r}; correct it")
    folds = np.array([numbers[name] for name in splits], np.int64)
    found = balance.balance(manifest, folds, len(numbers), "group")
    parted = {group: sorted(names, key=ORDER.index) for group, names in _parted(manifest, splits)}
    record = {
        **made_by(arguments),
        "manifest_sha256": sha256(manifest.path),
        "split_column": column,
        "split_of_fold": {str(number): name for name, number in numbers.items()},
        "groups_in_several_splits": parted,
        **balance.record(found, None),
    }
    with new_file(report) as report_file, new_file(out) as folds_file:
        write_json(report_file, record)
        write_folds(folds_file, manifest, folds)
    return [*_said(numbers, splits, parted), *balance.table(found, "group")]


def _splits(manifest: Manifest, column: str) -> list[str]:
    """The split of every image."""
    rows = manifest.rows
    if column == SPLIT:
        splits = [row.split for row in rows]
        if not any(splits):
            raise InputError(f"{manifest.path}: no column {column!r} with train, validation or test; name the column")
    else:
        if column not in rows[0].others:
            columns = ", ".join(rows[0].others) or "no other columns"
            raise InputError(f"{manifest.path}: no column {column!r} with train, validation or test; it has {columns}")
        splits = [row.others[column].lower() for row in rows]
    wrong = [(row, name) for row, name in zip(rows, splits) if name not in SPLITS]
    if wrong:
        row, name = wrong[0]
        raise InputError(
            f"{manifest.path}:{row.line}: {len(wrong)} of {len(rows)} images, such as {row.image!r}, have "
            f"{f'{name!r}' if name else 'nothing'} in the column {column!r}, which is to say {', '.join(SPLITS)}"
        )
    return splits


def _parted(manifest: Manifest, splits: list[str]) -> Iterator[tuple[str, set[str]]]:
    """Yields each group whose images are of several splits, and these."""
    found: dict[str, set[str]] = {}
    for row, name in zip(manifest.rows, splits):
        found.setdefault(row.group, set()).add(name)
    yield from ((group, names) for group, names in sorted(found.items()) if len(names) > 1)


def _said(numbers: dict[str, int], splits: list[str], parted: dict[str, list[str]]) -> Iterator[str]:
    for name, number in numbers.items():
        yield f"fold {number}: {name}, {splits.count(name)} images"
    aside = f" --validation-fold {numbers['validation']}" if numbers.get("validation") else ""
    yield f"to train by it: --fold 0{aside} --subset train; to test: --fold 0 --subset test"
    if aside:
        yield f"to validate: --fold 0{aside} --subset validation"
    if parted:
        first = next(iter(parted))
        yield (
            f"{len(parted)} groups are in several splits, such as {first!r} in {' and '.join(parted[first])}: so it is "
            "in the data set's own split"
        )
