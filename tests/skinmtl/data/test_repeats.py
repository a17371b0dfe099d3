"""make_lmdb.py --balance: how often an image with a rare lesion is stored, and who knows of it."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from caffe_files.errors import InputError
from skinmtl.data.dataset import read_summary
from skinmtl.data.label_counts import lesion_counts
from skinmtl.data.lmdb_check import check_lmdbs
from skinmtl.data.lmdb_write import Sizes, write_lmdbs
from skinmtl.data.manifest import read_manifest
from skinmtl.data.repeats import Balance, image_factors, rounded
from skinmtl.data.table import read_csv
from skinmtl.data.trained_on import images_of


def slow_factors(labels, threshold):
    """LVIS, section 4.2, written out."""
    n, p = labels.shape
    of_lesion = [max(1.0, math.sqrt(threshold / (sum(labels[:, c]) / n))) if any(labels[:, c]) else 1 for c in range(p)]
    return [max([1.0, *(of_lesion[c] for c in range(p) if row[c])]) for row in labels]


def test_the_factors_are_those_of_lvis():
    random = np.random.RandomState(1)
    labels = (random.rand(200, 5) < [0.6, 0.2, 0.05, 0.01, 0.0]).astype(np.uint8)
    for threshold in (0.001, 0.05, 0.3, 0.9):
        np.testing.assert_allclose(image_factors(labels, threshold), slow_factors(labels, threshold))


def test_fractions_are_drawn_by_image_and_seed_alone_and_right_on_average():
    images = [f"{number}.jpg" for number in range(4000)]
    factors = np.full(4000, 2.3)
    found = rounded(factors, images, 1)
    assert set(found) == {2, 3}
    assert found.mean() == pytest.approx(2.3, abs=0.03)
    assert (rounded(factors[::-1], images[::-1], 1)[::-1] == found).all()
    assert (rounded(factors, images, 2) != found).any()
    assert (rounded(np.full(4000, 3.0), images, 1) == 3).all()


@pytest.fixture(scope="module")
def rare_set(small_set, tmp_path_factory):
    """24 images of which two have the lesion "rare", stored with its images repeated: sqrt(0.75 x 24 / 2) = 3 times."""
    folder = tmp_path_factory.mktemp("rare")
    lines = [f"{number}.jpg,{'rare' if number in (3, 7) else 'usual'},back" for number in range(24)]
    (folder / "manifest.csv").write_text("\n".join(["image,lesions,location", *lines]) + "\n")
    manifest = read_manifest(folder / "manifest.csv")
    summary = write_lmdbs(
        manifest, small_set.images, folder / "data", Sizes(70, 72, 2), 1, 1, {}, balance=Balance(0.75, 1)
    )
    return folder / "data", manifest, summary, small_set.images


def test_all_lmdbs_have_the_repeated_records_in_step(rare_set, read_lmdb):
    data, _, summary, _ = rare_set
    listed = [record for _, record in read_csv(data / "records.csv", ("key", "image", "copy"))]
    assert Counter(record["image"] for record in listed) == {
        f"{number}.jpg": 6 if number in (3, 7) else 2 for number in range(24)
    }
    assert sorted(record["copy"] for record in listed if record["image"] == "7.jpg") == list("012345")
    lesions, images = read_lmdb(data / "lesion_lmdb"), read_lmdb(data / "image_lmdb")
    assert list(lesions) == list(images) == [record["key"].encode() for record in listed]
    for record in listed:
        is_rare = list(lesions[record["key"].encode()].float_data) == [1, 0]
        assert is_rare == (record["image"] in ("3.jpg", "7.jpg"))
    assert (summary["n_records"], summary["n_images"], summary["copies"]) == (56, 24, 2)
    assert summary["balance"] == {"threshold": 0.75, "seed": 1, "records_per_lesion": [6, 22]}
    assert summary["images_per_lesion"] == [2, 22]


def test_check_lmdb_counts_them_and_finds_one_that_is_missing(rare_set, tmp_path):
    data, manifest, summary, images = rare_set
    done = check_lmdbs(data, 64, None, images, 5)
    assert (done.n_records, done.n_images) == (56, 24)
    changed = tmp_path / "data"
    shutil.copytree(str(data), str(changed))
    (changed / "dataset.json").write_text(json.dumps({**summary, "balance": {"threshold": 0.4, "seed": 1}}))
    with pytest.raises(InputError, match=r"'3.jpg' has 6 records, . are due"):
        check_lmdbs(changed, 64, manifest.path, images, 0)
    (changed / "dataset.json").write_text(json.dumps({**summary, "balance": {"threshold": 4, "seed": 1}}))
    with pytest.raises(InputError, match="'balance' is of another kind"):
        read_summary(changed)


def test_what_was_trained_on_names_each_image_once_and_weights_count_what_is_seen(rare_set):
    data, *_ = rare_set
    assert len(images_of(data)[0]) == 24
    assert lesion_counts(data) == (28, 6, 22)


def test_without_it_the_records_are_those_of_before(rare_set, small_set, tmp_path):
    """A threshold that no lesion is below changes no record."""
    _, manifest, _, images = rare_set
    part = replace(manifest, rows=manifest.rows[:6])
    for name, balance in (("plain", None), ("balanced", Balance(0.01, 1))):
        write_lmdbs(part, images, tmp_path / name, Sizes(70, 72, 2), 1, 1, {}, balance=balance)
    plain, balanced = (read_summary(tmp_path / name) for name in ("plain", "balanced"))
    assert plain["lmdbs"]["image_lmdb"]["sha256"] == balanced["lmdbs"]["image_lmdb"]["sha256"]
    assert plain["records_sha256"] == balanced["records_sha256"]
    assert "balance" not in plain


def test_the_tool_says_what_it_repeats_and_refuses_to_repeat_what_is_tested(tool, rare_set, small_set, tmp_path):
    _, manifest, _, images = rare_set
    flags = ("--manifest", manifest.path, "--images", images, "--workers", 1, "--balance", "0.75")
    done = tool("make_lmdb.py", *flags, "--short-side", 70, "--out", tmp_path / "data")
    assert done.returncode == 0, done.stderr
    assert "images of lesions below 75 % are repeated" in done.stdout
    assert "  rare: 2 images, in 6 records" in done.stdout
    assert "usual" not in done.stdout
    none = tool("make_lmdb.py", *flags[:-1], "0.01", "--short-side", 70, "--out", tmp_path / "none")
    assert "no lesion is below 1 %: nothing is repeated" in none.stdout and "are repeated" not in none.stdout
    fold = ("--folds", small_set.folds, "--fold", 0, "--subset", "test")
    refused = tool("make_lmdb.py", *flags, *fold, "--out", tmp_path / "test")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--balance is of training images" in refused.stderr
    assert tool("make_lmdb.py", *flags[:-1], "0", "--out", tmp_path / "zero").returncode == 2


@pytest.mark.caffe
def test_training_says_so_and_reads_them_with_plain_data_layers(tool, rare_set, small_set, tmp_path):
    _, manifest, _, images = rare_set
    for name, rows, balance in (("fit", manifest.rows[:16], Balance(0.75, 1)), ("watch", manifest.rows[16:], None)):
        part = replace(manifest, rows=rows)
        write_lmdbs(part, images, tmp_path / name, Sizes(72, 72, 1), 1, 1, {}, balance=balance)
    net = ("--model", "resnet50_lesion", "--trunk", "tiny", "--crop", 64, "--batch-size", 4, "--out", tmp_path / "net")
    made = tool("make_prototxt.py", *net, "--train-data", tmp_path / "fit", "--test-data", tmp_path / "watch")
    assert made.returncode == 0, made.stderr
    (tmp_path / "s.prototxt").write_text('base_lr: 0.001 lr_policy: "fixed" random_seed: 1 type: "SGD"')
    how = ("--net", tmp_path / "net", "--max-iter", 3, "--test-interval", 3, "--out", tmp_path / "run")
    done = tool("train.py", "--solver", tmp_path / "s.prototxt", *how)
    assert done.returncode == 0, done.stderr
    assert "images of lesions below 75 % are repeated" in done.stdout + done.stderr
    assert len(json.loads((tmp_path / "run" / "trained_on.json").read_text())["training"]) == 16
