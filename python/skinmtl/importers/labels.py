"""Labels as tables have them, made into names that can stand in a manifest; and the user's map of body sites."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Iterable

from caffe_files.errors import InputError
from skinmtl.data.names import without_faults
from skinmtl.data.table import optional_columns, read_csv


class Labels:
    """Cleans labels and remembers what was changed.

    A label becomes a name by the one rule for names: spaces of all kinds become single plain ones, and what a name may
    not hold goes, or becomes a space. `;` joins labels in the manifest, so that one inside a label becomes a comma.
    `changed` has the original, the name, and
    how often it came.
    """

    def __init__(self) -> None:
        self.changed: Counter[tuple[str, str]] = Counter()
        self._clean: dict[str, str] = {}

    def clean(self, label: str) -> str:
        """The label's name; "" where nothing is left."""
        if label not in self._clean:
            self._clean[label] = _clean(label)
        name = self._clean[label]
        if name != label.strip():
            self.changed[label.strip(), name] += 1
        return name

    def clean_all(self, labels: Iterable[str]) -> tuple[str, ...]:
        """Their names, each once, in the order given."""
        return tuple(dict.fromkeys(filter(None, map(self.clean, labels))))


class SiteMap:
    """What the user wants sites to be called: a CSV with the columns `from` and `to`.

    `from` is a site's name, several names joined by `;` for a row that names exactly these, or empty for a row that
    names none. `to` is the new name; empty: the site is left out of the row. A set of sites that has an entry of its
    own takes it; otherwise each site takes its own, once (no chains). `used` counts the rows that had each entry. Where
    there is a column `kind`, as in the maps of refine_labels.py, only the lines whose kind starts with `site` count.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.used: Counter[str] = Counter()
        self._to: dict[frozenset[str], tuple[str, str]] = {}
        for line, record in _lines(path) if path is not None else ():
            if not record.get("kind", "site").startswith("site"):
                continue
            sites = frozenset(filter(None, map(_clean, record["from"].split(";"))))
            to = _clean(record["to"])
            if ";" in record["to"]:
                raise InputError(f"{path}:{line}: {record['to']!r} names more than one site; name one")
            if self._to.get(sites, (to,))[0] != to:
                raise InputError(f"{path}:{line}: {record['from']!r} is mapped to two names; keep one line of them")
            self._to[sites] = (to, record["from"])
        if path is not None and not self._to:
            raise InputError(f"{path}: no line for a body site; add one, or leave the map out")

    def apply(self, sites: tuple[str, ...]) -> tuple[str, ...]:
        whole = frozenset(sites)
        if whole in self._to:
            return self._take(whole)
        mapped = [site for each in sites for site in self._take(frozenset([each]), each)]
        return tuple(dict.fromkeys(mapped))

    def unused(self) -> list[str]:
        """The `from` of each entry that no row had: often a misspelt name."""
        return [name for _, name in self._to.values() if name not in self.used]

    def _take(self, sites: frozenset[str], otherwise: str = "") -> tuple[str, ...]:
        if sites not in self._to:
            return (otherwise,)
        to, name = self._to[sites]
        self.used[name] += 1
        return (to,) if to else ()


def _lines(path: Path) -> Iterable[tuple[int, dict[str, str]]]:
    return read_csv(path, ("from", "to"), check_header=optional_columns(path, ("kind",)))


def _clean(label: str) -> str:
    name = without_faults(label.replace(";", ","))
    return name.strip(", ") if ";" in label else name
