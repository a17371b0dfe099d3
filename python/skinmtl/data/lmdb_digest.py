"""What the LMDBs of a data set hold, as dataset.json says it, and whether an LMDB still holds that.

dataset.json has for each LMDB, under "lmdbs":

    records        how many there are
    sha256         of all records, keys and values, in the order of the keys
    sample_sha256  of SAMPLE of them, evenly spread
    bytes, pages, last_transaction   of its file

The records decide: a copy that LMDB has compacted is another file, with the same records.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Iterable, Sequence

import lmdb
import numpy as np

from caffe_files.errors import InputError
from caffe_files.lmdb_open import open_lmdb

SAMPLE = 64
READ_WHOLE = 8 << 20  # bytes: a file up to this size is read whole whenever it is checked, as label LMDBs mostly are
OF_FILE = ("bytes", "pages", "last_transaction")
LENGTH = 8  # bytes
REMEDY = "put back the one that make_lmdb.py wrote, or build it again"


class RecordsDigest:
    """The sha256 of records, given in the order of their keys. Lengths are in it, so that no byte can change sides."""

    def __init__(self, records: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._sha256 = hashlib.sha256()
        for key, value in records:
            self.add(key, value)

    def add(self, key: bytes, value: bytes) -> None:
        for part in (key, value):
            self._sha256.update(len(part).to_bytes(LENGTH, "little"))
            self._sha256.update(part)

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()


def sampled(entries: int) -> list[int]:
    """The numbers of the SAMPLE records, evenly spread."""
    return np.unique(np.linspace(0, max(0, entries - 1), SAMPLE).astype(int)).tolist()


def described(
    environment: lmdb.Environment, file: Path, sha256: str, sample_sha256: str | None = None
) -> dict[str, Any]:
    """What dataset.json says of an LMDB that has just been written to `file`; `sha256` is of its RecordsDigest, and
    `sample_sha256` of that of the records that are `sampled`, read here where it is not given."""
    return {
        "records": environment.stat()["entries"],
        "sha256": sha256,
        "sample_sha256": sample_sha256 or _sample(environment),
        **_of_file(environment, file),
    }


def check_unchanged(folders: Sequence[Path], summary: dict[str, Any]) -> list[str]:
    """Holds LMDBs against what dataset.json beside them, `summary`, says of them; returns what is to be told, a line
    each.

    Large ones are known by size, pages, last transaction and a sample of records, in milliseconds; where the file is
    another one, all records are read. InputError where they are not those that dataset.json describes.
    """
    said = summary.get("lmdbs", {})
    unknown = [folder for folder in folders if folder.name not in said]
    if unknown:
        names = " and ".join(folder.name for folder in unknown)
        return [
            f"{unknown[0].parent}: not checked whether {names} are as they were written: dataset.json was written by "
            "an older make_lmdb.py, without digests"
        ]
    same_file = [_is_same_file(folder, said[folder.name]) for folder in folders]
    return [
        f"{folder}: another file than make_lmdb.py wrote, with the same records"
        for folder, is_same in zip(folders, same_file)
        if not is_same
    ]


def _is_same_file(folder: Path, said: dict[str, Any]) -> bool:
    """Whether the file is as it was written too; InputError where the records are not."""
    with open_lmdb(folder) as environment:
        found = _of_file(environment, folder / "data.mdb")
        is_same_file = all(found[name] == said[name] for name in OF_FILE)
        try:
            same = environment.stat()["entries"] == said["records"] and _sample(environment) == said["sample_sha256"]
            if same and (not is_same_file or found["bytes"] <= READ_WHOLE):
                same = _whole(environment) == said["sha256"]
        except lmdb.Error as error:
            raise InputError(f"{folder}: damaged ({error}); {REMEDY}") from None
    if not same:
        raise another(folder)
    return is_same_file


def another(folder: Path) -> InputError:
    """The error where an LMDB's records are not those that were written."""
    return InputError(f"{folder}: holds other records than the dataset.json beside it describes; {REMEDY}")


def _of_file(environment: lmdb.Environment, file: Path) -> dict[str, int]:
    info = environment.info()
    values = (file.stat().st_size, info["last_pgno"] + 1, info["last_txnid"])
    return dict(zip(OF_FILE, values))


def _whole(environment: lmdb.Environment) -> str:
    with environment.begin(buffers=True) as transaction:
        return RecordsDigest(transaction.cursor()).hexdigest()


def _sample(environment: lmdb.Environment) -> str:
    """Of the records under the keys that make_lmdb.py gives them; one that is not there counts as empty."""
    with environment.begin(buffers=True) as transaction:
        keys = [b"%08d" % place for place in sampled(environment.stat()["entries"])]
        return RecordsDigest((key, transaction.get(key, b"")) for key in keys).hexdigest()
