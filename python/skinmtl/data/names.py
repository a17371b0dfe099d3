"""The one rule for names of lesions, body locations and groups, wherever a name comes in or goes out.

A name is text on one line, in Unicode's composed form (NFC), its words parted by single plain spaces. What cannot be
seen and changes how a name is compared or shown has no place in it: control characters, soft hyphens, spaces of no
width, characters that turn the direction of writing round. Joiners stay where a script or an emoji needs them.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Callable, Hashable, Iterable

SPACES = re.compile("[ \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # Unicode's Cc, and halves of surrogate pairs
TURNING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
INVISIBLE = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff0-\ufffc\ufffe\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff]"
)
# U+0590 is where the scripts begin that join letters; emoji come later; U+2000 to U+206F are spaces and signs
_JOINED = "\u0590-\u1fff\u2070-\U0010ffff"
LOOSE_JOINER = re.compile(f"(?<![{_JOINED}])[\u200c\u200d]|[\u200c\u200d](?![{_JOINED}])")
FAULTS = (
    (CONTROL, "a line break or control character"),
    (TURNING, "a character that changes the direction of writing"),
    (INVISIBLE, "an invisible character"),
    (LOOSE_JOINER, "a joiner that joins nothing"),
)


def spelled(name: str) -> str:
    """The name in its one spelling: composed letters, single plain spaces, none outside. What is wrong stays wrong.

    >>> spelled(" blue\\u00a0 nae\\u0300vus ")
    'blue naèvus'
    """
    return SPACES.sub(" ", unicodedata.normalize("NFC", name)).strip()


def name_fault(name: str) -> str:
    """What a name may not hold, in words, with the character's number where it may not be seen; "": nothing."""
    for fault, words in FAULTS:
        found = fault.search(name)
        if found:
            return words if fault is CONTROL else f"{words} (U+{ord(found.group()):04X})"
    return ""


def without_faults(name: str) -> str:
    """The name with a space for each control character, and without what else `name_fault` finds; spelled.

    For importers, which change labels and say so.
    """
    name = INVISIBLE.sub("", TURNING.sub("", CONTROL.sub(" ", name)))
    return spelled(LOOSE_JOINER.sub("", name))


class Spellings:
    """Spells names and remembers which of them were written otherwise."""

    def __init__(self) -> None:
        self.changed: Counter[tuple[str, str]] = Counter()
        self._known: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = spelled(name)
        if found != name and found != name.strip():
            self.changed[name, found] += 1
        return found

    def notes(self, path: Path) -> list[str]:
        """What to tell of it: one line, or none."""
        if not self.changed:
            return []
        written, read = next(iter(self.changed))
        count = sum(self.changed.values())
        read_as = "names are read" if count > 1 else "name is read"
        return [
            f"{path}: {count} {read_as} with single plain spaces and composed letters, such as {written!a} as {read!r}"
        ]


def look_alikes(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Labels that differ in case, spaces, signs, accents or a plural only, a tuple for each set of them."""
    return _alike(names, plain)


def plain(name: str) -> str:
    """Lower case letters and numbers without accents, each word without a plural's ending.

    Equal for names that most likely mean one label.
    """
    letters = "".join(
        sign for sign in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(sign)
    )
    words = re.findall(r"\w+", letters.replace("_", " "))
    return "".join(_singular(word) for word in words) or name


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def look_alike_groups(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups that may be one patient written in several ways: they differ in case, spaces, signs between their letters
    and numbers, or zeros that mean nothing (`P-7` and `p 007`, `12` and `12.0`). `1-23` is not `12-3`.
    """
    return _alike(names, _identity)


def look_alike_values(values: Iterable[str]) -> list[tuple[str, ...]]:
    """Values of a column that differ in case, spaces or underscores only. Signs mean something there: `<50` is not
    `>50`, and skin type `I-II` is not `III`."""
    return _alike(values, lambda value: re.sub(r"[\s_]+", "", unicodedata.normalize("NFKC", value).casefold()) or value)


def told(sets: list[tuple[str, ...]], what: str, shown: int = 3) -> str:
    """A line on look-alikes; "" where there are none.

    >>> told([("P1", "p1")], "group")
    "1 set of group names that may be one group: 'P1', 'p1'"
    """
    if not sets:
        return ""
    listed = "; ".join(", ".join(map(repr, names)) for names in sets[:shown])
    more = f"; and {len(sets) - shown} more" if len(sets) > shown else ""
    return f"{len(sets)} set{'s' * (len(sets) > 1)} of {what} names that may be one {what}: {listed}{more}"


def _alike(names: Iterable[str], key: Callable[[str], Hashable]) -> list[tuple[str, ...]]:
    sets: dict[Hashable, list[str]] = {}
    for name in dict.fromkeys(names):
        sets.setdefault(key(name), []).append(name)
    return [tuple(of) for of in sets.values() if len(of) > 1]


def _identity(group: str) -> Hashable:
    text = unicodedata.normalize("NFKC", group).casefold()
    text = re.sub(r"^(\d+)\.0+$", r"\1", text.strip())  # a number that a spreadsheet wrote with a fraction
    parts = re.findall(r"\d+|[^\W\d_]+", text)
    return tuple(part.lstrip("0") if part.isdecimal() else part for part in parts) or group
