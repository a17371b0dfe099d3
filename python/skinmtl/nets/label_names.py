"""The label names that a net was made for: the same in its data sets, and in every manifest that it is tested on.

They are in net.json, beside older nets in labels.json.

A label is its index: under another order of the names every score would silently stand for another lesion.
"""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import Dict, List, Sequence

from caffe_files.errors import InputError
from skinmtl.common.json_file import read_json
from skinmtl.data.dataset import read_summary
from skinmtl.data.manifest import Manifest
from skinmtl.data.names import name_fault, spelled
from skinmtl.nets.net_record import KINDS, NET_FILE, REMEDY, read_net_record

LABELS_FILE = "labels.json"
LabelNames = Dict[str, List[str]]  # KINDS -> names in the order of their indices


def names_of(train_data: Path, test_data: Path) -> LabelNames | None:
    """The names of two data sets, or None where they are not both there. InputError where they are not the same."""
    for folder in (train_data, test_data):
        if not folder.exists():
            return None
    train, test = read_summary(train_data), read_summary(test_data)
    for kind in KINDS:
        difference = _difference(train[kind], test[kind], "the training data", "the test data")
        if difference:
            raise InputError(f"{test_data}: {kind} other than in {train_data}: {difference}; build both alike")
    return {kind: train[kind] for kind in KINDS}


def names_file(folder: Path) -> Path:
    """Where the names in a net's folder are, if they are."""
    older = folder / LABELS_FILE
    return older if older.is_file() and not (folder / NET_FILE).exists() else folder / NET_FILE


def read_label_names(folder: Path) -> LabelNames:
    """The names of a net's heads, as far as its folder has them, in their one spelling."""
    path = names_file(folder)
    names = {kind: list(map(spelled, of_kind)) for kind, of_kind in _read(folder, path).items()}
    for name in (name for of_kind in names.values() for name in of_kind):
        fault = name_fault(name)
        if fault:
            raise InputError(f"{path}: {fault} in {name!r}; correct the name in the data, and make both again")
    return names


def known_names(deploy: Path, train_data: Sequence[Path]) -> LabelNames:
    """The names of a net's heads, as its folder has them, else the first data set that it was trained on. InputError
    where neither has."""
    names = read_label_names(deploy.parent)
    if not names and train_data:
        summary = read_summary(train_data[0])
        names = {kind: list(summary[kind]) for kind in KINDS}
    if not names:
        raise InputError(
            f"{names_file(deploy.parent)}: no names of the net's labels; give --trained-on, the LMDBs that it was "
            "trained on"
        )
    return names


def _read(folder: Path, path: Path) -> LabelNames:
    if path.name == NET_FILE:
        record = read_net_record(folder)
        return record.names if record else {}
    names = {kind: listed for kind, listed in read_json(path, REMEDY).items() if kind in KINDS}
    if not all(isinstance(listed, list) and all(isinstance(name, str) for name in listed) for listed in names.values()):
        raise InputError(f"{path}: not the label names of a net; {REMEDY}")
    return names


def check_manifest(manifest: Manifest, deploy: Path) -> None:
    """InputError unless a manifest has the names, in order, that are beside `deploy` for its heads. The classes of a
    mask net are the manifest's lesions."""
    record = None if names_file(deploy.parent).name == LABELS_FILE else read_net_record(deploy.parent)
    classes = {"lesion_names": record.class_names} if record and record.class_names else {}
    for kind, known in {**classes, **read_label_names(deploy.parent)}.items():
        if known and kind == "location_names" and not manifest.location_names:
            raise InputError(f"{manifest.path}: no column 'location', which {deploy} has a head for; add it")
        difference = _difference(known, getattr(manifest, kind), "the net", "the manifest")
        if difference:
            path = names_file(deploy.parent)
            listed = manifest.path.with_name(kind.replace("_names", "s.txt"))
            external = "" if classes else "; of another data set: score.py --external"
            raise InputError(
                f"{manifest.path}: {kind} other than in {path}: {difference}; list the net's names, in its order, in "
                f"{listed}{external}"
            )


def _difference(expected: list[str], found: list[str], first: str, second: str) -> str:
    """The first place where two lists differ, in words; nothing where they do not. `first` and `second` have them."""
    for number, (want, have) in enumerate(zip_longest(expected, found), 1):
        if have is None:
            return f"{second} does not have {want!r}"
        if want is None:
            return f"{first} does not have {have!r}"
        if want != have:
            return f"number {number} is {have!r} where {first} has {want!r}"
    return ""
