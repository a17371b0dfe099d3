"""The label names that a net was made for: the same in its data sets, and in every manifest that it is tested on.

They are in net.json, beside older nets in labels.json.

A label is its index: under another order of the names every score would silently stand for another lesion.
"""

from __future__ import annotations

import json
from itertools import zip_longest
from pathlib import Path
from typing import Dict, List

from caffe_files.errors import InputError
from skinmtl.data.dataset import read_summary
from skinmtl.data.manifest import Manifest
from skinmtl.nets.net_record import KINDS, NET_FILE, read_net_record

LABELS_FILE = "labels.json"
LabelNames = Dict[str, List[str]]  # KINDS -> names in the order of their indices


def names_of(train_data: Path, test_data: Path) -> LabelNames | None:
    """The names of two data sets, or None where they are not both there. InputError where they are not the same."""
    for folder in (train_data, test_data):
        if not folder.exists():
            return None
    train, test = read_summary(train_data), read_summary(test_data)
    for kind in KINDS:
        difference = _difference(train[kind], test[kind])
        if difference:
            raise InputError(f"{test_data}: {kind} other than in {train_data}: {difference}; build both alike")
    return {kind: train[kind] for kind in KINDS}


def names_file(folder: Path) -> Path:
    """Where the names in a net's folder are, if they are."""
    older = folder / LABELS_FILE
    return older if older.is_file() and not (folder / NET_FILE).exists() else folder / NET_FILE


def read_label_names(folder: Path) -> LabelNames:
    """The names of a net's heads, as far as its folder has them."""
    path = names_file(folder)
    if path.name == NET_FILE:
        record = read_net_record(folder)
        return record.names if record else {}
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
        return {kind: [str(name) for name in names[kind]] for kind in KINDS if kind in names}
    except (ValueError, TypeError):
        raise InputError(f"{path}: not the label names of a net; run make_prototxt.py again") from None


def check_manifest(manifest: Manifest, deploy: Path) -> None:
    """InputError unless a manifest has the names, in order, that are beside `deploy` for its heads."""
    for kind, known in read_label_names(deploy.parent).items():
        difference = _difference(known, getattr(manifest, kind))
        if difference:
            path = names_file(deploy.parent)
            listed = manifest.path.with_name(kind.replace("_names", "s.txt"))
            raise InputError(f"{manifest.path}: {kind} other than in {path}: {difference}; list those in {listed}")


def _difference(expected: list[str], found: list[str]) -> str:
    """The first place where two lists differ, in words; nothing where they do not."""
    for number, (want, have) in enumerate(zip_longest(expected, found)):
        if want != have:
            return f"number {number} is {have!r} for {want!r}"
    return ""
