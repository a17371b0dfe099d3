"""An image that is not there under its name, but under one that differs in case, accents' spelling or slashes alone."""

from __future__ import annotations

import unicodedata
from pathlib import Path, PurePosixPath
from typing import Iterable


def one_path(image: str) -> str:
    """The same for `a/b.jpg`, `./a/b.jpg` and `a\\b.jpg`, and for both Unicode forms of a letter."""
    return str(PurePosixPath(_composed(image).replace("\\", "/")))


def folded(image: str) -> str:
    """`one_path` without case: equal for names that Windows, macOS or a spreadsheet takes for one."""
    return one_path(image).lower()


def without_case(name: str) -> str:
    """In lower case, and one spelling of accented letters (macOS writes them as letter and accent)."""
    return _composed(name).lower()


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def near_image(image: str, names: Iterable[str]) -> str:
    """The first of the names that is the image's but for what `folded` takes away; "" where none is."""
    wanted = folded(image)
    return next((name for name in names if folded(name) == wanted and name != image), "")


def near_file(folder: Path, image: str) -> str:
    """The path below `folder` of a file that is `image` but for what `folded` takes away; "" where there is none."""
    found = PurePosixPath()
    for part in PurePosixPath(image.replace("\\", "/")).parts:
        try:
            there = [entry.name for entry in (folder / found).iterdir()]
        except OSError:
            return ""
        near = part if part in there else near_image(part, there)
        if not near:
            return ""
        found /= near
    return str(found) if str(found) != image and (folder / found).is_file() else ""


def hint(near: str) -> str:
    """For a message: what is there in place of what was looked for; "" where nothing is."""
    return f" (there is {near!a}: case, accents or slashes differ)" if near else ""
