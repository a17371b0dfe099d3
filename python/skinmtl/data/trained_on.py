"""What a net was trained on, without names: digests of images' ids and contents, as a file of a run or a model folder.

An image is known again by its contents (the file's bytes) or by its id, however that is spelt. It is not known again
where it was saved anew under another name, cut or resized: find such images with leakage.py --near-duplicates.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Sequence

from caffe_files.errors import InputError
from skinmtl.common.json_file import read_json
from skinmtl.data.names import spelled
from skinmtl.data.near_images import one_path
from skinmtl.data.table import read_csv

FILE = "trained_on.json"
FORMAT = "skinmtl trained on, version 1"
# training and validation images of the run itself, then the training images of the runs that its weights came from
ROLES = ("training", "validation", "earlier")
STARTS = ("none", "recorded", "not recorded")  # what the weights that it started from were trained on
DIGITS = 32  # of a sha256, in hexadecimal: 128 bits
REMEDY = "restore it, or train anew"


class Known(NamedTuple):
    """An image: digests of its id and contents, "" where not recorded, and its file's size in bytes, -1 likewise."""

    name: str
    size: int
    contents: str


@dataclass(frozen=True)
class TrainedOn:
    """The images of each of ROLES, digests of the training images' groups, and which of STARTS the net had."""

    images: dict[str, list[Known]]
    groups: list[str]
    start: str

    def has_contents(self) -> bool:
        """Whether the contents of all images are recorded, not their ids alone."""
        return all(known.contents for listed in self.images.values() for known in listed)

    def for_publishing(self) -> TrainedOn | None:
        """Without digests of ids and groups, which can be guessed one by one; None where there are no others."""
        if not self.has_contents():
            return None
        images = {role: sorted({known._replace(name="") for known in listed}) for role, listed in self.images.items()}
        return replace(self, images=images, groups=[])

    def text(self) -> str:
        """As the file has it, an image a line; the same images give the same text."""
        roles = ",\n".join(f' "{role}": {_lines([list(known) for known in self.images[role]])}' for role in ROLES)
        first = f' "format": {json.dumps(FORMAT)},\n "starting_weights": {json.dumps(self.start)}'
        return f'{{\n{first},\n{roles},\n "groups": {_lines(self.groups)}\n}}\n'


def _lines(values: Sequence[Any]) -> str:
    return "[" + ",".join(f"\n  {json.dumps(value)}" for value in values) + "]"


def name_digest(image: str) -> str:
    """Of an image's id, however it is spelt: see `near_images.one_path`."""
    return digest(one_path(image).encode("utf-8", "surrogatepass"))


def group_digest(group: str) -> str:
    """Of a patient's, case's or lesion's id, in its one spelling."""
    return digest(spelled(group).encode("utf-8", "surrogatepass"))


def digest(data: bytes) -> str:
    """Of a file's contents, or of a name."""
    return hashlib.sha256(data).hexdigest()[:DIGITS]


def images_of(data: Path) -> tuple[list[Known], list[str]]:
    """The images of a folder of make_lmdb.py, and digests of their groups, by its records.csv.

    Older folders have ids alone there, and no groups.
    """
    images, groups = set(), set()
    for line, record in read_csv(data / "records.csv", ("key", "image")):
        size, contents = record.get("bytes", ""), record.get("contents", "")
        if contents and not (size.isdecimal() and size.isascii() and len(size) < 19):
            raise InputError(f"{data / 'records.csv'}:{line}: {size!r} bytes; build the LMDBs again")
        images.add(Known(name_digest(record["image"]), int(size) if contents else -1, contents))
        if record.get("group"):
            groups.add(group_digest(record["group"]))
    return sorted(images), sorted(groups)


def read_trained_on(path: Path) -> TrainedOn:
    """InputError where the file is missing, or is not as `TrainedOn.text` makes it."""
    if not path.exists():
        raise InputError(f"{path}: missing, though the net was trained with one; {REMEDY}")
    record = read_json(path, REMEDY)
    if record.get("format") != FORMAT or record.get("starting_weights") not in STARTS:
        raise InputError(f"{path}: not the list of what a net was trained on; {REMEDY}")
    images = {role: [_known(path, each) for each in _list(path, record, role)] for role in ROLES}
    groups = _list(path, record, "groups")
    if not all(isinstance(group, str) for group in groups):
        raise InputError(f"{path}: groups are not all digests; {REMEDY}")
    return TrainedOn(images, groups, record["starting_weights"])


def _list(path: Path, record: dict[str, Any], name: str) -> list[Any]:
    values = record.get(name)
    if not isinstance(values, list):
        raise InputError(f"{path}: {name} is no list; {REMEDY}")
    return values


def _known(path: Path, values: Any) -> Known:
    if isinstance(values, list) and list(map(type, values)) == [str, int, str]:
        return Known(*values)
    raise InputError(f"{path}: an image that is not two digests and a size; {REMEDY}")
