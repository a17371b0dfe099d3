"""A damaged LMDB is refused before LMDB reads it: it would end the process (SIGBUS, SIGSEGV), and Caffe's too."""

from __future__ import annotations

import os
import random

import lmdb
import pytest

from caffe_files.errors import InputError
from caffe_files.lmdb_open import open_lmdb
from caffe_files.lmdb_pages import HEAD, METAS, pages_fault

RECORDS = {b"%08d" % number: bytes([number % 256]) * (30 if number % 3 else 9000) for number in range(120)}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Branches, leaves, and values on pages of their own; some pages are free."""
    folder = tmp_path_factory.mktemp("sound")
    with lmdb.open(str(folder), map_size=1 << 24, lock=False) as environment:
        for batch in range(4):
            with environment.begin(write=True) as transaction:
                for key in list(RECORDS)[batch::4]:
                    transaction.put(key, b"x" * 5000 if batch else RECORDS[key])
        with environment.begin(write=True) as transaction:
            for key, value in RECORDS.items():
                transaction.put(key, value)
    return folder


def test_a_sound_one_and_an_empty_one_are_opened(sound, tmp_path):
    with open_lmdb(sound) as environment, environment.begin() as transaction:
        assert {bytes(key): bytes(value) for key, value in transaction.cursor()} == RECORDS
    lmdb.open(str(tmp_path), lock=False).close()
    with open_lmdb(tmp_path) as environment:
        assert environment.stat()["entries"] == 0


def read_all(folder):
    """In a process of its own: its exit status, or the signal that ended it."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with open_lmdb(folder) as environment, environment.begin() as transaction:
                sum(len(value) for _, value in transaction.cursor())
            status = 0
        except (InputError, lmdb.Error):  # the second is LMDB's own word for a record
            status = 2
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1]


def test_no_damage_ends_the_process(sound, fuzzer):
    """In a fork a case, which takes some milliseconds."""
    seed, found = (sound / "data.mdb").read_bytes(), {0: 0, 512: 0}
    for number in range(max(50, fuzzer.cases // 10)):
        chance = random.Random(f"lmdb {number}")
        data = bytearray(seed)
        for _ in range(chance.choice((1, 2, 4, 20))):
            at = chance.randrange(0, len(data), 4096) + chance.randrange(64)  # heads are at the begin of pages
            data[at if chance.random() < 0.7 else chance.randrange(len(data))] = chance.randrange(256)
        file = fuzzer.folder / "data.mdb"
        file.write_bytes(data)
        status = read_all(fuzzer.folder)
        found[status] = found.get(status, 0) + 1
        assert set(found) == {0, 512}, f"case {number}: status {status}"
    assert min(found.values()) > 0


def test_what_is_damaged_is_said(sound, tmp_path):
    data = (sound / "data.mdb").read_bytes()
    (tmp_path / "data.mdb").write_bytes(data[:-4096])
    assert pages_fault(tmp_path / "data.mdb") == f"data.mdb has {len(data) - 4096} bytes of {len(data)}"
    root = max((METAS.unpack_from(data, HEAD + page) for page in (0, 4096)), key=lambda meta: meta[-1])[19]
    spoilt = data[: root * 4096] + bytes(4096) + data[(root + 1) * 4096 :]
    (tmp_path / "data.mdb").write_bytes(spoilt)
    with pytest.raises(InputError, match=rf"damaged: page {root} is another page; copy it again"):
        open_lmdb(tmp_path)
