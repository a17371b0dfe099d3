"""The records of an LMDB in the order of its keys, as Caffe's Data layer reads them: visit v shows record v mod n."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import ClassVar

import lmdb
from google.protobuf.message import DecodeError, Message

from caffe_files.errors import InputError
from caffe_files.lmdb_open import open_lmdb
from caffe_files.schema import caffe_messages
from caffe_files.unknown_fields import unknown_field

REMEDY = "make the LMDB again"


class Records:
    """An open LMDB of Datums. No process may go on using one that it inherited: each opens its own."""

    def __init__(self, source: str) -> None:
        """InputError where there is no whole LMDB, or nothing in it."""
        self.source = source
        self._datum = caffe_messages().Datum
        self._opened: _Opened | None = _Opened.of(source)
        try:
            self._transaction = self._opened.environment.begin(buffers=True)
            self._keys = [bytes(key) for key in self._transaction.cursor().iternext(values=False)]
        except lmdb.Error as error:
            raise InputError(f"{source}: damaged ({error}); {REMEDY}") from None
        if not self._keys:
            raise InputError(f"{source}: an empty LMDB; {REMEDY}")

    def __len__(self) -> int:
        return len(self._keys)

    def datum(self, visit: int) -> Message:
        """The Datum of a visit's record. InputError where it is none."""
        try:
            value = bytes(self._transaction.get(self._keys[visit % len(self._keys)]))
        except lmdb.Error as error:
            raise self.fault(visit, f"damaged ({error}); {REMEDY}") from None
        try:
            datum = self._datum.FromString(value)
        except DecodeError:
            raise self.fault(visit, f"is no Datum of Caffe; {REMEDY}") from None
        datum.DiscardUnknownFields()
        # of another length are unknown fields, and known ones in a form that only others write
        unknown = datum.ByteSize() != len(value) and unknown_field(value, datum.DESCRIPTOR)
        if unknown:
            raise self.fault(visit, f"{unknown} is not known here; {REMEDY}")
        return datum

    def check_in_step(self, other: Records) -> None:
        """InputError unless the other LMDB has records of the same keys: then a visit shows what belongs together."""
        if self._keys == other._keys:
            return
        keys, others = set(self._keys), set(other._keys)
        if len(keys) != len(others):
            raise InputError(f"{self.source}: {len(keys)} records, {other.source} has {len(others)}; {REMEDY}")
        key = min(keys - others).decode("utf-8", errors="replace")
        raise InputError(f"{self.source}: record {key} is not in {other.source}; {REMEDY}")

    def fault(self, visit: int, what: str) -> InputError:
        """The error that names a visit's record."""
        key = self._keys[visit % len(self._keys)].decode("utf-8", errors="replace")
        return InputError(f"{self.source}: record {key}: {what}")

    def close(self) -> None:
        """Closes the LMDB, where nothing else in this process has it open."""
        self._transaction.abort()
        self._transaction = self._opened = None


class _Opened:
    """An LMDB that is open. A process must not open one twice: nets of two phases that read it share it."""

    _all: ClassVar[weakref.WeakValueDictionary[Path, _Opened]] = weakref.WeakValueDictionary()

    def __init__(self, source: str) -> None:
        self.environment = open_lmdb(Path(source))

    @classmethod
    def of(cls, source: str) -> _Opened:
        """The one of a path."""
        path = Path(source).resolve()
        opened = cls._all.get(path)
        if opened is None:
            opened = cls._all[path] = cls(source)
        return opened
