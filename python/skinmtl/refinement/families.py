"""Where rules lead a label, and which sublesions are frequent enough to stay out of their family."""

from __future__ import annotations

from typing import Iterable, Mapping

from skinmtl.data.manifest import Row
from skinmtl.refinement.rules import LESION_FAMILY, Rule


def end_of(name: str, rules: Mapping[str, Rule]) -> str | None:
    """What merges and drops make of a label, however many there are in a row; None where it is dropped.

    A family is not entered here: who does depends on counts. The rules must not lead round in a circle.
    """
    while name in rules and rules[name].kind != LESION_FAMILY:
        name = rules[name].to
    return name or None


def merge_families(
    rows: Iterable[Row], rules: Mapping[str, Rule], keep_over: int
) -> tuple[dict[str, str | None], dict[str, int]]:
    """Decides for each sublesion of `rows`: (sublesion -> what it turns into, sublesion that stays -> its images).

    The deepest sublesions first, so that a family that is itself a sublesion is counted with what came into it. An
    image with two sublesions of a family counts once.
    """
    images: dict[str, set[int]] = {}
    for n, row in enumerate(rows):
        for name in row.lesions:
            images.setdefault(name, set()).add(n)
    turns: dict[str, str | None] = {}
    stay: dict[str, int] = {}
    for name in _deepest_first(rules):
        of_name = images.get(name, set())
        if len(of_name) > keep_over:
            stay[name] = len(of_name)
            continue
        family = end_of(rules[name].to, rules)
        turns[name] = family
        if family:
            images.setdefault(family, set()).update(of_name)
    return {name: _last(name, turns) for name in turns}, stay


def _deepest_first(rules: Mapping[str, Rule]) -> list[str]:
    depths: dict[str, int] = {}
    for start in rules:
        path = []
        name = start
        while name in rules and name not in depths:
            path.append(name)
            name = rules[name].to
        depth = depths.get(name, 0)
        for each in reversed(path):
            depth += 1
            depths[each] = depth
    sublesions = [name for name, rule in rules.items() if rule.kind == LESION_FAMILY]
    return sorted(sublesions, key=lambda name: -depths[name])


def _last(name: str, turns: Mapping[str, str | None]) -> str | None:
    end: str | None = name
    while end is not None and end in turns:
        end = turns[end]
    return end
