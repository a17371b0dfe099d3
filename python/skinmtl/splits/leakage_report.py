"""What tools/leakage.py does: what given folds leak, for people and as JSON."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Iterator, NamedTuple

from caffe_files.outputs import new_file
from skinmtl.common.json_file import write_json
from skinmtl.common.provenance import made_by, sha256
from skinmtl.data.folds import read_folds
from skinmtl.data.manifest import Manifest
from skinmtl.splits import near_report
from skinmtl.splits.group_notes import notes_on_groups
from skinmtl.splits.leakage import Leakage, leakage
from skinmtl.splits.near_duplicates import Search, find_near_duplicates


class Judgement(NamedTuple):
    """How many images of all folds together leak, how many have no group and so might, and lines for people."""

    leaking: int
    without_group: int
    lines: list[str]


def judge_folds(
    manifest: Manifest,
    folds_path: Path,
    search: Search | None,
    json_path: Path | None,
    arguments: dict[str, Any],
) -> Judgement:
    """Counts, for each fold as the test fold, the images with a sibling in training; writes `json_path`, if any."""
    folds = read_folds(folds_path, manifest)
    groups = [row.group for row in manifest.rows]
    report: dict[str, Any] = {
        **made_by(arguments),
        "manifest_sha256": sha256(manifest.path),
        "folds_sha256": sha256(folds_path),
        "without_group": manifest.without_group,
    }
    said = []
    with ExitStack() as outputs:  # opened before the work, so that a place that cannot be written to is told at once
        partial = outputs.enter_context(new_file(json_path)) if json_path else None
        pairs = None
        if search:
            duplicates = find_near_duplicates(manifest, groups, search)
            pairs = duplicates.pairs
            report["near_duplicates"] = near_report.record(manifest, duplicates, search)
            said += near_report.lines(report["near_duplicates"])
        found = leakage(groups, folds, pairs)
        if partial:
            report.update(_record(manifest, found, folds.tolist()))
            write_json(partial, report)
    said += notes_on_groups(manifest, "siblings among them are not found")
    if len(set(groups)) == len(groups) > manifest.without_group:
        said.append("no two images have the same group, so none can have a sibling; judge by another --group-column?")
    return Judgement(int(found.either.sum()), manifest.without_group, [*said, *_table(found)])


def _table(found: Leakage) -> Iterator[str]:
    """Each fold, then all: its images, and how many of them leak in which way."""
    ways = {"sibling in training": found.siblings}
    if found.duplicates is not None:
        ways["near-duplicate in training"] = found.duplicates
        ways["either"] = found.either
    rows = [["test fold", "images", *(name for name in ways)]]
    for n, number in enumerate(found.numbers.tolist()):
        rows.append([str(number), str(found.test[n]), *(_of(way[n], found.test[n]) for way in ways.values())])
    rows.append(["all", str(found.test.sum()), *(_of(way.sum(), found.test.sum()) for way in ways.values())])
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        yield "  ".join(cell.rjust(width) for cell, width in zip(row, widths))


def _of(part: int, whole: int) -> str:
    return f"{part} ({100 * part / whole:.1f} %)"


def _record(manifest: Manifest, found: Leakage, folds: list[int]) -> dict[str, Any]:
    by_fold = []
    for n, number in enumerate(found.numbers.tolist()):
        counts = {"fold": number, "images": int(found.test[n]), "with_sibling": int(found.siblings[n])}
        if found.duplicates is not None:
            counts["with_near_duplicate"] = int(found.duplicates[n])
            counts["with_either"] = int(found.either[n])
        by_fold.append(counts)
    record: dict[str, Any] = {
        "images": int(found.test.sum()),
        "leaking": int(found.either.sum()),
        "by_fold": by_fold,
        "groups_in_several_folds": list(found.groups),
    }
    if found.duplicates is not None:
        record["near_duplicates_in_several_folds"] = [
            {
                "image_a": manifest.rows[pair.a].image,
                "image_b": manifest.rows[pair.b].image,
                "distance": pair.distance,
                "correlation": pair.correlation,
                "mirrored": pair.mirrored,
                "fold_a": folds[pair.a],
                "fold_b": folds[pair.b],
            }
            for pair in found.pairs
        ]
    return record
