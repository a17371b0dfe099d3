"""What the operating system refuses, in words: the one place that knows what is behind an error, and what to do."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

from caffe_files.errors import InputError

LEAST_FREE = 1 << 20  # bytes: with fewer a disk is as good as full
FULL = "the disk is full; free some space or name another place"
TOO_LARGE = "is larger than a file may be here; raise the limit (ulimit -f), or name another place"
NO_TMPDIR = "no folder for temporary files can be written to; set TMPDIR to one that can"
OF_PROCESS = {
    errno.ENOMEM: "there is not enough memory; free some, raise the limit (ulimit -v), or use fewer --workers",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n), or use fewer --workers",
    errno.ENFILE: "too many files are open on this machine; close some, or use fewer --workers",
    errno.EAGAIN: "no more processes or threads can be started; raise the limit (ulimit -u), or use fewer --workers",
}
CANNOT_WRITE = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOENT),
)
# libraries have the system's words in messages of their own, or others for them
IN_WORDS = {
    **{os.strerror(code): code for code in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EROFS)},
    **{os.strerror(code): code for code in (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EACCES)},
    "PytorchStreamWriter failed writing": errno.ENOSPC,
    "bad_alloc": errno.ENOMEM,
    "can't allocate memory": errno.ENOMEM,  # PyTorch
    "Insufficient memory": errno.ENOMEM,  # OpenCV
    "failed to map segment": errno.ENOMEM,  # the loader of libraries
    "can't start new thread": errno.EAGAIN,
}


# what an error of another kind may have hidden: zipfile, closing a file that a full disk has cut, raises its own
HIDDEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOMEM, errno.EMFILE)


def of_output(error: Exception, target: Path) -> str | None:
    """What kept `target` from being written, as a line; None where the system has refused nothing."""
    code = _code(error)
    if code in (errno.EIO, errno.ENOSPC) and not isinstance(error, OSError):
        code = _of_short_write(code, target)
    if code in (errno.ENOSPC, errno.EDQUOT):
        return f"{target}: {FULL}"
    if code == errno.EFBIG:
        return f"{target}: {TOO_LARGE}"
    if code in CANNOT_WRITE or code == errno.EIO:
        return f"{target}: cannot be written ({os.strerror(code)}); name another place"
    return OF_PROCESS.get(code or 0)


def of_anything(error: Exception) -> str | None:
    """What stopped a program, as a line, by what the error itself says; None where the program is at fault."""
    code = _code(error)
    if "No usable temporary directory" in str(error):
        return NO_TMPDIR
    if code in OF_PROCESS:
        return OF_PROCESS[code]
    name = getattr(error, "filename", None)
    at = f"{os.fsdecode(name)}: " if isinstance(name, (str, bytes)) else ""
    if code in (errno.ENOSPC, errno.EDQUOT):
        return f"{at}{FULL}"
    if code == errno.EFBIG:
        return f"{at or 'a file '}{TOO_LARGE}"
    if code is not None and (at or code == errno.EIO):
        return f"{at}{os.strerror(code)}; check the path, your rights to it and the disk"
    return None


def _code(error: Exception) -> int | None:
    """The errno of an error, also where a library says it in words alone."""
    if isinstance(error, InputError):
        return None
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    said = str(error)
    code = next((code for words, code in IN_WORDS.items() if words in said), None)
    if code is None and isinstance(error.__context__, Exception):
        before = _code(error.__context__)
        return before if before in HIDDEN else None
    return code


def _of_short_write(code: int, target: Path) -> int:
    """LMDB says one or the other of any write that was cut short: which of the two limits that was."""
    for folder in (target, *target.parents):
        try:
            found = os.statvfs(str(folder))
        except OSError:
            continue
        if found.f_bavail * found.f_frsize < LEAST_FREE:
            return errno.ENOSPC
        break
    return code if resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY else errno.EFBIG
