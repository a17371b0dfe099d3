"""Labels that a table has as columns of 0 and 1, or of YES and nothing."""

from __future__ import annotations

from typing import Iterable, Mapping

SET = frozenset({"1", "1.0", "yes", "true"})
NOT_SET = frozenset({"0", "0.0", "no", "false", ""})


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
