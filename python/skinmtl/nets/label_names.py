"""The label names that a net was made for: the same in its data sets, and in every manifest that it is tested on.

A label is its index: under another order of the names every score would silently stand for another lesion.
"""

from __future__ import annotations

import json
from itertools import zip_longest
from pathlib import Path
from typing import Dict, List

from skinmtl.common.errors import InputError
from skinmtl.data.dataset import read_summary
from skinmtl.data.manifest import Manifest

LABELS_FILE = "labels.json"
KINDS = ("lesion_names", "location_names")
LabelNames = Dict[str, List[str]]  # KINDS -> names in the order of their indices


def names_of(train_data: Path, test_data: Path) -> LabelNames:
    """The names of two data sets. InputError where they are not the same."""
    train, test = read_summary(train_data), read_summary(test_data)
    for kind in KINDS:
        difference = _difference(train[kind], test[kind])
        if difference:
            raise InputError(
                f"{test_data}: {kind} other than in {train_data}: {difference}; build both from one manifest"
            )
    return {kind: train[kind] for kind in KINDS}


def check_manifest(manifest: Manifest, deploy: Path) -> None:
    """InputError unless a manifest has the names, in order, that a labels.json beside `deploy` has."""
    path = deploy.with_name(LABELS_FILE)
    if not path.is_file():
        return
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        for kind in KINDS:
            difference = _difference(known[kind], getattr(manifest, kind))
            if difference:
                names_file = manifest.path.with_name(kind.replace("_names", "s.txt"))
                raise InputError(
                    f"{manifest.path}: {kind} other than in {path}: {difference}; list those in {names_file}"
                )
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: not the label names of a net; run make_prototxt.py again") from None


def _difference(expected: list[str], found: list[str]) -> str:
    """The first place where two lists differ, in words; nothing where they do not."""
    for number, (want, have) in enumerate(zip_longest(expected, found)):
        if want != have:
            return f"number {number} is {have!r} for {want!r}"
    return ""
