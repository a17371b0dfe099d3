"""The one table of words that stand in a cell for no value: what spreadsheets, databases, R and pandas write there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Iterable

from skinmtl.data.names import spelled

WORDS = frozenset(
    [
        # programs
        *("nan", "+nan", "-nan", "nat", "<na>", "na", "null", "(null)", "none", "nil", "\\n", "undefined", "#nv"),
        *("#n/a", "#na", "#ref!", "#value!", "#name?", "#null!", "#num!", "#div/0!", "#spill!", "#calc!", "#error!"),
        *("1.#ind", "1.#qnan", "-1.#ind", "-1.#qnan", "#getting_data"),
        # people
        *("n/a", "n.a.", "n.a", "n. a.", "n/k", "unk", "unknown", "unspecified", "not specified", "not known"),
        *("not available", "not applicable", "not recorded", "missing", "(blank)", "blank", "empty", "no data"),
        # signs
        *("-", "--", "---", "\u2010", "\u2011", "\u2012", "\u2013", "\u2014", "\u2212", "?", "??", "???", "."),
        *("..", "...", "\u2026", "_", "/", "\\", "*", "#"),
    ]
)


class Nothings:
    """Tells words that mean nothing from names, in any case, and counts them by column.

    kept  words of the table that are names in this data set
    """

    def __init__(self, kept: Iterable[str] = ()) -> None:
        self.kept = frozenset(spelled(each).casefold() for each in kept)
        self.counted: dict[str, Counter[str]] = {}

    def is_one(self, value: str) -> bool:
        """Whether a cell's text says that nothing is known: an empty one, or a word of the table. Not counted."""
        word = spelled(value).casefold()
        return not word or (word in WORDS and word not in self.kept)

    def is_kept(self, value: str) -> bool:
        """Whether it is a word of the table that is a name here."""
        word = spelled(value).casefold()
        return word in WORDS and word in self.kept

    def known(self, value: str, column: str = "") -> str:
        """The value, or "" where it means nothing; a word that does is counted under its column."""
        if not self.is_one(value):
            return value
        if column and value:
            self.counted.setdefault(column, Counter())[value] += 1
        return ""

    def notes(self, path: Path, column: str, so: str) -> list[str]:
        """What to tell of a column: one line, or none; `so` says what became of the words."""
        counted = self.counted.get(column)
        if not counted:
            return []
        words = ", ".join(f"{word!r} ({count})" for word, count in counted.most_common(5))
        more = f" and {len(counted) - 5} more words" if len(counted) > 5 else ""
        return [f"{path}: {column}: {words}{more} stand{'s' * (len(counted) == 1)} for no value: {so}"]
