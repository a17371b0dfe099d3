"""What the ISIC challenges of 2016, 2017 and 2018 have in common: parts that are downloaded one by one.

Each split has a folder of images, a folder of masks and a table of labels, under names of their own. A user has some
of them, or all; what is not there is told. The images and masks of a part are looked for in the folder of its name,
however deep it lies: two challenges give one image the same name, but other bytes, and another mask.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import Any, Iterator, NamedTuple, Sequence

from caffe_files.errors import InputError
from skinmtl.data.near_images import without_case
from skinmtl.images import formats
from skinmtl.importers.files import Files
from skinmtl.importers.importer import Found, Option
from skinmtl.importers.source import Source

ONE_LESION = "lesion"  # the name that all lesions have with --one-class
BENIGN, MALIGNANT = "benign", "malignant"  # the names with --binary: ISIC 2016's, so that sets can be joined
SUPERPIXELS = "*_superpixels.png"

NO_TRUTH = "no row in the ground truth"
NO_TABLE = "no ground truth of its split"
NOT_0_OR_1 = "neither 0 nor 1"
SEVERAL_CLASSES = "several classes set"

ONE_CLASS = Option(
    "--one-class",
    f"call every lesion {ONE_LESION!r}, for nets of boxes and masks alone; no labels are needed",
    switch=True,
)


class Label(NamedTuple):
    """What an image shows, or the problem with its label and what is wrong there."""

    lesions: tuple[str, ...] = ()
    problem: str = ""
    detail: str = ""


class Part(NamedTuple):
    """One split as it is downloaded: names of folders (a zip's name without .zip) and of tables, the usual one first.

    labels  none: the split has no labels
    """

    split: str
    images: tuple[str, ...]
    masks: tuple[str, ...]
    labels: tuple[str, ...] = ()


class Entry(NamedTuple):
    """An image of a part. `record` is its row in the table of labels; None: it has none, and `file` is the image.

    image, mask  as `Found` has them
    """

    part: Part
    file: Path
    line: int
    name: str
    image: str
    mask: str
    record: dict[str, str] | None
    has_table: bool

    @property
    def no_record(self) -> str:
        """Why there is no record: the part's table is not there, or has no row of this image."""
        return NO_TRUTH if self.has_table else NO_TABLE

    def found(self, label: Label, **more: Any) -> Found:
        """What is found of the image, with its label and `more` that Found has; these sets name no site."""
        lesions, problem, detail = label
        return Found(
            file=self.file,
            line=self.line,
            image=self.image,
            lesions=lesions,
            sites=(),
            mask=self.mask,
            split=self.part.split,
            problem=problem,
            detail=detail,
            **more,
        )


class Downloads:
    """The folders and tables of a challenge that are there; `not_there` names those that are not, with their use."""

    def __init__(self, source: Source, parts: Sequence[Part]) -> None:
        self.source = source
        self.parts = parts
        self.images = Folders(source.image_files, [name for part in parts for name in part.images])
        self.masks = Folders(source.mask_files, [name for part in parts for name in part.masks])
        self.tables = {part.split: source.find_or_none(*part.labels) if part.labels else None for part in parts}
        if not (self.images.there or any(self.tables.values())):
            raise InputError(self._nothing())
        source.noticed["not_there"] = self.not_there()

    def _nothing(self) -> str:
        first = self.parts[0]
        looked_for = " or ".join((first.images[0], *first.labels[:1]))
        said = f"{self.source.root}: no {looked_for} there or in its folders, nor those of another split"
        if self.source.image_files is None and not first.labels:
            return f"{said}; this set has no table, so that --metadata-only has nothing to read"
        return f"{said}; unpack each zip into the folder of its name, and give the folder that holds them"

    def not_there(self) -> list[str]:
        """`NAME (what it is of which split)` of each part that is not there."""
        missing = []
        for part in self.parts:
            kinds = []
            if not (self.source.image_files is None or self.images.any_of(part.images)):
                kinds.append((part.images, "images"))
            if not (self.source.mask_files is None or self.masks.any_of(part.masks)):
                kinds.append((part.masks, "masks"))
            if part.labels and self.tables[part.split] is None:
                kinds.append((part.labels, "labels"))
            missing += [f"{names[0]} ({kind} of {part.split})" for names, kind in kinds]
        return missing

    def entries(self, part: Part, columns: Sequence[str], header: Sequence[str] | None = None) -> Iterator[Entry]:
        """The rows of the part's table, then the images of its folder that it does not name.

        columns  what the table must have; the first is the image's id
        header   the names of a table's columns that has no header
        """
        table = self.tables[part.split]
        named = set()
        for line, record in self.source.read(table, columns, header=header) if table is not None else ():
            name = stem(record[columns[0]])
            named.add(without_case(name))
            yield self._entry(part, table, line, name, record)
        root = self.source.root if self.source.image_files is None else self.source.image_files.root
        for name, path in self.images.of(part.images):
            if without_case(name) not in named and not without_case(name).endswith("_segmentation"):
                yield self._entry(part, root / path, 0, name, None)

    def _entry(self, part: Part, file: Path, line: int, name: str, record: dict[str, str] | None) -> Entry:
        image = self.images.ask(part.images, name)
        mask = self.masks.ask(part.masks, f"{name}_segmentation") if name else ""
        return Entry(part, file, line, name, image, mask, record, self.tables[part.split] is not None)


class Folders:
    """The image files in folders of given names, at any depth and in any case."""

    def __init__(self, files: Files | None, names: Sequence[str]) -> None:
        self._by_folder: dict[str, dict[str, list[str]]] = {without_case(name): {} for name in names}
        for name in files.names if files is not None else ():
            path = PurePosixPath(name)
            if formats.has_image_ending(path.name) and not path.match(SUPERPIXELS):
                for folder in {without_case(part) for part in path.parts[:-1]} & set(self._by_folder):
                    self._by_folder[folder].setdefault(without_case(path.stem), []).append(name)
        self.there = any(self._by_folder.values())

    def any_of(self, folders: Sequence[str]) -> bool:
        return any(self._by_folder[without_case(name)] for name in folders)

    def of(self, folders: Sequence[str]) -> Iterator[tuple[str, str]]:
        """(id, path) of each image, those of the first folder first, none twice."""
        seen = set()
        for folder in folders:
            for stem, paths in self._by_folder[without_case(folder)].items():
                if stem not in seen:
                    seen.add(stem)
                    yield PurePosixPath(paths[0]).stem, paths[0]

    def ask(self, folders: Sequence[str], name: str) -> str:
        """What to look for: the file in the first folder that has one; else the name in a folder that is there; else,
        where none of the challenge's folders is there, the bare name."""
        for folder in folders:
            found = self._by_folder[without_case(folder)].get(without_case(name), [])
            if found:
                return found[0] if len(found) == 1 else f"{folder}/{name}"
        return f"{folders[0]}/{name}" if name and self.there else name


def stem(image: str) -> str:
    path = PurePosixPath(image.strip().replace("\\", "/"))
    return path.stem if formats.has_image_ending(path.name) else path.name


def described(source: Source, name: str, columns: Sequence[str]) -> dict[str, dict[str, str]]:
    """Id in lower case -> these columns of a table that need not be there (the first is the id); {} where it is not."""
    path = source.find_or_none(name)
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for _, record in source.read(path, columns[:1]) if path is not None else ():
        values = {each: source.known(record[each]) for each in columns[1:] if each in record}
        found.setdefault(without_case(stem(record[columns[0]])), values)
    return found
