"""What a reader opens must be a file: a pipe or a device would keep it waiting, or never end. And what is written into
a folder that others may have made must be a file of that folder: through a link it would be any file of the user's."""

from __future__ import annotations

import stat
from pathlib import Path

from caffe_files.errors import InputError

FOLDER = "a folder"
KINDS = (
    (stat.S_ISDIR, FOLDER),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def is_there(path: Path) -> bool:
    """Whether a path that was read from a file is a file's: it may be none that a path can be."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def no_file(path: Path) -> str:
    """What is there in place of a file, such as "a pipe"; "" where a file is there, or nothing."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # the second: a path that no path can be
        return ""
    return next((name for is_kind, name in KINDS if is_kind(mode)), "")


def regular_file(path: str | Path) -> Path:
    """The path, to be opened next. InputError where a pipe, a socket or a device is there.

    What is missing, and a folder, are left to the reader, whose own words for them are better.
    """
    path = Path(path)
    name = no_file(path)
    if name not in ("", FOLDER):
        raise InputError(f"{path}: is {name}, whose length is unknown; copy its contents to a file first")
    return path


def own_file(path: str | Path) -> Path:
    """The path of a file that is to be written in place, or is not there yet. InputError where it is a link."""
    path = Path(path)
    if path.is_symlink():
        raise InputError(f"{path}: is a link, through which another file would be written; put the file itself there")
    return regular_file(path)
