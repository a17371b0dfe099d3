"""check_lmdb.py passes what make_lmdb.py wrote and refuses each kind of damage, in one line that names the record."""

from __future__ import annotations

import json
import shutil

import cv2
import lmdb
import numpy as np
import pytest

from caffe_files.errors import InputError
from caffe_files.schema import caffe_messages
from skinmtl.data.dataset import LMDB_NAMES
from skinmtl.data.lmdb_check import check_lmdbs
from skinmtl.data.lmdb_write import Sizes, write_lmdbs
from skinmtl.data.manifest import read_manifest


@pytest.fixture
def data(make_dataset):
    return make_dataset(8)


@pytest.fixture
def out(data, tmp_path):
    write_lmdbs(read_manifest(data.manifest), data.images, tmp_path / "out", Sizes(40, 44, 2), 1, 1, {})
    return tmp_path / "out"


def edit(folder, change):
    """Applies `change` to the dict of an LMDB's records, which are messages."""
    with lmdb.open(str(folder), lock=False) as environment, environment.begin(write=True) as transaction:
        records = {bytes(key): caffe_messages().Datum.FromString(value) for key, value in transaction.cursor()}
        before = set(records)
        change(records)
        for key in before - set(records):
            transaction.delete(key)
        for key, datum in records.items():
            transaction.put(key, datum if isinstance(datum, bytes) else datum.SerializeToString())


def check(out, crop=40, manifest=None, images=None, compare=100):
    return check_lmdbs(out, crop, manifest, images, compare)


def test_good_output_passes(out):
    checked = check(out)
    assert (checked.n_records, checked.n_images, checked.n_compared) == (16, 8, 16)
    assert check(out, compare=0).n_compared == 0
    assert check(out, compare=5).n_compared == 5


def test_it_passes_after_a_reader_left_its_lock_file(out):
    for name in LMDB_NAMES:
        lmdb.open(str(out / name), readonly=True).close()
        assert (out / name / "lock.mdb").exists()
    check(out)


def swap(records):
    records[b"00000003"], records[b"00000010"] = records[b"00000010"], records[b"00000003"]


def shift(records):
    """Every record under the key before its own, as when one read failed and no place was left for it."""
    keys, values = sorted(records), [records[key] for key in sorted(records)]
    records.update(zip(keys, values[1:] + values[:1]))


def set_values(key, *values):
    def change(records):
        del records[key].float_data[:]
        records[key].float_data.extend(values)

    return change


def set_field(key, name, value):
    return lambda records: setattr(records[key], name, value)


def rename(records):
    records[b"x"] = records.pop(b"00000015")


def set_jpeg(pixels):
    """Another picture, whole and with a Datum that describes it."""

    def change(records):
        datum = records[b"00000002"]
        datum.data = cv2.imencode(".jpg", pixels)[1].tobytes()
        datum.height, datum.width = pixels.shape[:2]

    return change


DAMAGE = {
    "images swapped": (0, swap, "record 00000003"),
    "images shifted": (0, shift, "record 0000000"),
    "another picture": (0, set_jpeg(np.full((40, 51, 3), 255, np.uint8)), "record 00000002"),
    "too small": (
        0,
        set_jpeg(np.zeros((39, 60, 3), np.uint8)),
        "00000002: the image is 60 x 39, smaller than the crop",
    ),
    "not an image": (0, set_field(b"00000005", "data", b"no image"), "00000005: the image does not decode"),
    "truncated image": (0, lambda all: setattr(all[b"00000001"], "data", all[b"00000001"].data[:-9]), "truncated"),
    "no pixels": (0, set_field(b"00000005", "data", b""), "00000005: the image does not decode"),
    "not encoded": (0, set_field(b"00000005", "encoded", False), "00000005: the image Datum does not describe"),
    "other height": (0, set_field(b"00000005", "height", 7), "00000005: the image Datum does not describe"),
    "no Datum": (
        0,
        lambda records: records.update({b"00000004": b"\xff\xff\xff"}),
        "00000004: image_lmdb holds no Datum",
    ),
    "lesion value 2": (1, set_values(b"00000006", 0, 2), "00000006: the lesion Datum holds other values than 0 and 1"),
    "lesion NaN": (1, set_values(b"00000006", 0, float("nan")), "00000006: the lesion Datum holds other values"),
    "lesions too long": (1, set_values(b"00000006", 0, 1, 0), "00000006: the lesion Datum has shape (2, 1, 1)"),
    "no lesions": (1, set_values(b"00000006"), "00000006: the lesion Datum has shape"),
    "other shape": (1, set_field(b"00000006", "height", 2), "00000006: the lesion Datum has shape (2, 2, 1)"),
    "lesions all 0": (1, set_values(b"00000006", 0, 0), "00000006: lesions []"),
    "lesions shifted": (1, shift, "manifest.csv"),
    "label with bytes": (1, set_field(b"00000006", "data", b"\1\0"), "00000006: a label Datum holds bytes"),
    "location Q": (2, set_values(b"00000007", 2), "00000007: location 2, there are 2"),
    "location -1": (2, set_values(b"00000007", -1), "00000007: location -1, there are 2"),
    "location 0.5": (2, set_values(b"00000007", 0.5), "00000007: location 0.5, there are 2"),
    "two locations": (2, set_values(b"00000007", 0, 1), "00000007: the location Datum is not one number"),
    "locations shifted": (2, shift, "manifest.csv"),
    "key missing": (2, lambda records: records.pop(b"00000009"), "location_lmdb: 15 records, records.csv lists 16"),
    "key too many": (
        *(1, lambda records: records.update({b"00000016": records[b"00000000"]})),
        "lesion_lmdb: 17 records, records.csv lists 16",
    ),
    "other key": (0, rename, "record 00000015: image_lmdb has b'x' there"),
}


@pytest.mark.parametrize("which, change, words", DAMAGE.values(), ids=DAMAGE)
def test_refuses_damaged_records(out, which, change, words):
    edit(out / LMDB_NAMES[which], change)
    with pytest.raises(InputError) as error:
        check(out)
    assert words in str(error.value)
    assert str(out) in str(error.value)
    assert "\n" not in str(error.value)


def test_swapped_images_show_beside_their_sources_and_by_the_digest(out):
    edit(out / "image_lmdb", swap)
    with pytest.raises(InputError, match=r"stored as|not the image"):
        check(out)
    with pytest.raises(InputError, match=r"image_lmdb: holds other records than the dataset.json beside it describes"):
        check(out, compare=0)


def test_without_digests_swapped_images_show_only_beside_their_sources(out):
    """As in a data set of an older make_lmdb.py."""
    path = out / "dataset.json"
    summary = json.loads(path.read_text())
    del summary["lmdbs"], summary["records_sha256"]
    path.write_text(json.dumps(summary))
    assert check(out).has_digests is False
    edit(out / "image_lmdb", swap)
    check(out, compare=0)
    with pytest.raises(InputError, match=r"stored as|not the image"):
        check(out)


def test_another_list_of_records_with_the_same_images_is_found(out):
    path = out / "records.csv"
    path.write_text(path.read_text().replace(",40,", ",41,", 1))
    with pytest.raises(InputError, match=r"records.csv: not the file that make_lmdb.py wrote"):
        check(out, compare=0)


def test_another_picture_of_the_same_size_is_found(out, data):
    for path in data.images.iterdir():
        cv2.imwrite(str(path), 255 - cv2.imread(str(path)))
    with pytest.raises(InputError, match=r"record 00000000: not the image .*\(differs by \d\d+ grey levels\)"):
        check(out)


@pytest.mark.parametrize("name", LMDB_NAMES)
def test_refuses_a_missing_or_shortened_lmdb(out, name):
    """LMDB maps the file: reading behind its end would kill the process with SIGBUS."""
    file = out / name / "data.mdb"
    whole = file.read_bytes()
    for length in (0, 100, 4096, 5000, 8192, len(whole) // 2, len(whole) - 4096, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(InputError, match=name):
            check(out)
    file.write_bytes(b"\0" * len(whole))
    with pytest.raises(InputError, match=name):
        check(out)
    shutil.rmtree(str(out / name))
    with pytest.raises(InputError, match=name):
        check(out)


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("image 3.jpg", "image 9.jpg", "is not in"),
        ('"image 1.jpg",melanoma', '"image 1.jpg",naevus', "says ['naevus']"),
        ('"image 1.jpg",melanoma,leg', '"image 1.jpg",melanoma,arm', "says 'arm'"),
        ("leg", "foot", "other location_names"),
        ("melanoma", "mole", "other lesion_names"),
    ],
)
def test_refuses_another_manifest(out, data, old, new, words):
    other = data.folder / "other.csv"
    other.write_text(data.manifest.read_text().replace(old, new))
    with pytest.raises(InputError) as error:
        check(out, manifest=other)
    assert words in str(error.value)
    assert str(other) in str(error.value)


def test_refuses_other_sources(out, data):
    (data.images / "image 3.jpg").write_bytes((data.images / "image 4.jpg").read_bytes())
    with pytest.raises(InputError, match=r"image 3.jpg"):
        check(out)
    shutil.rmtree(str(data.images))
    with pytest.raises(InputError, match="give --images"):
        check(out)
    check(out, compare=0)


def with_field(line, number, value):
    """A line of records.csv with another value in one field."""
    fields = line.split(",")
    return ",".join([*fields[:number], value, *fields[number + 1 :]])


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda lines: lines[:-1], "15 records, dataset.json says 16"),
        (lambda lines: [*lines[:-1], with_field(lines[-1], 1, "image 9.jpg")], "'image 9.jpg' is not in"),
        (lambda lines: [lines[0], *(with_field(line, 3, "xx") for line in lines[1:])], "short_side 'xx'"),
        (lambda lines: ["key,image", *lines[1:]], "'copy'"),
    ],
)
def test_refuses_a_damaged_list_of_records(out, change, words):
    lines = (out / "records.csv").read_text().splitlines()
    (out / "records.csv").write_text("\n".join(change(lines)) + "\n")
    with pytest.raises(InputError) as error:
        check(out)
    assert words in str(error.value)


@pytest.mark.parametrize("field, value, words", [("copies", 1, "2 records, 1 are due"), ("n_images", 9, "8 images")])
def test_refuses_a_wrong_summary(out, field, value, words):
    path = out / "dataset.json"
    path.write_text(json.dumps(dict(json.loads(path.read_text()), **{field: value})))
    with pytest.raises(InputError) as error:
        check(out)
    assert words in str(error.value)


def test_the_tool_passes_and_says_what_it_checked(tool, out, tmp_path):
    finished = tool("check_lmdb.py", "out", "--crop", 40, "--compare", 3, cwd=tmp_path)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout == (
        "out: 16 records of 8 images aligned, labels equal to the manifest, 3 images equal to their sources\n"
    )


def test_the_tool_refuses_in_one_line(tool, refused, out, data):
    refused(tool("check_lmdb.py", out), f"{out}: record 00000000", "smaller than the crop 224", "store larger images")
    refused(tool("check_lmdb.py", data.folder), data.folder / "dataset.json", "missing")
    path = out / "image_lmdb" / "data.mdb"
    path.write_bytes(path.read_bytes()[:9000])
    refused(tool("check_lmdb.py", out, "--crop", 40), out / "image_lmdb", "9000 bytes of", "copy it again, or build it")
