"""Which images a label's contact sheet shows."""

from __future__ import annotations

from typing import Sequence

import numpy as np

from skinmtl.data.manifest import Manifest


def sample(manifest: Manifest, per_label: int, seed: int) -> dict[str, list[list[int]]]:
    """ "lesion" and "location" -> for each label `per_label` of its rows at most, in a seeded random order.

    A group gives its second image only after every group has given one (our choice): the images of one patient are
    alike, and a sheet of them would say little of the label. One random order serves all labels, so that a label's
    sample does not depend on which others there are.
    """
    order = np.random.RandomState(seed).permutation(len(manifest.rows))
    lesions: list[list[int]] = [[] for _ in manifest.lesion_names]
    locations: list[list[int]] = [[] for _ in manifest.location_names]
    lesion = {name: p for p, name in enumerate(manifest.lesion_names)}
    location = {name: q for q, name in enumerate(manifest.location_names)}
    for n in order.tolist():
        row = manifest.rows[n]
        for name in row.lesions:
            lesions[lesion[name]].append(n)
        locations[location[row.location]].append(n)
    groups = [row.group for row in manifest.rows]
    return {
        kind: [_over_groups(rows, groups)[:per_label] for rows in of_labels]
        for kind, of_labels in (("lesion", lesions), ("location", locations))
    }


def _over_groups(rows: Sequence[int], groups: Sequence[str]) -> list[int]:
    """The rows, every group's first before any group's second, and so on."""
    taken: dict[str, int] = {}
    turns = []
    for n in rows:
        turn = taken.get(groups[n], 0)
        taken[groups[n]] = turn + 1
        turns.append(turn)
    return [rows[at] for at in np.argsort(turns, kind="stable")]
