"""Writes one LMDB: records under the keys 00000000, 00000001, ..., whole or not at all."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterable, Iterator

import lmdb

from skinmtl.data.lmdb_digest import RecordsDigest, described, sampled

MAP_SIZE = 1 << 30
RECORDS_PER_COMMIT = 256
BYTES_PER_COMMIT = 16 << 20  # kept in memory until they are written


class Writer:
    """Takes the records one by one; `made` is what dataset.json says of them, there when the LMDB is closed.

    The sample's digest is made on the way: read back from the map, its pages would count as memory.
    """

    def __init__(self, environment: lmdb.Environment, n_records: int) -> None:
        self.made: dict[str, Any] = {}
        self._environment = environment
        self._digest, self._sample, self._in_sample = RecordsDigest(), RecordsDigest(), set(sampled(n_records))
        self._number = 0
        self._batch: list[tuple[bytes, bytes]] = []
        self._waiting = 0  # bytes

    def add(self, datum: bytes) -> None:
        """The next record."""
        record = (b"%08d" % self._number, datum)
        self._batch.append(record)
        self._digest.add(*record)
        if self._number in self._in_sample:
            self._sample.add(*record)
        self._number += 1
        self._waiting += len(datum)
        if len(self._batch) == RECORDS_PER_COMMIT or self._waiting >= BYTES_PER_COMMIT:
            self._commit()

    def close(self, file: Path) -> None:
        """Writes what is left, and describes what was written to `file`."""
        self._commit()
        self._environment.sync(True)
        self.made = described(self._environment, file, self._digest.hexdigest(), self._sample.hexdigest())

    def _commit(self) -> None:
        _commit(self._environment, self._batch)
        self._batch, self._waiting = [], 0


@contextmanager
def new_lmdb(folder: Path, n_records: int) -> Iterator[Writer]:
    """Makes the LMDB `folder` of `n_records` that the block gives to the Writer.

    Until the last record is on disk the file has another name than LMDB and Caffe look for, so that what a killed
    build leaves is never taken for a whole one.
    """
    unfinished = folder.with_name(folder.name + ".unfinished")
    options = {"subdir": False, "map_size": MAP_SIZE, "mode": 0o666, "sync": False, "lock": False}
    with lmdb.open(str(unfinished), **options) as environment:
        writer = Writer(environment, n_records)
        yield writer
        writer.close(unfinished)
    folder.mkdir()
    unfinished.rename(folder / "data.mdb")


def write_lmdb(folder: Path, datums: Iterable[bytes], n_records: int) -> dict[str, Any]:
    """Writes all records; returns what dataset.json says of them."""
    with new_lmdb(folder, n_records) as writer:
        for datum in datums:
            writer.add(datum)
    return writer.made


def _commit(environment: lmdb.Environment, batch: list[tuple[bytes, bytes]]) -> None:
    while True:
        try:
            with environment.begin(write=True) as transaction:
                for key, value in batch:
                    transaction.put(key, value, append=True)
            return
        except lmdb.MapFullError:
            environment.set_mapsize(2 * environment.info()["map_size"])
