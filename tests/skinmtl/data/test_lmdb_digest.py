"""dataset.json knows what its LMDBs hold: other records are refused, the same ones in another file are told."""

from __future__ import annotations

import json

import lmdb
import pytest

from caffe_files.errors import InputError
from caffe_files.schema import caffe_messages
from skinmtl.data import lmdb_digest
from skinmtl.data.dataset import LMDB_NAMES, read_summary
from skinmtl.data.lmdb_check import check_lmdbs
from skinmtl.data.lmdb_digest import RecordsDigest, check_unchanged
from skinmtl.data.lmdb_write import Sizes, write_lmdbs
from skinmtl.data.manifest import read_manifest


@pytest.fixture
def out(make_dataset, tmp_path):
    data = make_dataset(8)
    write_lmdbs(read_manifest(data.manifest), data.images, tmp_path / "out", Sizes(40, 44, 2), 1, 1, {})
    return tmp_path / "out"


@pytest.fixture
def large(monkeypatch):
    """Lets small LMDBs count as large ones, of which two records are looked at."""
    monkeypatch.setattr(lmdb_digest, "READ_WHOLE", 0)
    monkeypatch.setattr(lmdb_digest, "SAMPLE", 2)


def check(out):
    return check_unchanged([out / name for name in LMDB_NAMES], read_summary(out))


def exchange(folder, one, other):
    """Exchanges two records as a program that uses LMDB does it."""
    with lmdb.open(str(folder), lock=False) as environment, environment.begin(write=True) as transaction:
        first, second = bytes(transaction.get(one)), bytes(transaction.get(other))
        transaction.put(one, second)
        transaction.put(other, first)


def spoil(folder, old, new):
    """Changes bytes of the file itself: size, pages and transactions stay as they are."""
    path = folder / "data.mdb"
    data = path.read_bytes()
    assert data.count(old)
    path.write_bytes(data.replace(old, new))


def compact(folder):
    """What `mdb_copy -c` makes: the same records without the pages that nothing uses, as one transaction."""
    copy = folder.with_name("copy")
    copy.mkdir(exist_ok=True)
    with lmdb.open(str(folder), readonly=True, lock=False) as environment:
        environment.copy(str(copy), compact=True)
    (folder / "data.mdb").unlink()
    (copy / "data.mdb").rename(folder / "data.mdb")


def jpeg_end(folder, key):
    """The last bytes of an image, which are of no other."""
    with lmdb.open(str(folder), readonly=True, lock=False) as environment, environment.begin() as transaction:
        return caffe_messages().Datum.FromString(bytes(transaction.get(key))).data[-24:]


def test_what_was_written_passes_and_is_described(out):
    assert check(out) == []
    said = json.loads((out / "dataset.json").read_text())["lmdbs"]
    assert [said[name]["records"] for name in LMDB_NAMES] == [16] * 3
    assert len({said[name]["sha256"] for name in LMDB_NAMES}) == 3
    for name in LMDB_NAMES:
        assert said[name]["bytes"] == (out / name / "data.mdb").stat().st_size
    assert check_lmdbs(out, 40, None, None, 0).has_digests


@pytest.mark.parametrize("name", LMDB_NAMES)
def test_exchanged_records_are_refused(out, name):
    exchange(out / name, b"00000003", b"00000006")
    with pytest.raises(InputError, match=f"{name}: holds other records than the dataset.json beside it describes; put"):
        check(out)


def test_bytes_that_were_changed_in_the_file_are_refused(out):
    """0x3f is of a float32 1.0, of a lesion that is there."""
    spoil(out / "lesion_lmdb", b"\x80\x3f", b"\x00\x40")
    with pytest.raises(InputError, match="lesion_lmdb: holds other records"):
        check(out)


def test_of_a_large_one_the_sample_is_enough_to_see_a_change(out, large, monkeypatch):
    write_again(out)
    monkeypatch.setattr(lmdb_digest, "_whole", lambda environment: pytest.fail("read whole"))
    assert check(out) == []
    end = jpeg_end(out / "image_lmdb", b"00000015")
    spoil(out / "image_lmdb", end, bytes(len(end)))
    with pytest.raises(InputError, match="image_lmdb: holds other records"):
        check(out)


def test_a_change_beside_the_sample_shows_where_lmdb_made_it_and_else_in_check_lmdb(out, large):
    write_again(out)
    before = (out / "image_lmdb" / "data.mdb").read_bytes()
    exchange(out / "image_lmdb", b"00000003", b"00000006")
    with pytest.raises(InputError, match="image_lmdb: holds other records"):
        check(out)
    (out / "image_lmdb" / "data.mdb").write_bytes(before)
    end = jpeg_end(out / "image_lmdb", b"00000006")
    spoil(out / "image_lmdb", end, end[:-3] + b"\0\xff\xd9")
    assert check(out) == []
    with pytest.raises(InputError, match="record 00000006"):
        check_lmdbs(out, 40, None, None, 0)


def write_again(out):
    """dataset.json with samples of the size that is set now."""
    path = out / "dataset.json"
    summary = json.loads(path.read_text())
    for name in LMDB_NAMES:
        with lmdb.open(str(out / name), readonly=True, lock=False) as environment:
            file = out / name / "data.mdb"
            summary["lmdbs"][name] = lmdb_digest.described(environment, file, summary["lmdbs"][name]["sha256"])
    path.write_text(json.dumps(summary))


def test_the_same_records_in_another_file_are_taken_and_told(out):
    exchange(out / "image_lmdb", b"00000003", b"00000006")  # leaves pages that nothing uses any more
    exchange(out / "image_lmdb", b"00000003", b"00000006")
    assert check(out) == [f"{out / 'image_lmdb'}: another file than make_lmdb.py wrote, with the same records"]
    check_lmdbs(out, 40, None, None, 100)
    compact(out / "image_lmdb")
    assert check(out) == []
    exchange(out / "image_lmdb", b"00000003", b"00000006")
    compact(out / "image_lmdb")
    with pytest.raises(InputError, match="image_lmdb: holds other records"):
        check(out)


def test_an_older_data_set_is_taken_and_told_in_one_line(out):
    path = out / "dataset.json"
    summary = json.loads(path.read_text())
    del summary["lmdbs"], summary["records_sha256"]
    path.write_text(json.dumps(summary))
    assert check(out) == [
        f"{out}: not checked whether image_lmdb and lesion_lmdb and location_lmdb are as they were written: "
        "dataset.json was written by an older make_lmdb.py, without digests"
    ]


@pytest.mark.parametrize("damage", [[], {"image_lmdb": {}}, {name: {"records": "3"} for name in LMDB_NAMES}])
def test_digests_that_are_none_are_refused(out, damage):
    path = out / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "lmdbs": damage}))
    with pytest.raises(InputError, match=r"dataset.json: 'lmdbs' is of another kind; build the LMDBs again"):
        read_summary(out)


def test_no_byte_can_change_from_a_key_to_its_value():
    assert RecordsDigest([(b"1", b"23")]).hexdigest() != RecordsDigest([(b"12", b"3")]).hexdigest()
    assert RecordsDigest([(b"1", b""), (b"2", b"")]).hexdigest() != RecordsDigest([(b"1", b"2")]).hexdigest()
