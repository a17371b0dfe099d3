"""Labels of rows changed, and rows that leave for want of one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Iterable, Mapping, Optional

from skinmtl.data.manifest import Row

Turns = Mapping[str, Optional[str]]  # label -> what it turns into, None: it goes; a label that is not there stays


@dataclass(frozen=True)
class Gone:
    """An image that left, as it stood in the manifest before the step that it left in."""

    row: Row
    reason: str


def relabel(rows: Iterable[Row], lesions: Turns, sites: Turns, reason: str) -> tuple[list[Row], list[Gone]]:
    """The rows with their labels turned, and those that lost their last lesion or their site, for `reason`.

    Two lesions of an image that turn into one label are one; lesions keep the order of their first appearance.
    """
    kept, gone = [], []
    for row in rows:
        names = row.lesions
        if any(name in lesions for name in names):
            turned = (lesions.get(name, name) for name in names)
            names = tuple(dict.fromkeys(name for name in turned if name is not None))
        location = sites.get(row.location, row.location)
        if not names or location is None:
            gone.append(Gone(row, reason))
        elif names != row.lesions or location != row.location:
            kept.append(replace(row, lesions=names, location=location))
        else:
            kept.append(row)
    return kept, gone


def lesion_counts(rows: Iterable[Row]) -> Counter[str]:
    """How many images show each lesion."""
    return Counter(name for row in rows for name in row.lesions)


def site_counts(rows: Iterable[Row]) -> Counter[str]:
    """How many images are of each location."""
    return Counter(row.location for row in rows)
