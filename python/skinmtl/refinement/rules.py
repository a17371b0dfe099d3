"""Label maps: CSV tables of `from,to,kind`, each line a rule for one lesion or one body location."""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Mapping

from caffe_files.errors import InputError
from skinmtl.data.names import name_fault, spelled
from skinmtl.data.table import read_csv

READY_MAPS = Path(__file__).with_name("maps")
COLUMNS = ("from", "to", "kind")
LESION_FAMILY, LESION_MERGE, LESION_DROP = "lesion-family", "lesion-merge", "lesion-drop"
SITE_MERGE, SITE_DROP = "site-merge", "site-drop"
KINDS = (LESION_FAMILY, LESION_MERGE, LESION_DROP, SITE_MERGE, SITE_DROP)


@dataclass(frozen=True)
class Rule:
    """What becomes of the label `name`: it turns into `to`, or goes (`to` is empty), as `kind` says.

    lesion-merge   always: the label turns into `to`
    lesion-family  the label is a sublesion of `to`: it turns into it, unless it is frequent
    lesion-drop    the label is taken off its images
    site-merge     the location turns into `to`
    site-drop      the images at this location leave the manifest
    """

    name: str
    to: str
    kind: str
    source: str
    line: int

    @property
    def where(self) -> str:
        """The map and the line, as in `map.csv:7`."""
        return f"{self.source}:{self.line}"


@dataclass(frozen=True)
class LabelMap:
    """The rules of one file. `source` is the name of a ready map, or the path as given."""

    source: str
    path: Path
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class RuleSet:
    """The rules of all maps, by the label that they are for; `replaced` are (earlier, later) rules for one label."""

    lesions: Mapping[str, Rule]
    sites: Mapping[str, Rule]
    replaced: tuple[tuple[Rule, Rule], ...]


def ready_maps() -> dict[str, Path]:
    """The maps that come with the package: name -> file."""
    return {path.stem: path for path in sorted(READY_MAPS.glob("*.csv"))}


def kinds_of(label_map: LabelMap) -> str:
    """How many rules of each kind: '3 lesion-merge, 2 site-merge'."""
    counted = Counter(rule.kind for rule in label_map.rules)
    return ", ".join(f"{counted[kind]} {kind}" for kind in KINDS if counted[kind])


def read_label_map(name: str) -> LabelMap:
    """Reads a map by its path or by the name of a ready one; InputError names the line of whatever is wrong.

    A ready map's name wins over a file of the same name: ./NAME is the file. Columns beyond from, to and kind, such as
    a note, are not read.
    """
    ready = ready_maps()
    path = ready.get(name, Path(name))
    if name not in ready and not path.exists():
        near = difflib.get_close_matches(path.name, ready, 1)
        hint = f"did you mean {near[0]}?" if near else f"the ready maps are {', '.join(ready)}"
        raise InputError(f"{name}: no such file, and no ready map; {hint}")
    rules: dict[tuple[bool, str], Rule] = {}
    for line, record in read_csv(path, COLUMNS):
        rule = Rule(spelled(record["from"]), spelled(record["to"]), record["kind"], name, line)
        _check(rule)
        key = (is_site(rule), rule.name)
        if key in rules:
            raise InputError(f"{rule.where}: {rule.name!r} has a rule on line {rules[key].line} too; keep one")
        rules[key] = rule
    if not rules:
        raise InputError(f"{name}: no rules; add a line for each, or leave this map out")
    return LabelMap(name, path, tuple(rules.values()))


def combine(maps: Iterable[LabelMap]) -> RuleSet:
    """One set of rules of all maps. For a label with a rule in several maps the last map's counts.

    InputError where rules lead round in a circle.
    """
    lesions: dict[str, Rule] = {}
    sites: dict[str, Rule] = {}
    replaced = []
    for label_map in maps:
        for rule in label_map.rules:
            side = sites if is_site(rule) else lesions
            earlier = side.get(rule.name)
            if earlier and (earlier.to, earlier.kind) != (rule.to, rule.kind):
                replaced.append((earlier, rule))
            side[rule.name] = rule
    for side in (lesions, sites):
        _check_circles(side)
    return RuleSet(lesions, sites, tuple(replaced))


def is_site(rule: Rule) -> bool:
    """Whether the rule is for a body location; else it is for a lesion."""
    return rule.kind in (SITE_MERGE, SITE_DROP)


def _check(rule: Rule) -> None:
    if rule.kind not in KINDS:
        near = difflib.get_close_matches(rule.kind.lower(), KINDS, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(KINDS)}"
        raise InputError(f"{rule.where}: no kind {rule.kind!r}; {hint}")
    if not rule.name:
        raise InputError(f"{rule.where}: 'from' is empty; name the label that the rule is for")
    drops = rule.kind in (LESION_DROP, SITE_DROP)
    if drops and rule.to:
        raise InputError(f"{rule.where}: a {rule.kind} leads nowhere, but 'to' is {rule.to!r}; empty it")
    if not drops and not rule.to:
        instead = SITE_DROP if is_site(rule) else LESION_DROP
        raise InputError(f"{rule.where}: 'to' is empty; name the label that {rule.name!r} turns into, or use {instead}")
    if rule.name == rule.to:
        raise InputError(f"{rule.where}: {rule.name!r} turns into itself; leave the line out")
    if ";" in rule.to:
        raise InputError(f"{rule.where}: {rule.to!r} has a ';', which joins names in the manifest; name one label")
    for name in (rule.name, rule.to):
        fault = name_fault(name)
        if fault:
            raise InputError(f"{rule.where}: {fault} in {name!r}; correct it")


def _check_circles(rules: Mapping[str, Rule]) -> None:
    leads_out: set[str] = set()
    for start in rules:
        path: dict[str, None] = {}
        name = start
        while name in rules and name not in leads_out:
            if name in path:
                names = list(path)
                circle = [*names[names.index(name) :], name]
                shown = " -> ".join(circle if len(circle) < 8 else [*circle[:6], "...", name])
                raise InputError(f"{rules[name].where}: rules lead round in a circle: {shown}; leave one of them out")
            path[name] = None
            name = rules[name].to
        leads_out.update(path)
