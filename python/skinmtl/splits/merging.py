"""Groups that near-duplicate images link, made one."""

from __future__ import annotations

from dataclasses import replace
from typing import Sequence

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from caffe_files.errors import InputError
from skinmtl.data.manifest import Manifest
from skinmtl.splits.near_duplicates import Pair

ORIGINAL = "original_group"


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
