"""What importers of several data sets do with the records of a table: join, keep, read columns of 0 and 1."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Iterable, Mapping

from skinmtl.images.formats import has_image_ending

SET = frozenset({"1", "1.0", "yes", "true"})
NOT_SET = frozenset({"0", "0.0", "no", "false", ""})

# what sets and people call their parts, in lower case -> a manifest's word
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "validate", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}


def image_key(image: str) -> str:
    """The id in a form that two tables can be joined on: without folder, image ending and case.

    >>> image_key("train/ISIC_0000001.JPG")
    'isic_0000001'
    """
    path = PurePosixPath(image.strip().replace("\\", "/"))
    return (path.stem if has_image_ending(path.name) else path.name).lower()


def kept(record: dict[str, str], *columns: str) -> dict[str, str]:
    """These columns of the record as far as the table has them, for the manifest."""
    return {name: record[name] for name in columns if name in record}


def prefixed(columns: Iterable[str], prefix: str) -> dict[str, str]:
    """Column -> label, for the columns whose names start with `prefix`: the label is the rest of the name."""
    return {name: name[len(prefix) :] for name in columns if name.startswith(prefix) and len(name) > len(prefix)}


def labels_set(record: Mapping[str, str], columns: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    """(the labels whose column is set, "" or what is neither set nor not set, as `column=value`)."""
    found = []
    for column, label in columns.items():
        value = record[column].lower()
        if value in SET:
            found.append(label)
        elif value not in NOT_SET:
            return (), f"{column}={record[column]}"
    return tuple(found), ""


class Groups:
    """Joins groups; each is named after the first that came (union-find)."""

    def __init__(self) -> None:
        self.joined = 0
        self._into: dict[str, str] = {}

    def join(self, first: str, other: str) -> None:
        first, other = self.of(first), self.of(other)
        if first != other:
            self._into[other] = first
            self.joined += 1

    def of(self, group: str) -> str:
        """The group's name by now."""
        name = group
        while name in self._into:
            name = self._into[name]
        while group != name:  # so that a long chain is walked once
            self._into[group], group = name, self._into[group]
        return name
