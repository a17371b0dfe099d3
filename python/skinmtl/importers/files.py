"""The files below a folder, listed once, and found again by the names that tables give them."""

from __future__ import annotations

import filecmp
import operator
import os
from collections import defaultdict
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Callable, Iterable, Iterator, Sequence

from caffe_files.errors import InputError
from skinmtl.data.manifest import image_name_fault
from skinmtl.data.near_images import without_case
from skinmtl.images import formats


class Files:
    """All files below `root`, in a fixed order, without hidden ones (such as the ._ files that macOS leaves)."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise InputError(f"{self.root}: no such folder; give the folder that holds the data set's files")
        self.names = sorted(_walk(self.root))  # POSIX paths below root

    def matching(self, *patterns: str) -> list[str]:
        """The files whose own name fits one of the patterns (`*` and `?`) in any case: the first pattern's first."""
        found = [
            name
            for pattern in patterns
            for name in self.names
            if _fits(PurePosixPath(name).name.lower(), pattern.lower())
        ]
        return list(dict.fromkeys(found))


class Images:
    """The image files of a folder, found by id or path, with or without ending, in any case and in any subfolder.

    passed_over   files whose names fit a pattern of `without`, such as superpixels
    unusable      files whose path cannot stand in a manifest (not UTF-8, spaces at an end, a control character)
    other_ending  how often an image was found under another ending than the table's
    copies        name as asked for -> its files, where several have the same bytes and the first was taken
    in_other_folders  name as asked for, with folders -> files of that name that are only in others

    Only files that end as a format that is read are found; of others `why_unread` knows.
    """

    def __init__(self, files: Files, ending: str, without: Sequence[str] = ()) -> None:
        self.root = files.root
        self.passed_over: list[str] = files.matching(*without)
        self.unusable: list[str] = []
        self.other_ending = 0
        self.copies: dict[str, list[str]] = {}
        self.in_other_folders: dict[str, list[str]] = {}
        self._ending = ending.lower()
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        self._unread: dict[str, list[str]] = defaultdict(list)
        leave_out = set(self.passed_over)
        for name in files.names:
            path = PurePosixPath(name)
            if name in leave_out:
                continue
            if not formats.is_read(name):
                self._unread[without_case(path.name)].append(name)
                if formats.has_image_ending(name):
                    self._unread[without_case(path.stem)].append(name)
                continue
            if image_name_fault(name) or name != name.strip() or _not_utf8(name):
                self.unusable.append(ascii(name))
                continue
            self._by_name[without_case(path.name)].append(name)
            self._by_stem[without_case(path.stem)].append(name)

    def __len__(self) -> int:
        return sum(map(len, self._by_name.values()))

    def names(self) -> Iterator[str]:
        """All of them, below the root."""
        return (name for names in self._by_name.values() for name in names)

    def find(self, asked: str) -> list[str]:
        """The files, relative to the root, that `asked` can mean: none, one, or several where it is ambiguous.

        Folders in `asked` must agree with the file's as far as both go: `case7/01.jpg` is not `case8/01.jpg`. Of files
        with the same name, those win whose folders agree most, then those that agree in case, then those with the data
        set's own ending. Files with the same bytes count as one.
        """
        path = PurePosixPath(without_case(asked))
        has_ending = formats.has_image_ending(path.name)
        same_name = self._by_name.get(path.name, [])
        same_stem = self._by_stem.get(path.stem if has_ending else path.name, [])
        found = _in_folders(same_name, path)
        if not found:
            found = _in_folders(same_stem, path)
            self.other_ending += bool(found and has_ending)
            if not found and same_stem:
                self.in_other_folders[asked] = same_stem
        found = _best(found, lambda name: _agreeing(without_case(name), without_case(asked)))
        found = _best(found, lambda name: _agreeing(name, asked))
        found = _best(found, lambda name: name.lower().endswith(self._ending))
        if len(found) > 1 and _same_bytes([self.root / name for name in found]):
            self.copies[asked] = found
            found = found[:1]
        return found

    def why_unread(self, asked: str) -> str:
        """Of what `find` does not find: that a file is there, and why it is not read; "" where none is."""
        path = PurePosixPath(without_case(asked))
        stem = path.stem if formats.has_image_ending(path.name) else path.name
        for name in _in_folders([*self._unread.get(path.name, []), *self._unread.get(stem, [])], path):
            return f"{name} is there; {formats.why_unread(name) or 'its ending is not that of an image'}"
        return ""


def _fits(name: str, pattern: str) -> bool:
    return name == pattern or fnmatch(name, pattern)


def _refuse(error: OSError) -> None:
    raise InputError(f"{error.filename}: cannot be listed ({error.strerror}); check its rights")


def _walk(root: Path) -> Iterator[str]:
    seen = set()
    for folder, folders, files in os.walk(str(root), onerror=_refuse, followlinks=True):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = os.path.relpath(folder, str(root))
        for name in files:
            if not name.startswith("."):
                yield name if below == "." else f"{below}/{name}"


def _best(names: list[str], rank: Callable[[str], int]) -> list[str]:
    if len(names) < 2:
        return names
    ranks = [rank(name) for name in names]
    return [name for name, each in zip(names, ranks) if each == max(ranks)]


def _in_folders(names: list[str], asked: PurePosixPath) -> list[str]:
    """Those whose folders agree with those of `asked`, counted from the end, as far as both go."""
    folders = asked.parts[-2::-1]
    if not folders:
        return names
    return [name for name in names if all(map(operator.eq, PurePosixPath(without_case(name)).parts[-2::-1], folders))]


def _agreeing(name: str, asked: str) -> int:
    """How many path components agree, counted from the end; the last one without its ending where they differ."""
    agreeing = 0
    for one, other in zip(PurePosixPath(name).parts[::-1], PurePosixPath(asked).parts[::-1]):
        if one != other and (agreeing or PurePosixPath(one).stem not in (other, PurePosixPath(other).stem)):
            break
        agreeing += 1
    return agreeing


def _same_bytes(paths: Iterable[Path]) -> bool:
    first, *others = map(str, paths)
    try:
        return all(filecmp.cmp(first, other, shallow=False) for other in others)
    except OSError:
        return False


def _not_utf8(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
