"""The label names that a net was made for: the same in its data sets, and in every manifest that it is tested on.

A label is its index: under another order of the names every score would silently stand for another lesion.
"""

from __future__ import annotations

import json
from itertools import zip_longest
from pathlib import Path
from typing import Dict, Iterable, List

from caffe_files.errors import InputError
from caffe_files.outputs import new_file
from skinmtl.common.json_file import write_json
from skinmtl.data.dataset import read_summary
from skinmtl.data.manifest import Manifest

LABELS_FILE = "labels.json"
KINDS = ("lesion_names", "location_names")
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


def write_label_names(names: LabelNames | None, heads: Iterable[str], out: Path) -> None:
    """Writes labels.json with the names of a net's heads; where they are not known, that of an earlier net goes."""
    path = out / LABELS_FILE
    if names is None:
        if path.exists():
            path.unlink()
        return
    of_heads = {f"{head}_names": names[f"{head}_names"] for head in heads}
    with new_file(path) as partial:
        write_json(partial, of_heads)


def read_label_names(folder: Path) -> LabelNames:
    """What labels.json in a net's folder has: nothing where there is none."""
    path = folder / LABELS_FILE
    if not path.is_file():
        return {}
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
        return {kind: [str(name) for name in names[kind]] for kind in KINDS if kind in names}
    except (ValueError, TypeError):
        raise InputError(f"{path}: not the label names of a net; run make_prototxt.py again") from None


def check_manifest(manifest: Manifest, deploy: Path) -> None:
    """InputError unless a manifest has the names, in order, that labels.json beside `deploy` has for its heads."""
    for kind, known in read_label_names(deploy.parent).items():
        difference = _difference(known, getattr(manifest, kind))
        if difference:
            path = deploy.with_name(LABELS_FILE)
            names_file = manifest.path.with_name(kind.replace("_names", "s.txt"))
            raise InputError(f"{manifest.path}: {kind} other than in {path}: {difference}; list those in {names_file}")


def _difference(expected: list[str], found: list[str]) -> str:
    """The first place where two lists differ, in words; nothing where they do not."""
    for number, (want, have) in enumerate(zip_longest(expected, found)):
        if want != have:
            return f"number {number} is {have!r} for {want!r}"
    return ""
