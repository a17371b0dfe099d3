"""The records of an image LMDB, in the order in which Caffe's Data layer reads them."""

from __future__ import annotations

from pathlib import Path

import lmdb
from google.protobuf.message import DecodeError

from caffe_files.errors import InputError
from caffe_files.lmdb_open import open_lmdb
from caffe_files.schema import caffe_messages

BUILD_AGAIN = "build the LMDBs with make_lmdb.py"


class ImageRecords:
    """An open LMDB of encoded images. No process may go on using one that it inherited: each opens its own."""

    def __init__(self, folder: Path) -> None:
        """InputError where there is no whole LMDB, or nothing in it."""
        self.folder = folder
        self._datum = caffe_messages().Datum
        self._environment = open_lmdb(folder)
        try:
            self._transaction = self._environment.begin(buffers=True)
            keys = self._transaction.cursor().iternext(keys=True, values=False)
            self._keys = [bytes(key) for key in keys]
        except lmdb.Error as error:
            raise InputError(f"{folder}: damaged ({error}); {BUILD_AGAIN}") from None
        if not self._keys:
            raise InputError(f"{folder}: an empty LMDB; {BUILD_AGAIN}")

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, visit: int) -> str:
        """The key of a visit's record: after the last comes the first again."""
        return self._keys[visit % len(self._keys)].decode("utf-8", errors="replace")

    def image(self, visit: int) -> bytes:
        """The encoded image of a visit's record. InputError, without saying which record, where it holds none."""
        value = self._transaction.get(self._keys[visit % len(self._keys)])
        try:
            datum = self._datum.FromString(bytes(value))
        except DecodeError:
            raise InputError(f"no Datum of Caffe; {BUILD_AGAIN}") from None
        if not datum.encoded:
            raise InputError(f"holds no encoded image; {BUILD_AGAIN}")
        return datum.data

    def close(self) -> None:
        """Closes the LMDB."""
        self._transaction.abort()
        self._environment.close()
