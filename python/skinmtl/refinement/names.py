"""Names that differ by a slip: in case, spaces or punctuation, or by a few letters."""

from __future__ import annotations

import difflib
from typing import Sequence

from skinmtl.data.names import plain

MANY = 200_000  # comparisons of two names: about two seconds


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
