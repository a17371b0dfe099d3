"""What tools/make_folds.py does: folds, their balance, near-duplicates across groups, written beside each other."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Sequence

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from caffe_files.errors import InputError
from caffe_files.outputs import new_file, new_folder
from skinmtl.common.json_file import write_json
from skinmtl.common.provenance import made_by, sha256
from skinmtl.data.folds import write_folds
from skinmtl.data.manifest import Manifest, write_manifest
from skinmtl.splits import balance, near_report
from skinmtl.splits.dealing import make_folds
from skinmtl.splits.group_notes import notes_on_groups
from skinmtl.splits.near_duplicates import Pair, Search, find_near_duplicates

ORIGINAL = "original_group"  # the column of a merged manifest


@dataclass(frozen=True)
class Split:
    """How to deal: `k` folds, by "group" or "image", with balance "labels" or "none" (see dealing.make_folds).

    search  how to look for near-duplicates across groups; None does not
    merged  the folder to make for a manifest whose groups near-duplicates have joined; None joins none
    """

    k: int
    seed: int
    by: str
    balance: str
    search: Search | None = None
    merged: Path | None = None


def report_path(out: Path) -> Path:
    """Where the report on the folds `out` goes."""
    return out.with_suffix(".json")


def pairs_path(out: Path) -> Path:
    """Where the near-duplicates go that were found for the folds `out`."""
    return out.with_name(out.stem + "_near_duplicates.csv")


def write_split(manifest: Manifest, out: Path, split: Split, arguments: dict[str, Any]) -> list[str]:
    """Writes the folds to `out` and the rest beside it; returns what to tell, a line each."""
    made = {**made_by(arguments), "manifest_sha256": sha256(manifest.path)}
    report, said = dict(made), []
    if split.by == "group":
        said += notes_on_groups(manifest, "where patients have several images, these folds part them")
    with ExitStack() as outputs:  # opened before the work, so that a place that cannot be written to is told at once
        report_file = outputs.enter_context(new_file(report_path(out)))
        merged = outputs.enter_context(new_folder(split.merged)) if split.merged else None
        if split.search:
            pairs_file = outputs.enter_context(new_file(pairs_path(out)))
            duplicates = find_near_duplicates(manifest, [row.group for row in manifest.rows], split.search)
            near_report.write_pairs(pairs_file, manifest, duplicates)
            near = report["near_duplicates"] = near_report.record(manifest, duplicates, split.search)
            said += near_report.lines(near)
            if merged:
                whole, manifest = manifest, merge_groups(manifest, duplicates.pairs)
                said.append(_merge_line(whole, manifest))
                n_groups = len({row.group for row in manifest.rows})
                if n_groups < split.k:
                    raise InputError(
                        f"{manifest.path}: with near-duplicates joined, its groups are {n_groups}, too few for "
                        f"{split.k} folds; lower --near-duplicates or the number of folds"
                    )
                write_manifest(merged, manifest)
                write_json(merged / "made_by.json", {**made, "near_duplicates": near})
        elif pairs_path(out).exists():
            said.append(f"{pairs_path(out)}: is of earlier folds, for which near-duplicates were looked for")
        folds = make_folds(manifest, split.k, split.seed, split.by, split.balance)
        found = balance.balance(manifest, folds, split.k, split.by)
        by_chance = None
        if split.balance != "none":
            by_chance = balance.balance_by_chance(manifest, split.k, split.seed, split.by)
        write_json(report_file, {**report, **balance.record(found, by_chance)})
        write_folds(out, manifest, folds)
    return [*said, *balance.lines(found, by_chance, split.by)]


def merge_groups(manifest: Manifest, pairs: Sequence[Pair]) -> Manifest:
    """The manifest with one group for all that the pairs link, directly or through others.

    It has the name of the first of them in the alphabet; the column `original_group` keeps the group that was. A
    manifest that has such a column already: InputError.
    """
    if any(ORIGINAL in row.others for row in manifest.rows):
        raise InputError(
            f"{manifest.path}:1: there is a column {ORIGINAL!r} already; merge the groups of the manifest that this "
            "one was made from, or rename the column"
        )
    names, of_row = np.unique([row.group for row in manifest.rows], return_inverse=True)
    of_row = of_row.reshape(-1)
    a, b = (of_row[[pair[side] for pair in pairs]] if pairs else np.zeros(0, np.int64) for side in (0, 1))
    links = coo_matrix((np.ones(len(a)), (a, b)), shape=(len(names), len(names)))
    _, component = connected_components(links, directed=False)
    _, first = np.unique(component, return_index=True)  # names are sorted: the first of each component
    merged = names[first[component]][of_row].tolist()
    rows = tuple(
        replace(row, group=group, others={**row.others, ORIGINAL: row.group})
        for row, group in zip(manifest.rows, merged)
    )
    return replace(manifest, rows=rows)


def _merge_line(before: Manifest, after: Manifest) -> str:
    sizes = Counter(row.group for row in after.rows)
    of_group: dict[str, set[str]] = {}
    for old, new in zip(before.rows, after.rows):
        of_group.setdefault(new.group, set()).add(old.group)
    n_before = sum(map(len, of_group.values()))
    if len(of_group) == n_before:
        return f"merged: nothing, the {n_before} groups stay as they are"
    largest = max(of_group, key=lambda name: (len(of_group[name]), sizes[name]))
    return (
        f"merged: {n_before} groups became {len(of_group)}; most were joined in {largest!r}: "
        f"{len(of_group[largest])} groups, {sizes[largest]} images"
    )
