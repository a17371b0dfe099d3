"""The images of a manifest by the values of one of its columns: skin type, sex, age, device, centre.

What means nothing (`data.nothing`) is a subgroup of its own. Numbers of more than MOST_NUMBERS values, such as ages, go
into BANDS bands with about as many images each; fewer, such as skin types, are values like others. Values that differ
in case or spaces only stay apart, and are told. Of more than MOST values those with the most images are subgroups, and
what is left is counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Sequence

import numpy as np

from caffe_files.errors import InputError
from skinmtl.data.group_column import GROUP
from skinmtl.data.manifest import Manifest, Row
from skinmtl.data.manifest_columns import LOCATION, MASK, NEEDED, SPLIT
from skinmtl.data.names import look_alike_values, spelled
from skinmtl.data.names import told as look_alikes_told
from skinmtl.data.nothing import Nothings

MOST = 20  # subgroups: our choice, what a reader still compares
BANDS = 4  # our choice: quartiles
MOST_NUMBERS = 6  # values that stand for themselves: Fitzpatrick's skin types are six
NO_VALUE = "no value"
NO_SUBGROUPS = (*NEEDED, MASK)  # names of files, and what the figures are of


@dataclass(frozen=True, eq=False)
class Subgroups:
    """The subgroups of N images by `column`: `names`, each with which images are in it, (N,) bool; and what to tell of
    them, a line each."""

    column: str
    names: tuple[str, ...]
    members: tuple[np.ndarray, ...]
    told: tuple[str, ...] = ()


def subgroups_of(manifest: Manifest, column: str, images: Sequence[str]) -> Subgroups:
    """Of images that are all in the manifest, in their order. InputError where it has no such column, where the column
    is one of NO_SUBGROUPS, and where all images are in one subgroup."""
    _check_column(manifest, column)
    rows = {row.image: row for row in manifest.rows}
    nothings = Nothings()
    raw = [spelled(_cell(manifest, rows[image], column)) for image in images]
    values = ["" if nothings.is_one(value) else value for value in raw]
    told: list[str] = []
    numbers = _numbers(values)
    if numbers is not None:
        names, labels = _bands(numbers)
        told.append(f"{column}: numbers, in {len(names)} bands by quantile, with about as many images each")
    else:
        counted = Counter(value for value in values if value)
        names = [name for name, _ in sorted(counted.items(), key=lambda item: (-item[1], item[0]))]
        alike = look_alikes_told(look_alike_values(names), "subgroup")
        if alike:
            told.append(f"{column}: {alike}; write them alike in the manifest if they are")
        if len(names) > MOST:
            left = sum(counted[name] for name in names[MOST:])
            told.append(
                f"{column}: {len(names)} values; the {MOST} with the most images are shown, {len(names) - MOST} with "
                f"{left} images are not"
            )
            names = names[:MOST]
        names = sorted(names)
        labels = np.array(values, dtype=np.str_)
    members = [labels == name for name in names]
    missing = np.array([not value for value in values])
    if missing.any():
        names, members = [*names, NO_VALUE], [*members, missing]
    if len(names) < 2:
        only = f"all images have {names[0]!r}" if names else "no image has a value"
        raise InputError(f"{manifest.path}: column {column!r}: {only}; name a column that tells images apart")
    return Subgroups(column, tuple(names), tuple(members), tuple(told))


def _check_column(manifest: Manifest, column: str) -> None:
    have = [name for name in manifest.columns if name not in NO_SUBGROUPS]
    if column in have:
        return
    it_has = f"it has {', '.join(sorted(have))}" if have else "it has none; add one"
    if column in manifest.columns:
        raise InputError(f"{manifest.path}: column {column!r} tells no subgroups; name another: {it_has}")
    raise InputError(f"{manifest.path}: no column {column!r} to tell subgroups by; {it_has}")


def _cell(manifest: Manifest, row: Row, column: str) -> str:
    """What the file has there; "" of an image that is a group of its own."""
    if column in (LOCATION, SPLIT):
        return row.location if column == LOCATION else row.split
    if column != GROUP:
        return row.others[column]
    kept = f"source_{GROUP}"  # where the groups were read from another column
    if kept in row.others and kept not in manifest.columns:
        return row.others[kept]
    return "" if row.group == row.image else row.group


def _numbers(values: Sequence[str]) -> np.ndarray | None:
    """(N,) float64, nan where there is no value; None unless all are numbers, of more than MOST_NUMBERS values."""
    try:
        numbers = np.array([float(value) if value else np.nan for value in values])
    except ValueError:
        return None
    there = numbers[~np.isnan(numbers)]
    many = len(np.unique(there)) > MOST_NUMBERS
    return numbers if many and np.isfinite(there).all() and len(there) == sum(map(bool, values)) else None


def _bands(numbers: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The bands' names, the lowest first, and that of each number, "" for nan. What is equal is in one band."""
    there = ~np.isnan(numbers)
    edges = np.unique(np.percentile(numbers[there], [100 * band / BANDS for band in range(1, BANDS)]))
    band = np.searchsorted(edges, numbers, side="left")  # an edge is of the lower band
    names, labels = [], np.full(len(numbers), "", dtype=object)
    for number in range(len(edges) + 1):
        inside = there & (band == number)
        if inside.any():
            low, high = numbers[inside].min(), numbers[inside].max()
            names.append(f"{low:g} to {high:g}" if low < high else f"{low:g}")
            labels[inside] = names[-1]
    return names, labels.astype(np.str_)
