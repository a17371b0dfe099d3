"""Fold files: what they may say, what is selected by them; and tools/make_folds.py."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from usage_errors import usage_errors

from caffe_files.errors import InputError
from skinmtl.common.provenance import sha256
from skinmtl.data.folds import read_folds, select, write_folds
from skinmtl.data.manifest import Manifest, Row, read_manifest
from skinmtl.splits.dealing import make_folds


def manifest_of(groups):
    rows = tuple(Row(n + 2, f"{n}.jpg", ("a",), "x", group) for n, group in enumerate(groups))
    return Manifest(Path("manifest.csv"), rows, ("a",), ("x",))


@pytest.fixture
def data(make_dataset):
    return make_dataset(12, names=[f"{n}, 'ä'.png" for n in range(12)])


@pytest.fixture
def folds_file(data):
    manifest = read_manifest(data.manifest)
    write_folds(data.folder / "folds.csv", manifest, make_folds(manifest, 3, 1, "group"))
    return data.folder / "folds.csv"


def test_a_fold_file_reads_as_it_was_written(data, folds_file):
    manifest = read_manifest(data.manifest)
    np.testing.assert_array_equal(read_folds(folds_file, manifest), make_folds(manifest, 3, 1, "group"))


def test_train_and_test_share_no_image_and_no_group(data, folds_file):
    manifest = read_manifest(data.manifest)
    tested = []
    for fold in range(3):
        train = select(manifest, folds_file, fold, "train")
        test = select(manifest, folds_file, fold, "test")
        assert not {row.group for row in train.rows} & {row.group for row in test.rows}
        assert {*train.rows, *test.rows} == set(manifest.rows)
        assert train.lesion_names == test.lesion_names == manifest.lesion_names
        tested += [row.image for row in test.rows]
    assert sorted(tested) == sorted(row.image for row in manifest.rows)


def test_without_a_fold_file_all_are_selected(data):
    manifest = read_manifest(data.manifest)
    assert select(manifest, None, None, None) is manifest


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda lines: lines[:-1], ["no fold for", "11, 'ä'.png", ":13); make"]),
        (lambda lines: [*lines, "x.jpg,0"], ["'x.jpg' is not in"]),
        (lambda lines: [*lines, lines[-1]], [":14:", "twice"]),
        (lambda lines: [*lines[:-1], lines[-1][:-1] + "one"], [":13:", "'one'", "whole number"]),
        (lambda lines: [*lines[:-1], lines[-1][:-1] + "-1"], [":13:", "'-1'"]),
        (lambda lines: [*lines[:-1], lines[-1][:-1] + "9" * 30], [":13:", "999"]),
        (lambda lines: [*lines[:-1], lines[-1][:-1] + "٣"], [":13:", "'٣'"]),
        (lambda lines: ["image,part", *lines[1:]], [":1:", "'fold'"]),
    ],
    ids=["misses an image", "extra image", "twice", "a word", "negative", "huge", "Arabic digit", "no column"],
)
def test_refuses_a_fold_file_with_the_line(data, folds_file, change, words):
    lines = folds_file.read_text(encoding="utf-8").splitlines()
    folds_file.write_text("\n".join(change(lines)) + "\n", encoding="utf-8")
    with pytest.raises(InputError) as error:
        select(read_manifest(data.manifest), folds_file, 0, "train")
    assert str(error.value).startswith(str(folds_file))
    for word in words:
        assert word in str(error.value)


def test_refuses_a_fold_that_is_not_there(data, folds_file):
    manifest = read_manifest(data.manifest)
    with pytest.raises(InputError, match=r"no image is in fold 3; the folds are \[0, 1, 2\]"):
        select(manifest, folds_file, 3, "test")
    write_folds(folds_file, manifest, np.zeros(12, np.int64))
    with pytest.raises(InputError, match="none is left to train on"):
        select(manifest, folds_file, 0, "train")


def test_the_tool_deals_prints_and_repeats(tool, data, tmp_path):
    command = ["make_folds.py", "--manifest", "data/manifest.csv", "--n-folds", 3, "--out"]
    finished = tool(*command, tmp_path / "a b.csv", cwd=tmp_path)
    assert (finished.returncode, finished.stderr) == (0, "")
    said = finished.stdout.splitlines()
    assert said[:3] == ["fold 0: 4 images", "fold 1: 4 images", "fold 2: 4 images"]
    assert re.split("  +", said[3]) == ["label", "images", "groups", "fold 0", "fold 1", "fold 2", "from even"]
    assert said[4].split()[:4] == ["lesion", "'melanoma'", "8", "6"]
    assert re.match("from even, 4 labels: worst .* %; groups dealt at random: worst .* %, mean .* %", said[8])
    tool.started(*command, "again.csv", cwd=tmp_path)
    assert (tmp_path / "a b.csv").read_bytes() == (tmp_path / "again.csv").read_bytes()
    report = json.loads((tmp_path / "a b.json").read_text(encoding="utf-8"))
    assert report["fold_sizes"] == [4, 4, 4]
    melanoma = report["labels"]["lesion 'melanoma'"]
    assert melanoma["images"] == sum(melanoma["images_by_fold"]) == 8
    assert report["manifest_sha256"] == sha256(data.manifest)
    assert report["arguments"]["balance"] == "labels"
    names = ["a b.csv", "a b.json", "again.csv", "again.json", "data"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


@pytest.mark.parametrize("by", ["image", "group"])
def test_plain_random_folds_can_be_had_and_are_not_compared_with_random_ones(tool, data, tmp_path, by):
    words = ["--by", "image"] if by == "image" else ["--balance", "none"]
    finished = tool(
        "make_folds.py", "--manifest", data.manifest, "--n-folds", 3, *words, "--out", tmp_path / "folds.csv"
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "at random" not in finished.stdout
    manifest = read_manifest(data.manifest)
    expected = make_folds(manifest, 3, 1, by, "none")
    np.testing.assert_array_equal(read_folds(tmp_path / "folds.csv", manifest), expected)


def test_the_tool_names_a_label_that_cannot_be_in_every_fold(tool, data):
    lines = data.manifest.read_text(encoding="utf-8").splitlines()
    data.manifest.write_text("\n".join([*lines, "rare.png,naevus;scar,nose,0"]) + "\n", encoding="utf-8")
    finished = tool("make_folds.py", "--manifest", data.manifest, "--n-folds", 3, "--out", data.folder / "folds.csv")
    assert "lesion 'scar' is in 1 group: it cannot be in each of 3 folds" in finished.stdout.splitlines()
    assert "location 'nose' is in 1 group: it cannot be in each of 3 folds" in finished.stdout.splitlines()


SEARCH = ["--images", "images", "--near-duplicates"]
WRONG_USAGE = [
    ([*SEARCH[2:], "6"], "--images and --near-duplicates go together"),
    ([*SEARCH, "65"], "--near-duplicates: the hashes have 64 bits; give a number up to 64"),
    (["--least-correlation", "1.5"], "--least-correlation: a correlation is a number from -1 to 1"),
    ([*SEARCH, "--by", "image"], "--near-duplicates are sought across groups: it goes with --by group"),
    (["--merge-near-duplicates", "merged"], "--merge-near-duplicates needs --near-duplicates"),
    (
        [*SEARCH, "--merge-near-duplicates", "merged", "--out", "merged/folds.csv"],
        "merged: is made whole by this command; put --out beside it, not into it",
    ),
    (["--out", "manifest.csv"], "manifest.csv: is an input of this command; name another file to write"),
    (["--out", "folds.json"], "folds.json: is where the report goes; name the folds .csv"),
    (["--n-folds", "1"], "--n-folds: one fold leaves nothing to train on; make two or more"),
]


def test_wrong_usage(data):
    start = ["--manifest", "manifest.csv", "--out", "folds.csv"]
    said = usage_errors("make_folds", [[*start, *words] for words, _ in WRONG_USAGE], data.folder)
    assert said == [words for _, words in WRONG_USAGE]
    assert sorted(path.name for path in data.folder.iterdir()) == ["images", "manifest.csv"]


def test_the_tool_refuses_more_folds_than_groups(tool, refused, data):
    finished = tool("make_folds.py", "--manifest", data.manifest, "--n-folds", 7, "--out", data.folder / "folds.csv")
    refused(finished, data.manifest, "6 groups cannot fill 7 folds")
    assert sorted(path.name for path in data.folder.iterdir()) == ["images", "manifest.csv"]


def test_the_tool_refuses_folds_that_miss_an_image(tool, refused, data, folds_file, tmp_path):
    lines = folds_file.read_text(encoding="utf-8").splitlines(keepends=True)
    folds_file.write_text("".join(lines[:-1]), encoding="utf-8")
    options = ["--folds", folds_file, "--fold", 0, "--subset", "train", "--out", tmp_path / "out"]
    finished = tool("make_lmdb.py", "--manifest", data.manifest, "--images", data.images, *options)
    refused(finished, folds_file, "11, 'ä'.png", f"{data.manifest}:13", "make the folds from this manifest")
    assert not (tmp_path / "out").exists()


# a part of the training images set aside, to watch while the test fold stays unseen


def images_of(manifest):
    return [row.image for row in manifest.rows]


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.lists(st.integers(0, 12), min_size=2, max_size=60),
    st.floats(0.01, 0.6),
    st.integers(0, 1),
)
def test_what_is_set_aside_is_whole_groups_of_the_training_images(tmp_path_factory, groups, share, fold):
    manifest = manifest_of([f"g{group}" for group in groups])
    if len(set(groups)) < 2:
        return
    path = tmp_path_factory.mktemp("folds") / "folds.csv"
    write_folds(path, manifest, make_folds(manifest, 2, 1, "group"))
    whole, test = (select(manifest, path, fold, subset) for subset in ("train", "test"))
    set_aside = select(manifest, path, fold, "validation", share)
    sizes = Counter(row.group for row in whole.rows)
    try:
        train = select(manifest, path, fold, "train", share)
    except InputError as error:  # all groups are needed to reach the share
        assert "set another share aside" in str(error)
        assert images_of(set_aside) == images_of(whole)
        return
    assert {row.group for row in set_aside.rows}.isdisjoint(row.group for row in train.rows)
    assert sorted(images_of(train) + images_of(set_aside)) == sorted(images_of(whole))
    assert set(images_of(set_aside)).isdisjoint(images_of(test))
    assert images_of(select(manifest, path, fold, "test", share)) == images_of(test)
    # at least the share, and by no more than the group that reached it
    wanted = share * len(whole.rows)
    assert wanted - 1e-9 <= len(set_aside.rows) < wanted + max(sizes.values())
    assert images_of(select(manifest, path, fold, "validation", share)) == images_of(set_aside)


def test_a_larger_share_only_adds_images(data, folds_file):
    manifest = read_manifest(data.manifest)
    before = set()
    for share in (0.01, 0.2, 0.4, 0.6, 0.8):
        now = set(images_of(select(manifest, folds_file, 0, "validation", share)))
        assert before <= now
        before = now
    assert before


def test_nothing_is_set_aside_without_a_share(data, folds_file):
    manifest = read_manifest(data.manifest)
    assert images_of(select(manifest, folds_file, 0, "train", 0.0)) == images_of(
        select(manifest, folds_file, 0, "train")
    )
    with pytest.raises(InputError, match="none is left to train on"):
        select(manifest, folds_file, 0, "validation", 0.0)


def test_a_share_that_takes_all_is_refused(data, folds_file):
    manifest = read_manifest(data.manifest)
    with pytest.raises(InputError, match="no image of fold 0 is left for train; set another share aside"):
        select(manifest, folds_file, 0, "train", 0.999)


def test_make_lmdb_sets_the_share_aside(tool, data, folds_file, tmp_path):
    listed = {}
    for subset, more in [("train", ["--validation", 0.25]), ("validation", ["--validation", 0.25]), ("test", [])]:
        words = ["--folds", folds_file, "--fold", 1, "--subset", subset, *more, "--short-side", 16, "--workers", 1]
        finished = tool(
            "make_lmdb.py", "--manifest", data.manifest, "--images", data.images, *words, "--out", tmp_path / subset
        )
        assert (finished.returncode, finished.stderr) == (0, "")
        lines = (tmp_path / subset / "records.csv").read_text(encoding="utf-8").splitlines()[1:]
        listed[subset] = {line.split(",", 1)[1].rsplit(",", 2)[0] for line in lines}
    assert sum(map(len, listed.values())) == len(set.union(*listed.values())) == 12
    assert len(listed["validation"]) == 2


def test_a_share_that_does_not_go_with_the_subset_is_a_usage_error(tmp_path):
    start = ["--manifest", "manifest.csv", "--images", "images", "--folds", "folds.csv", "--fold", 0, "--out", "out"]
    ends = (
        ["--subset", "validation"],
        ["--subset", "test", "--validation", 0.1],
        ["--subset", "train", "--validation", 1],
    )
    assert usage_errors("make_lmdb", [[*start, *words] for words in ends], tmp_path) == [
        "--subset validation needs --validation SHARE, or --validation-fold K",
        "--validation goes with --subset train or validation",
        "argument --validation: '1' is not a number from 0 to below 1",
    ]
