"""Whole files and folders or none: built beside the target, renamed into place.

What is there already is refused, unless the caller allows that it is overwritten.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import glob
import os
import shutil
import tempfile
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Iterator

from caffe_files.errors import InputError
from caffe_files.made_folder import LOCK_NAME, check_made, note_contents
from caffe_files.system_errors import of_output

AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of linux/fcntl.h and linux/fs.h
_overwriting = ContextVar("overwriting", default=False)
_held = ContextVar("held", default=None)  # in a block of `all_or_none`: (written, its place) of each file


def allow_overwriting(allowed: bool) -> None:
    """Whether from now on an output may take the place of an earlier one: what --overwrite says, for all outputs."""
    _overwriting.set(allowed)


def check_free(target: Path, folder: bool = False) -> None:
    """InputError where something is at the place of an output, unless it may be overwritten: then a file may be
    there, for a `folder` one that a tool has made. The one rule for all that the user names to be written."""
    with disk_errors(target):
        if not (target.exists() or (folder and target.is_symlink())):
            return
        if not folder:
            _check_is_file(target)
        if not _overwriting.get():
            kind = "folder" if folder else "file"
            raise InputError(f"{target}: exists already; say --overwrite to replace it, or name another {kind}")
        if folder:
            check_made(target)


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Yields a path beside `target` to write to; renames it over `target` when the block ends well.

    Whether there may be one already is `check_free`'s, which a tool asks before its work. A link stays a link: the file
    that it names is replaced. What is there and is no file is never touched: InputError.
    """
    with disk_errors(Path(target)):
        target = Path(os.path.realpath(str(target)))
        _check_is_file(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        suffix = ".partial" + target.suffix
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=suffix, dir=str(target.parent))
        os.close(handle)
        partial = Path(name)
        try:
            yield partial
            partial.chmod(0o666 & ~_umask())
            held = _held.get()
            if held is None:
                partial.replace(target)
            else:
                if any(target == other for _, other in held):
                    raise InputError(f"{target}: two outputs have this name; give one of them another")
                held.append((partial, target))
        except BaseException:
            if partial.exists():
                partial.unlink()
            raise


@contextmanager
def all_or_none() -> Iterator[None]:
    """The files that `new_file` makes in the block come to their places when it ends well; else none of them does."""
    held: list[tuple[Path, Path]] = []
    before = _held.set(held)
    try:
        yield
        while held:
            partial, target = held[0]
            with disk_errors(target):
                partial.replace(target)
            del held[0]
    finally:
        _held.reset(before)
        for partial, _ in held:
            if partial.exists():
                partial.unlink()


@contextmanager
def new_folder(target: Path, replaceable: bool = True) -> Iterator[Path]:
    """Yields a folder beside `target` to fill; renames it to `target` when the block ends well.

    A target that exists is refused as `check_free` does; where it may be overwritten, the new folder takes its place as
    a whole. Without `replaceable` it never will: others put their files into it. What an earlier, killed run left
    beside the target is removed; the lock tells it from the folder of a run that is still alive.
    """
    target = Path(target)
    with disk_errors(target):
        check_free(target, folder=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(target)
        partial, lock = _locked_folder(target)
        try:
            yield partial
            if replaceable:
                note_contents(partial)
            partial.chmod(0o777 & ~_umask())
            _put_in_place(partial, target)
            (target / LOCK_NAME).unlink()  # after the rename, so that a kill in between leaves a folder that has a name
        except InputError as error:  # of a file in it: the user knows the folder by its name
            raise InputError(str(error).replace(str(partial), str(target))) from error
        finally:
            lock.close()
            shutil.rmtree(str(partial), ignore_errors=True)


def _check_is_file(target: Path) -> None:
    if target.exists() and not target.is_file():  # a folder, or a device such as /dev/null
        raise InputError(f"{target}: is there and is no file; name another place")


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


def _put_in_place(partial: Path, target: Path) -> None:
    """Afterwards `target` is the new folder, and `partial` the one that it replaces, if any."""
    if _overwriting.get() and target.exists():
        check_made(target)  # it may have been filled with something else meanwhile
        (target / LOCK_NAME).touch()  # so that it goes as stale where a kill leaves it
        _exchange(partial, target)
        return
    try:
        partial.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise InputError(f"{target}: appeared while it was being built; remove it or name another folder") from None
        raise


def _exchange(partial: Path, target: Path) -> None:
    """Both at once where the kernel and the file system can, else one after the other."""
    names = os.fsencode(str(partial)), os.fsencode(str(target))
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None or renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE):
        aside = partial.with_name(partial.name.replace(".partial", ".old.partial"))
        target.rename(aside)
        try:
            partial.rename(target)
        except BaseException:
            aside.rename(target)
            raise
        aside.rename(partial)


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
    """Turns what the system refuses to an output into an InputError that names it."""
    try:
        yield
    except Exception as error:
        line = of_output(error, target)
        if line is None:
            raise
        raise InputError(line) from error
