"""Opens an LMDB to read it, after a look at whether it is there and whole."""

from __future__ import annotations

from pathlib import Path

import lmdb

from caffe_files.errors import InputError
from caffe_files.lmdb_pages import pages_fault

REMEDY = "copy it again, or build it with make_lmdb.py"


def open_lmdb(folder: Path) -> lmdb.Environment:
    """The LMDB in a folder, without a lock: what is read is never written again, and the disk may be read-only.

    InputError where there is none, or where its file has been cut or damaged: LMDB maps it, and reading behind its end
    would kill the process with SIGBUS.
    """
    file = folder / "data.mdb"
    if not file.is_file():
        raise InputError(f"{folder}: no LMDB (data.mdb) there; {REMEDY}")
    try:
        fault = pages_fault(file)
        if not fault:
            return lmdb.open(str(folder), readonly=True, lock=False, create=False)
    except (lmdb.Error, OSError) as error:
        fault = f"not an LMDB ({error})"
    raise InputError(f"{folder}: {fault}; {REMEDY}")
