"""Label names that may be one label written in two ways: a hint for a person, nothing is merged."""

from __future__ import annotations

import re
from collections import defaultdict
from difflib import SequenceMatcher
from itertools import combinations
from typing import Sequence

from skinmtl.data.names import plain

ALIKE = 0.9  # difflib's ratio, our choice: "macule" and "papule" (0.67) stay apart, "naevus" and "naevuss" do not
COMPARED_AT_MOST = 400  # names: every pair is compared, which takes seconds for more
LONGEST = 80  # characters of a name that are compared


def near_names(names: Sequence[str]) -> list[tuple[str, str, str]]:
    """(name, other, why) for each pair that differs in case, spaces, signs or a plural only, or in a few letters.

    Names that differ in numbers ("grade 1", "grade 2") are no hint. Spelling is compared up to COMPARED_AT_MOST names.
    """
    by_plain: dict[str, list[str]] = defaultdict(list)
    for name in names:
        by_plain[plain(name)].append(name)
    same = [pair for alike in by_plain.values() for pair in combinations(alike, 2)]
    found = [(a, b, "the same but for case, spaces, signs or a plural") for a, b in same]
    if len(names) <= COMPARED_AT_MOST:
        for (plain_a, names_a), (plain_b, names_b) in combinations(by_plain.items(), 2):
            if _spelled_alike(plain_a[:LONGEST], plain_b[:LONGEST]):
                found.append((names_a[0], names_b[0], "spelled alike"))
    order = {name: n for n, name in enumerate(names)}
    return sorted(found, key=lambda each: (order[each[0]], order[each[1]]))


def _spelled_alike(a: str, b: str) -> bool:
    if re.findall(r"\d+", a) != re.findall(r"\d+", b):
        return False
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    return matcher.real_quick_ratio() >= ALIKE and matcher.quick_ratio() >= ALIKE and matcher.ratio() >= ALIKE
