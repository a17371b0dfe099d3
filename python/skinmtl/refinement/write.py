"""A refinement written down: the new manifest, and what became of each label and image."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping, Sequence

from caffe_files.outputs import new_folder
from skinmtl.common.json_file import write_json
from skinmtl.common.markdown import plain
from skinmtl.common.provenance import made_by, sha256
from skinmtl.data.manifest import write_manifest
from skinmtl.data.table import write_csv
from skinmtl.refinement.fates import DROPPED, KEPT, MERGED, Fate
from skinmtl.refinement.refine import Refinement
from skinmtl.refinement.rules import LabelMap, Rule

Escape = Callable[[str], str]
SHOWN = 10  # of a list that may be long, in what is printed; refinement.json has all


def in_cells(text: str) -> str:
    """A name in a table that is read as it is."""
    return text.replace("|", "\\|")


def write_refinement(out: Path, done: Refinement, maps: Sequence[LabelMap], arguments: dict[str, Any]) -> None:
    """Makes the folder: the refined manifest; refinement.json, .md and dropped_images.csv say what was done."""
    record = {
        "made_by": made_by(arguments),
        "sha256": _inputs(done.manifest.path, maps),
        "steps": [
            {
                "step": step.title,
                "images": step.images,
                "lesions": _frequent_first(step.lesions),
                "locations": _frequent_first(step.sites),
            }
            for step in done.steps
        ],
        "rounds_of_dropping": done.rounds,
        "lesions": [_fate_record(fate) for fate in done.lesions],
        "locations": [_fate_record(fate) for fate in done.sites],
        "images_dropped": dict(Counter(lost.reason for lost in done.gone)),
        "rules_for_no_label": [{**_rule_record(rule), "near": near} for rule, near in done.unused],
        "rules_replaced": [
            {"earlier": _rule_record(earlier), "later": _rule_record(later)} for earlier, later in done.replaced
        ],
        "labels_alike": done.alike,
    }
    with new_folder(out) as folder:
        write_manifest(folder, done.manifest)
        write_csv(
            folder / "dropped_images.csv",
            ["line", "image", "lesions", "location", "reason"],
            (
                [lost.row.line, lost.row.image, ";".join(lost.row.lesions), lost.row.location, lost.reason]
                for lost in done.gone
            ),
        )
        write_json(folder / "refinement.json", record)
        (folder / "refinement.md").write_text(
            f"# Refined labels\n\n{summary(done, plain)}\n{_each_label(done)}", encoding="utf-8"
        )


def summary(done: Refinement, escaped: Escape = in_cells) -> str:
    """What was done, as Markdown: the counts after each step, the labels that are left, and what needs a look.

    `escaped` is what becomes of names: for a terminal they need not be free of all markup.
    """
    first, last = done.steps[0], done.steps[-1]
    parts = [
        _table(
            ("step", "images", "lesions", "locations"),
            [(step.title, step.images, len(step.lesions), len(step.sites)) for step in done.steps],
            escaped,
        ),
        f"- {_fates_in_words('lesions', done.lesions)}\n- {_fates_in_words('locations', done.sites)}\n"
        f"- images: {last.images:,} of {first.images:,} left{_reasons(done)}\n"
        f"- fewest images allowed: {done.limits.lesion_images:,} per lesion, {done.limits.site_images:,} per location; "
        f"a sublesion with more than {done.limits.keep_over:,} stays out of its family\n"
        f"- rounds of dropping until each label that was left had enough: {done.rounds}",
        _labels_now("lesion", done.lesions, first.lesions, last.lesions, done.manifest.lesion_names, escaped),
        _labels_now("location", done.sites, first.sites, last.sites, done.manifest.location_names, escaped),
    ]
    if done.unused:
        shown = [
            escaped(f"{rule.name!r} ({rule.where}{f'; the manifest has {near!r}' if near else ''})")
            for rule, near in done.unused
        ]
        parts.append(f"{len(shown)} rules are for labels that the manifest does not have: {_some(shown)}")
    if done.replaced:
        shown = [
            escaped(f"{later.name!r} ({later.where} instead of {earlier.where})") for earlier, later in done.replaced
        ]
        parts.append(f"{len(shown)} rules were replaced by a later map's: {_some(shown)}")
    if done.alike:
        shown = [escaped(" and ".join(map(repr, group))) for group in done.alike]
        parts.append(f"labels that differ in case, spaces or punctuation only, perhaps to be merged: {_some(shown)}")
    return "\n\n".join(parts) + "\n"


def _inputs(manifest: Path, maps: Sequence[LabelMap]) -> dict[str, str]:
    beside = [manifest.with_name(name) for name in ("lesions.txt", "locations.txt")]
    files = {str(path): path for path in (manifest, *beside) if path.exists()}
    files.update({label_map.source: label_map.path for label_map in maps})
    return {name: sha256(path) for name, path in files.items()}


def _frequent_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _rule_record(rule: Rule) -> dict[str, str]:
    return {"from": rule.name, "to": rule.to, "kind": rule.kind, "rule": rule.where}


def _fate_record(fate: Fate) -> dict[str, Any]:
    return {
        "label": fate.label,
        "before": fate.before,
        "outcome": fate.outcome,
        "into": fate.into,
        "rules": [rule.where for rule in fate.rules],
        "because": fate.because,
    }


def _fates_in_words(what: str, fates: Sequence[Fate]) -> str:
    counted = Counter(fate.outcome for fate in fates)
    new = {fate.into for fate in fates if fate.outcome == MERGED} - {fate.label for fate in fates}
    return (
        f"{what}: {len(fates):,} listed: {counted[KEPT]:,} kept, {counted[MERGED]:,} merged, {counted[DROPPED]:,} "
        f"dropped; {len(new):,} new names; {counted[KEPT] + len(new):,} left"
    )


def _reasons(done: Refinement) -> str:
    counted = Counter(lost.reason for lost in done.gone)
    return "".join(f"; {number:,} dropped since {reason}" for reason, number in counted.items())


def _labels_now(
    what: str,
    fates: Iterable[Fate],
    before: Mapping[str, int],
    after: Mapping[str, int],
    names: Sequence[str],
    escaped: Escape,
) -> str:
    made_of = Counter(fate.into for fate in fates if fate.outcome == MERGED)
    return _table(
        (f"{what} now", "images before", "images now", "labels merged into it"),
        [(name, before.get(name, 0), after[name], made_of[name]) for name in names],
        escaped,
    )


def _each_label(done: Refinement) -> str:
    parts = []
    for what, fates in (("lesion", done.lesions), ("location", done.sites)):
        rows = [(fate.label, fate.before, fate.outcome, fate.into, fate.because) for fate in fates]
        parts.append(
            f"## What became of each {what}\n\n{_table((what, 'images', 'outcome', 'now', 'because'), rows, plain)}\n"
        )
    return "\n".join(parts)


def _some(shown: Sequence[str]) -> str:
    more = f", and {len(shown) - SHOWN} more: see refinement.json" if len(shown) > SHOWN else ""
    return ", ".join(shown[:SHOWN]) + more


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]], escaped: Escape) -> str:
    """A Markdown table that can be read as it is: numbers to the right."""
    rows = list(rows)
    numbers = [bool(rows) and all(isinstance(row[i], int) for row in rows) for i in range(len(header))]
    cells = [list(header)] + [
        [f"{value:,}" if isinstance(value, int) else escaped(value) for value in row] for row in rows
    ]
    widths = [max(len(line[i]) for line in cells) for i in range(len(header))]
    lines = [
        "| "
        + " | ".join(text.rjust(w) if number else text.ljust(w) for text, w, number in zip(line, widths, numbers))
        + " |"
        for line in cells
    ]
    rule = "|" + "|".join("-" * (w + 1) + (":" if number else "-") for w, number in zip(widths, numbers)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
