"""The paper's refinement of labels: merges, families of sublesions, and no label with too few images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Sequence

from caffe_files.errors import InputError
from skinmtl.data.manifest import Manifest, Row
from skinmtl.data.names import look_alikes
from skinmtl.refinement.families import end_of, merge_families
from skinmtl.refinement.fates import Fate, fates
from skinmtl.refinement.names import nearest
from skinmtl.refinement.rare import drop_rare
from skinmtl.refinement.relabel import Gone, Turns, lesion_counts, relabel, site_counts
from skinmtl.refinement.rules import LabelMap, Rule, RuleSet, combine, is_site


@dataclass(frozen=True)
class Limits:
    """Lesions with fewer than `lesion_images` images and sites with fewer than `site_images` go; a sublesion with more
    than `keep_over` stays out of its family."""

    lesion_images: int = 10
    site_images: int = 10
    keep_over: int = 1000


@dataclass(frozen=True)
class Step:
    """How many images there are after a step, in all and with each label (labels without an image are left out)."""

    title: str
    images: int
    lesions: Mapping[str, int]
    sites: Mapping[str, int]


@dataclass(frozen=True)
class Refinement:
    """A refined manifest and how it came about.

    rounds    how often labels had to be dropped for too few images
    unused    rules for labels that the manifest does not have, each with the label that was probably meant, or ""
    replaced  (rule of an earlier map, rule of a later map that took its place)
    alike     groups of labels that still differ in case, spaces or punctuation only
    """

    manifest: Manifest
    limits: Limits
    steps: tuple[Step, ...]
    rounds: int
    lesions: tuple[Fate, ...]
    sites: tuple[Fate, ...]
    gone: tuple[Gone, ...]
    unused: tuple[tuple[Rule, str], ...]
    replaced: tuple[tuple[Rule, Rule], ...]
    alike: tuple[tuple[str, ...], ...]


def refine(manifest: Manifest, maps: Sequence[LabelMap], limits: Limits) -> Refinement:
    """Applies the paper's rules, whose order it does not say. Ours loses the fewest labels; each step counts anew:

    1. locations are merged and dropped;
    2. lesions are merged and dropped: what must be one label is one before any rule looks at its count;
    3. families: a sublesion with at most `keep_over` images turns into its family. This comes before 4, or the images
       of a sublesion too rare for a class of its own would be lost to its family too;
    4. labels with too few images are dropped. Images that lose their last lesion or their location leave, and other
       labels may have too few now: repeated until none has.

    A step does not go back: a sublesion that stayed out of its family in step 3 stays out, whatever step 4 takes from
    it. InputError where no rule of a map is for a label of the manifest, or where no image is left.
    """
    rules = combine(maps)
    unused = _unused(manifest, maps, rules)
    steps, gone = [_step("as read", manifest.rows)], []

    def turn(title: str, rows: Sequence[Row], lesions: Turns, sites: Turns, reason: str) -> list[Row]:
        kept, lost = relabel(rows, lesions, sites, reason)
        steps.append(_step(title, kept))
        gone.extend(lost)
        return kept

    sites = {name: end_of(name, rules.sites) for name in manifest.location_names}
    no_site = "its location is dropped by a rule"
    rows = turn("1 locations merged, dropped", manifest.rows, {}, _changes(sites), no_site)
    merges = {name: end_of(name, rules.lesions) for name in manifest.lesion_names}
    no_lesion = "its last lesion is dropped by a rule"
    rows = turn("2 lesions merged, dropped", rows, _changes(merges), {}, no_lesion)
    families, frequent = merge_families(rows, rules.lesions, limits.keep_over)
    rows = turn("3 sublesions into families", rows, families, {}, no_lesion)
    lesions = {name: end and families.get(end, end) for name, end in merges.items()}

    rare = drop_rare(rows, limits.lesion_images, limits.site_images)
    gone.extend(rare.gone)
    steps.append(_step("4 labels with too few images dropped", rare.rows))
    if not rare.rows:
        raise InputError(f"{manifest.path}: no image would be left; lower the limits, or correct the maps")

    first, last = steps[0], steps[-1]
    refined = Manifest(manifest.path, tuple(rare.rows), _names(lesions, last.lesions), _names(sites, last.sites))
    return Refinement(
        refined,
        limits,
        tuple(steps),
        rare.rounds,
        fates(first.lesions, lesions, rules.lesions, frequent, rare.lesions, last.lesions, limits.lesion_images),
        fates(first.sites, sites, rules.sites, {}, rare.sites, last.sites, limits.site_images),
        _as_read(gone, manifest),
        unused,
        rules.replaced,
        tuple(look_alikes(refined.lesion_names) + look_alikes(refined.location_names)),
    )


def _step(title: str, rows: Sequence[Row]) -> Step:
    return Step(title, len(rows), lesion_counts(rows), site_counts(rows))


def _changes(ends: Turns) -> Turns:
    return {name: end for name, end in ends.items() if name != end}


def _as_read(gone: Sequence[Gone], manifest: Manifest) -> tuple[Gone, ...]:
    """With the labels that the manifest gave, in its order."""
    reasons = {lost.row.image: lost.reason for lost in gone}
    return tuple(Gone(row, reasons[row.image]) for row in manifest.rows if row.image in reasons)


def _names(ends: Turns, counts: Mapping[str, int]) -> tuple[str, ...]:
    """The labels that are left, in the old order; a new one stands where the first of those merged into it stood."""
    places: dict[str, int] = {}
    for place, (name, end) in enumerate(ends.items()):
        if end in counts:
            places.setdefault(end, place)
            if name == end:
                places[end] = place
    return tuple(sorted(places, key=places.__getitem__))


def _unused(manifest: Manifest, maps: Sequence[LabelMap], rules: RuleSet) -> tuple[tuple[Rule, str], ...]:
    """The rules that no label of the manifest comes to; InputError where a map has no others."""
    unused = []
    for of_side, names in ((rules.lesions, manifest.lesion_names), (rules.sites, manifest.location_names)):
        met = set()
        for name in names:
            while name in of_side and name not in met:
                met.add(name)
                name = of_side[name].to
        not_met = [name for name in of_side if name not in met]
        near = nearest(not_met, names)
        unused += [(of_side[name], near.get(name, "")) for name in not_met]
    keys = {(is_site(rule), rule.name): near for rule, near in unused}
    for label_map in maps:
        if all((is_site(rule), rule.name) in keys for rule in label_map.rules):
            rule = label_map.rules[0]
            hints = ((each, keys[is_site(each), each.name]) for each in label_map.rules)
            rule, near = next(((each, near) for each, near in hints if near), (rule, ""))
            hint = f" (the manifest has {near!r})" if near else ""
            raise InputError(
                f"{rule.where}: {rule.name!r} is no label of {manifest.path}{hint}, nor is any other of this map; "
                "correct the map, or leave it out"
            )
    return tuple(unused)
