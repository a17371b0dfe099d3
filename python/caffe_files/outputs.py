"""Whole files and folders or none: built beside the target, renamed into place."""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Iterator

from caffe_files.errors import InputError

LOCK_NAME = ".building"
CANNOT_WRITE = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG, errno.ENAMETOOLONG, errno.ELOOP),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOENT),
)


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Yields a path beside `target` to write to; renames it over `target` when the block ends well.

    A link stays a link: the file that it names is replaced. What is there and is no file is never touched: InputError.
    """
    with disk_errors(Path(target)):
        target = Path(os.path.realpath(str(target)))
        if target.exists() and not target.is_file():  # a folder, or a device such as /dev/null
            raise InputError(f"{target}: is there and is no file; name another place")
        target.parent.mkdir(parents=True, exist_ok=True)
        suffix = ".partial" + target.suffix
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=suffix, dir=str(target.parent))
        os.close(handle)
        partial = Path(name)
        try:
            yield partial
            partial.chmod(0o666 & ~_umask())
            partial.replace(target)
        finally:
            if partial.exists():
                partial.unlink()


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yields a folder beside `target` to fill; renames it to `target` when the block ends well.

    A target that exists is never touched: InputError. What an earlier, killed run left beside the target is removed;
    the lock tells it from the folder of a run that is still alive.
    """
    target = Path(target)
    with disk_errors(target):
        if target.exists() or target.is_symlink():
            raise InputError(f"{target}: exists already; remove it or name another folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(target)
        partial, lock = _locked_folder(target)
        try:
            yield partial
            partial.chmod(0o777 & ~_umask())
            _rename_folder(partial, target)
            (target / LOCK_NAME).unlink()  # after the rename, so that a kill in between leaves a folder that has a name
        finally:
            lock.close()
            shutil.rmtree(str(partial), ignore_errors=True)


def _locked_folder(target: Path) -> tuple[Path, IO[str]]:
    while True:
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=str(target.parent)))
        try:
            lock = open(str(partial / LOCK_NAME), "w")  # noqa: SIM115  (held until the folder has its name)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (partial / LOCK_NAME).exists():
                return partial, lock
            lock.close()
        except FileNotFoundError:
            pass  # another run took the folder, not locked yet, for a stale one
        except BaseException:
            shutil.rmtree(str(partial), ignore_errors=True)
            raise


def _rename_folder(partial: Path, target: Path) -> None:
    try:
        partial.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise InputError(f"{target}: appeared while it was being built; remove it or name another folder") from None
        raise


def _remove_stale(target: Path) -> None:
    for left_over in target.parent.glob(f".{glob.escape(target.name)}.*.partial"):
        try:
            lock = open(str(left_over / LOCK_NAME))  # noqa: SIM115
        except OSError:
            continue  # a file's, or another run's that is about to be locked
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            shutil.rmtree(str(left_over), ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """Turns what the user's disk refuses into an InputError that names the target."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(f"{target}: the disk is full; free some space or name another place") from error
        if error.errno in CANNOT_WRITE:
            raise InputError(f"{target}: cannot be written ({error.strerror}); name another place") from error
        raise
