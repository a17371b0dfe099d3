"""The three LMDBs as DESIGN's contract has them: what a record holds, order, jitter, folds, and that they repeat."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from processes import PEAK_MEMORY

from caffe_files.errors import InputError
from skinmtl.data import lmdb_file, lmdb_write
from skinmtl.data.dataset import LMDB_NAMES, read_summary
from skinmtl.data.folds import select, write_folds
from skinmtl.data.lmdb_check import check_lmdbs
from skinmtl.data.lmdb_write import Sizes, write_lmdbs
from skinmtl.data.manifest import read_manifest
from skinmtl.images.image_file import decode, load
from skinmtl.images.jpeg_decoder import name_of_decoder
from skinmtl.images.resizing import RESIZING
from skinmtl.splits.dealing import make_folds


@pytest.fixture
def build(tmp_path):
    def build(data, name="out", sizes=None, seed=1, workers=1, manifest=None):
        manifest = manifest or read_manifest(data.manifest)
        write_lmdbs(manifest, data.images, tmp_path / name, sizes or Sizes(40, 40, 1), seed, workers, {})
        return tmp_path / name

    return build


def records_of(out):
    with open(str(out / "records.csv"), encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def bytes_of(out):
    return {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_a_record_is_what_caffe_expects(build, make_dataset, read_lmdb):
    data = make_dataset(7)
    manifest = read_manifest(data.manifest)
    out = build(data)
    databases = [read_lmdb(out / name) for name in LMDB_NAMES]
    rows = {row.image: n for n, row in enumerate(manifest.rows)}
    for n, record in enumerate(records_of(out)):
        assert record["key"] == f"{n:08d}"
        image, lesions, location = (database[b"%08d" % n] for database in databases)
        row = rows[record["image"]]
        pixels = decode(image.data)
        assert (image.channels, image.height, image.width, image.encoded) == (3, *pixels.shape[:2], True)
        source = load((data.images / record["image"], 40)).pixels
        assert np.abs(pixels.astype(int) - source).mean() < 3
        assert (lesions.channels, lesions.height, lesions.width) == (2, 1, 1)
        assert list(lesions.float_data) == manifest.lesion_labels()[row].tolist()
        assert (location.channels, location.height, location.width) == (1, 1, 1)
        assert list(location.float_data) == [manifest.location_labels()[row]]
        for label in (lesions, location):
            assert not label.data
            assert not label.encoded


def test_keys_are_equal_and_every_image_is_there_once(build, make_dataset, read_lmdb):
    out = build(make_dataset(7))
    keys = [list(read_lmdb(out / name)) for name in LMDB_NAMES]
    assert keys[0] == keys[1] == keys[2] == [b"%08d" % n for n in range(7)]
    images = [record["image"] for record in records_of(out)]
    assert sorted(images) == [f"image {n}.jpg" for n in range(7)]
    assert images != sorted(images), "Caffe does not shuffle: the order must be mixed here"


def test_only_these_files_are_made(build, make_dataset):
    out = build(make_dataset(2))
    expected = [".made.json", "dataset.json", *(f"{name}/data.mdb" for name in LMDB_NAMES), "records.csv"]
    assert sorted(str(path) for path in bytes_of(out)) == sorted(expected)


def test_workers_change_nothing(build, make_dataset):
    data = make_dataset(9)
    assert bytes_of(build(data, "a", workers=1)) == bytes_of(build(data, "b", workers=3))


def test_the_seed_decides(build, make_dataset):
    data = make_dataset(9)
    one, same, other = build(data, "a"), build(data, "b"), build(data, "c", seed=2)
    assert bytes_of(one) == bytes_of(same)
    assert [record["image"] for record in records_of(one)] != [record["image"] for record in records_of(other)]


def test_jitter_draws_every_side_for_every_copy(build, make_dataset, read_lmdb):
    out = build(make_dataset(8), sizes=Sizes(36, 39, 10))
    records = records_of(out)
    images = read_lmdb(out / "image_lmdb")
    assert len(records) == len(images) == 80
    assert len({(record["image"], record["copy"]) for record in records}) == 80
    for record in records:
        image = images[record["key"].encode()]
        assert min(image.height, image.width) == int(record["short_side"])
    assert {int(record["short_side"]) for record in records} == {36, 37, 38, 39}
    per_image = {record["image"]: set() for record in records}
    for record in records:
        per_image[record["image"]].add(record["short_side"])
    assert min(map(len, per_image.values())) > 1, "each copy has a draw of its own"


def test_train_and_test_share_no_group(build, make_dataset):
    data = make_dataset(12)
    whole = read_manifest(data.manifest)
    folds = data.folder / "folds.csv"
    write_folds(folds, whole, make_folds(whole, 3, 1, "group"))
    group = {row.image: row.group for row in whole.rows}
    groups = {}
    for subset in ("train", "test"):
        out = build(data, subset, manifest=select(whole, folds, 0, subset))
        groups[subset] = {group[record["image"]] for record in records_of(out)}
        assert check_lmdbs(out, 40, None, None, 100).n_images == {"train": 8, "test": 4}[subset]
    assert not groups["train"] & groups["test"]


def test_the_map_grows_and_commits_are_many(build, make_dataset, monkeypatch):
    data = make_dataset(20)
    whole = bytes_of(build(data, "a"))
    monkeypatch.setattr(lmdb_file, "MAP_SIZE", 32 << 10)
    monkeypatch.setattr(lmdb_file, "RECORDS_PER_COMMIT", 3)
    out = build(data, "b")
    assert check_lmdbs(out, 40, None, None, 100).n_records == 20
    assert len(whole[next(path for path in whole if "image_lmdb" in str(path))]) > 32 << 10


def test_the_summary(build, make_dataset):
    data = make_dataset(6, shape=(60, 70))
    out = build(data, sizes=Sizes(40, 64, 2))
    summary = read_summary(out)
    assert (summary["n_images"], summary["n_records"], summary["copies"]) == (6, 12, 2)
    assert summary["lesion_names"] == ["melanoma", "naevus"]
    assert summary["images_per_lesion"] == [4, 4]
    assert summary["images_per_location"] == [3, 3]
    enlarged = {record["image"] for record in records_of(out) if int(record["short_side"]) > 62}
    assert enlarged <= set(summary["upscaled"])


@pytest.mark.parametrize("text", ["{}", "[]", "", "{", '{"n_records": "3"}', "\0\xff"])
def test_a_damaged_summary_is_an_input_error(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"dataset.json: .*build the LMDBs again"):
        read_summary(tmp_path)


def test_odd_image_names(build, make_dataset):
    names = ["a/b c.jpg", "x,y.jpg", 'quote"d.png', "Ünïcode/皮膚.bmp", "-rf.png", "[1]*.png", "no suffix/1.PNG"]
    out = build(make_dataset(names=names), workers=2)
    assert sorted(record["image"] for record in records_of(out)) == sorted(names)
    assert check_lmdbs(out, 40, None, None, 100).n_compared == 7


def test_one_image_and_more_workers_than_images(build, make_dataset):
    out = build(make_dataset(1), workers=4)
    assert check_lmdbs(out, 40, None, None, 100).n_records == 1


def test_the_data_set_may_be_moved_with_its_sources(build, make_dataset, tmp_path, monkeypatch):
    make_dataset(3)
    monkeypatch.chdir(tmp_path)
    data = type("Data", (), {"manifest": "data/manifest.csv", "images": "data/images"})
    build(data, "data/lmdb")
    (tmp_path / "data").rename(tmp_path / "moved")
    monkeypatch.chdir("/")
    assert check_lmdbs(tmp_path / "moved" / "lmdb", 40, None, None, 100).n_compared == 3


def bad_images(data):
    """Spoils the first six of a data set's images, each in another way; returns what is to be said of them."""
    path = [data.images / f"image {n}.jpg" for n in range(6)]
    path[0].write_bytes(path[0].read_bytes()[:-40])
    path[1].write_bytes(b"")
    path[2].write_text("not an image")
    path[3].write_bytes(path[3].read_bytes()[: len(path[3].read_bytes()) // 2])
    cv2.imwrite(str(data.images / "thin.png"), np.zeros((1, 2000, 3), np.uint8))
    (data.images / "thin.png").rename(path[4])
    path[5].write_bytes(b"\xff\xd8\xff")
    return ["truncated", "empty", "not an image", "truncated", "too narrow", "truncated"]


@pytest.mark.parametrize("workers", [1, 2])
def test_all_bad_images_are_named_at_once(build, make_dataset, tmp_path, workers):
    data = make_dataset(12)
    words = bad_images(data)
    with pytest.raises(InputError) as error:
        build(data, workers=workers)
    lines = str(error.value).splitlines()
    assert len(lines) == len(words)
    for n, (line, word) in enumerate(zip(lines, words)):
        assert line.startswith(f"{data.manifest}:{n + 2}: image {data.images / f'image {n}.jpg'}: ")
        assert word in line
        assert line.endswith("; mend it or take the line out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["data"]


def test_missing_images_are_named_before_any_work(build, make_dataset):
    data = make_dataset(40)
    for n in range(2, 32):
        (data.images / f"image {n}.jpg").unlink()
    (data.images / "image 2.jpg").mkdir()
    with pytest.raises(InputError) as error:
        build(data)
    lines = str(error.value).splitlines()
    assert len(lines) == 21
    assert lines[0].startswith(f"{data.manifest}:4: image {data.images / 'image 2.jpg'}: it is a folder, no file")
    assert lines[1].startswith(f"{data.manifest}:5: image {data.images / 'image 3.jpg'}: the file is missing")
    assert lines[-1] == f"{data.manifest}: 10 more images cannot be used"


def test_the_summary_is_plain_json(build, make_dataset):
    out = build(make_dataset(names=["ä.png"]))
    summary = json.loads((out / "dataset.json").read_text(encoding="utf-8"))
    assert (summary["jpeg_quality"], summary["jpeg_decoder"]) == (95, name_of_decoder())
    assert summary["resizing"] == RESIZING


def test_commits_are_many_by_bytes_too(build, make_dataset, monkeypatch):
    """Or a commit of large images would take memory without end."""
    data = make_dataset(20)
    build(data, "a")
    commits = []
    commit = lmdb_file._commit
    monkeypatch.setattr(
        lmdb_file, "_commit", lambda environment, batch: commits.append(batch) or commit(environment, batch)
    )
    monkeypatch.setattr(lmdb_file, "BYTES_PER_COMMIT", 3000)
    out = build(data, "b")
    assert check_lmdbs(out, 40, None, None, 100).n_records == 20
    sizes = [sum(len(value) for _, value in batch) for batch in commits if len(batch) > 1]
    assert len(commits) > 6
    assert max(sizes) < 3000 + 3000  # the last one put in


MEASURED = """
import sys
from pathlib import Path
from skinmtl.data import lmdb_file, lmdb_write
from skinmtl.data.manifest import read_manifest

where = Path(sys.argv[1])
lmdb_file.BYTES_PER_COMMIT = 1 << 20
manifest, sizes = read_manifest(where / "manifest.csv"), lmdb_write.Sizes(200, 200, 1)
lmdb_write.write_lmdbs(manifest, where / "images", where / "out", sizes, 1, 1, {})
print(peak_memory())
"""


def peak_memory(folder, count):
    """Megabytes, of a process of its own that stores so many images of 50 kB."""
    (folder / "images").mkdir(parents=True)
    noise = np.random.RandomState(0).randint(0, 256, (200, 200, 3)).astype(np.uint8)
    (folder / "images" / "0.jpg").write_bytes(cv2.imencode(".jpg", noise)[1].tobytes())
    for n in range(1, count):
        os.link(str(folder / "images" / "0.jpg"), str(folder / "images" / f"{n}.jpg"))
    lines = ["image,lesions,location", *(f"{n}.jpg,a,b" for n in range(count))]
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    environment = dict(os.environ, PYTHONPATH=str(Path(lmdb_write.__file__).parents[2]))
    command = [sys.executable, "-c", PEAK_MEMORY + MEASURED, str(folder)]
    return int(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, timeout=60).stdout)


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    """What is held is a commit's and what LMDB keeps of its tree, not what was written."""
    few, many = peak_memory(tmp_path / "few", 100), peak_memory(tmp_path / "many", 600)
    assert (tmp_path / "many" / "out" / "image_lmdb" / "data.mdb").stat().st_size > 24 << 20
    assert many - few < 10
