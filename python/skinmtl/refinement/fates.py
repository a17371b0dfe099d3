"""What became of each label, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

from skinmtl.refinement.relabel import Turns
from skinmtl.refinement.rules import Rule

KEPT, MERGED, DROPPED = "kept", "merged", "dropped"


@dataclass(frozen=True)
class Fate:
    """What became of a label of the manifest: `outcome` is kept, merged or dropped.

    before   its images in the manifest
    into     the label that its images have now; "" where it was dropped
    rules    what it met on the way; of a sublesion that stayed out of its family, that rule is the last
    because  the reason in words; "" for a label that nothing happened to
    """

    label: str
    before: int
    outcome: str
    into: str
    rules: tuple[Rule, ...]
    because: str


def fates(
    before: Mapping[str, int],
    ends: Turns,
    rules: Mapping[str, Rule],
    frequent: Mapping[str, int],
    rare: Mapping[str, int],
    after: Mapping[str, int],
    limit: int,
) -> tuple[Fate, ...]:
    """The fate of each label of `ends` (label -> where rules led it).

    `frequent` are the sublesions that stayed out of their family, `rare` the labels that were dropped since they had
    fewer than `limit` images, both with their images then; `before` and `after` are all labels' images.
    """
    found = []
    for label, end in ends.items():
        met = _rules_met(label, rules, frequent)
        because = _way(label, met, frequent)
        if end is None:
            outcome = DROPPED
        elif end not in after:
            outcome = DROPPED
            number = rare.get(end, 0)
            few = f"{number:,} image{'s' if number != 1 else ''}, fewer than {limit:,}" if number else "no image"
            because = f"{because}, then dropped: {few}" if because else few
        else:
            outcome = KEPT if end == label else MERGED
        into = end if outcome != DROPPED and end else ""
        found.append(Fate(label, before.get(label, 0), outcome, into, tuple(met), because))
    return tuple(found)


def _rules_met(label: str, rules: Mapping[str, Rule], frequent: Mapping[str, int]) -> list[Rule]:
    met = []
    name = label
    while name in rules:
        met.append(rules[name])
        if name in frequent:
            break
        name = met[-1].to
    return met


def _way(label: str, met: list[Rule], frequent: Mapping[str, int]) -> str:
    """`merged into b (map.csv:2), c (map.csv:3)` and the like."""
    stayed = met[-1] if met and met[-1].name in frequent else None
    followed = met[:-1] if stayed else met
    into = [f"{rule.to} ({rule.where})" for rule in followed if rule.to]
    words = [f"merged into {', '.join(into)}"] if into else []
    if followed and not followed[-1].to:
        words.append(f"dropped ({followed[-1].where})")
    if stayed:
        words.append(f"{frequent[stayed.name]:,} images: frequent enough to stay out of {stayed.to} ({stayed.where})")
    return ", ".join(words)
