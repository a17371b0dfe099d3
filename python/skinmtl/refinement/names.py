"""Names that differ by a slip: in case, spaces or punctuation, or by a few letters."""

from __future__ import annotations

import difflib
import re
import unicodedata
from typing import Iterable, Sequence

MANY = 200_000  # comparisons of two names: about two seconds


def plain(name: str) -> str:
    """The name's letters and digits, without case: equal for names that most likely mean one label."""
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", name).casefold()) or name


def nearest(unknown: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """For each unknown name the known one that was probably meant; names that are like none are left out.

    A difference in case, spaces or punctuation is always found; other slips only where the lists are short enough to
    compare all.
    """
    by_plain = {plain(name): name for name in known}
    compare_all = len(unknown) * len(by_plain) <= MANY
    found = {}
    for name in unknown:
        near = [plain(name)]
        if near[0] not in by_plain:
            near = difflib.get_close_matches(near[0], by_plain, 1, 0.8) if compare_all else []
        if near:
            found[name] = by_plain[near[0]]
    return found


def look_alikes(names: Iterable[str]) -> list[tuple[str, ...]]:
    """The groups of names that differ in case, spaces, punctuation or accents' spelling only."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(plain(name), []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]
