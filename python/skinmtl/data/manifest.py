"""The manifest: which image shows which lesions at which body location, and whom it belongs to."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Iterable, Iterator, Mapping

import numpy as np

from caffe_files.errors import InputError
from caffe_files.inputs import regular_file
from skinmtl.data.table import read_csv, undecodable_line, write_csv

COLUMNS = ("image", "lesions", "location")
KNOWN_COLUMNS = (*COLUMNS, "group")
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # Unicode's Cc, and halves of surrogate pairs


@dataclass(frozen=True)
class Row:
    """One image of the manifest; `line` is its line in the file, `group` what must not straddle folds.

    `others` are the columns that the library does not know, kept for those who do.
    """

    line: int
    image: str
    lesions: tuple[str, ...]
    location: str
    group: str
    others: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Manifest:
    """A checked manifest. A name's place in `lesion_names` (P) or `location_names` (Q) is its label index."""

    path: Path
    rows: tuple[Row, ...]
    lesion_names: tuple[str, ...]
    location_names: tuple[str, ...]

    def lesion_labels(self) -> np.ndarray:
        """(N, P) uint8: 1 where image n shows lesion p."""
        index = {name: p for p, name in enumerate(self.lesion_names)}
        labels = np.zeros((len(self.rows), len(index)), np.uint8)
        for n, row in enumerate(self.rows):
            labels[n, [index[name] for name in row.lesions]] = 1
        return labels

    def location_labels(self) -> np.ndarray:
        """(N,) int64: the location's index."""
        index = {name: q for q, name in enumerate(self.location_names)}
        return np.array([index[row.location] for row in self.rows], np.int64)


def read_manifest(path: Path) -> Manifest:
    """Reads `manifest.csv` and, beside it, `lesions.txt` and `locations.txt` (absent: the manifest's sorted names).

    A row without a group is its own group. InputError names the line of whatever is wrong.
    """
    path = Path(path)
    rows = tuple(_rows(path))
    if not rows:
        raise InputError(f"{path}: no images; add a line for each")
    lesion_names = _names(path.with_name("lesions.txt"), (name for row in rows for name in row.lesions))
    location_names = _names(path.with_name("locations.txt"), (row.location for row in rows))
    lesions, locations = set(lesion_names), set(location_names)
    for row in rows:
        for name in row.lesions:
            if name not in lesions:
                raise InputError(
                    f"{path}:{row.line}: lesion {name!r} is not in lesions.txt; correct it or add it there"
                )
        if row.location not in locations:
            raise InputError(
                f"{path}:{row.line}: location {row.location!r} is not in locations.txt; correct it or add it there"
            )
    return Manifest(path, rows, lesion_names, location_names)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes manifest.csv, lesions.txt and locations.txt into a folder that is being made; `path` plays no part."""
    others = list(dict.fromkeys(name for row in manifest.rows for name in row.others))
    records = (
        [row.image, ";".join(row.lesions), row.location, row.group, *(row.others.get(name, "") for name in others)]
        for row in manifest.rows
    )
    write_csv(folder / "manifest.csv", [*KNOWN_COLUMNS, *others], records)
    for name, names in (("lesions.txt", manifest.lesion_names), ("locations.txt", manifest.location_names)):
        (folder / name).write_text("".join(f"{each}\n" for each in names), encoding="utf-8")


def _rows(path: Path) -> Iterator[Row]:
    first_lines: dict[str, int] = {}
    for line, record in read_csv(path, COLUMNS):
        image = record["image"]
        fault = image_name_fault(image)
        if fault:
            raise InputError(f"{path}:{line}: {fault}")
        key = str(PurePosixPath(image))
        if key in first_lines:
            raise InputError(
                f"{path}:{line}: image {image!r} is on line {first_lines[key]} too; keep one line per image"
            )
        first_lines[key] = line
        lesions = tuple(name.strip() for name in record["lesions"].split(";"))
        if "" in lesions:
            raise InputError(f"{path}:{line}: an empty lesion label; name one or more lesions, joined by ';'")
        if len(set(lesions)) != len(lesions):
            raise InputError(f"{path}:{line}: a lesion is named twice in {record['lesions']!r}; name each once")
        if not record["location"]:
            raise InputError(f"{path}:{line}: an empty location label; name the body location")
        if ";" in record["location"]:
            raise InputError(f"{path}:{line}: location {record['location']!r} names more than one; name one")
        for name in (*lesions, record["location"]):
            if _has_control_character(name):
                raise InputError(f"{path}:{line}: a line break or control character in {name!r}; correct it")
        others = {name: value for name, value in record.items() if name and name not in KNOWN_COLUMNS}
        yield Row(line, image, lesions, record["location"], record.get("group") or image, others)


def image_name_fault(image: str) -> str:
    """Why an image's name cannot stand in a manifest and what to do, or "" where it can."""
    if not image:
        return "no image name; give its path below the image folder"
    if _has_control_character(image):
        return f"a line break or control character in image {image!r}; rename it"
    if image.startswith("/") or (any(mark in image for mark in ":\\") and PureWindowsPath(image).is_absolute()):
        return f"image {image!r} is an absolute path; give it relative to the image folder"
    if ".." in image and ".." in PurePosixPath(image).parts:
        return f"image {image!r} leaves the image folder ('..'); give a path inside it"
    return ""


def _has_control_character(name: str) -> bool:
    return CONTROL.search(name) is not None


def _names(path: Path, used: Iterable[str]) -> tuple[str, ...]:
    if not path.exists():
        return tuple(sorted(set(used)))
    try:
        text = regular_file(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}:{undecodable_line(path)}: not UTF-8; save the file as UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check it") from None
    names = [name.strip() for name in text.split("\n")]  # splitlines() would split at rarer characters too
    if not names[-1]:
        names.pop()
    first_lines: dict[str, int] = {}
    for line, name in enumerate(names, 1):
        if not name:
            raise InputError(f"{path}:{line}: an empty line; write one name per line: its number is the label index")
        if ";" in name:
            raise InputError(f"{path}:{line}: ';' in the name {name!r}, which joins names in the manifest; rename it")
        if _has_control_character(name):
            raise InputError(f"{path}:{line}: a control character in {name!r}; correct it")
        if name in first_lines:
            raise InputError(f"{path}:{line}: {name!r} stands on line {first_lines[name]} too; keep one")
        first_lines[name] = line
    if not names:
        raise InputError(f"{path}: empty; write one name per line, or remove the file")
    return tuple(names)
