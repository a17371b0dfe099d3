"""The manifest: which image shows which lesions at which body location, and whom it belongs to."""

from __future__ import annotations

import csv
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Iterable, Iterator, Sequence

import numpy as np

from skinmtl.common.errors import InputError

COLUMNS = ("image", "lesions", "location")


@dataclass(frozen=True)
class Row:
    """One image of the manifest; `line` is its line in the file, `group` what must not straddle folds."""

    line: int
    image: str
    lesions: tuple[str, ...]
    location: str
    group: str


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


def read_csv(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields (line, column -> stripped value) for each record of a UTF-8 CSV that has at least `columns`."""
    line = 0
    try:
        with open(str(path), encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            for name in (*columns, *filter(None, header)):
                if header.count(name) != 1:
                    found = "no" if name not in header else "more than one"
                    raise InputError(f"{path}:1: {found} column {name!r}; the header must have {','.join(columns)}")
            line = reader.line_num
            for record in reader:
                first, line = line + 1, reader.line_num
                if not record:
                    continue
                if len(record) != len(header):
                    raise InputError(
                        f"{path}:{first}: {len(record)} fields where the header has {len(header)}; "
                        "quote a field that holds a comma"
                    )
                yield first, {name: value.strip() for name, value in zip(header, record)}
    except UnicodeDecodeError:
        raise InputError(f"{path}:{_undecodable_line(path)}: not UTF-8; save the file as UTF-8") from None
    except csv.Error as error:
        raise InputError(f"{path}:{line + 1}: not CSV ({error}); correct the line") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None


def _undecodable_line(path: Path) -> int:
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            return number
    return 1


def _rows(path: Path) -> Iterator[Row]:
    first_lines: dict[str, int] = {}
    for line, record in read_csv(path, COLUMNS):
        image = record["image"]
        _check_image_name(path, line, image)
        key = str(PurePosixPath(image))
        if key in first_lines:
            raise InputError(
                f"{path}:{line}: image {image!r} stands on line {first_lines[key]} too; keep one line an image"
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
        yield Row(line, image, lesions, record["location"], record.get("group") or image)


def _check_image_name(path: Path, line: int, image: str) -> None:
    if not image:
        raise InputError(f"{path}:{line}: no image name; give its path below the image folder")
    if _has_control_character(image):
        raise InputError(f"{path}:{line}: a line break or control character in image {image!r}; rename it")
    if PurePosixPath(image).is_absolute() or PureWindowsPath(image).is_absolute():
        raise InputError(f"{path}:{line}: image {image!r} is an absolute path; give it relative to the image folder")
    if ".." in PurePosixPath(image).parts:
        raise InputError(f"{path}:{line}: image {image!r} leaves the image folder ('..'); give a path inside it")


def _has_control_character(name: str) -> bool:
    return any(unicodedata.category(character) == "Cc" for character in name)


def _names(path: Path, used: Iterable[str]) -> tuple[str, ...]:
    if not path.exists():
        return tuple(sorted(set(used)))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}:{_undecodable_line(path)}: not UTF-8; save the file as UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check it") from None
    names = [name.strip() for name in text.split("\n")]  # splitlines() would split at rarer characters too
    if not names[-1]:
        names.pop()
    first_lines: dict[str, int] = {}
    for line, name in enumerate(names, 1):
        if not name:
            raise InputError(f"{path}:{line}: an empty line; one name a line, the line number is the label index")
        if ";" in name:
            raise InputError(f"{path}:{line}: ';' in the name {name!r}, which joins names in the manifest; rename it")
        if _has_control_character(name):
            raise InputError(f"{path}:{line}: a control character in {name!r}; correct it")
        if name in first_lines:
            raise InputError(f"{path}:{line}: {name!r} stands on line {first_lines[name]} too; keep one")
        first_lines[name] = line
    if not names:
        raise InputError(f"{path}: empty; one name a line, or remove the file")
    return tuple(names)
