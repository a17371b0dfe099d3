"""What given folds leak: siblings and near-duplicates in training; tools/leakage.py."""

from __future__ import annotations

import json
import re
from collections import defaultdict

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_files.errors import InputError
from skinmtl.data.folds import write_folds
from skinmtl.data.manifest import read_manifest
from skinmtl.splits.leakage import leakage
from skinmtl.splits.near_duplicates import Pair


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0, 1, 2, 7])), min_size=1, max_size=40),
    st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39)), max_size=10),
)
def test_it_counts_what_looking_at_each_image_counts(rows, links):
    groups, folds = [f"g{group}" for group, _ in rows], np.array([fold for _, fold in rows])
    pairs = [Pair(a, b, 2, 0.99, False) for a, b in links if max(a, b) < len(rows) and groups[a] != groups[b]]
    found = leakage(groups, folds, pairs)
    test, siblings, duplicates, either = (defaultdict(int) for _ in range(4))
    for n, (group, fold) in enumerate(zip(groups, folds.tolist())):
        sibling = any(group == other and fold != there for other, there in zip(groups, folds.tolist()))
        duplicate = any(n in (a, b) and folds[a] != folds[b] for a, b, *_ in pairs)
        test[fold] += 1
        siblings[fold] += sibling
        duplicates[fold] += duplicate
        either[fold] += sibling or duplicate
    assert found.numbers.tolist() == sorted(test)
    for counted, by_fold in ((test, found.test), (siblings, found.siblings), (duplicates, found.duplicates)):
        assert by_fold.tolist() == [counted[fold] for fold in sorted(test)]
    assert found.either.tolist() == [either[fold] for fold in sorted(test)]
    assert found.groups == tuple(sorted({g for g in groups if len({f for o, f in zip(groups, folds) if o == g}) > 1}))
    assert all(folds[pair.a] != folds[pair.b] for pair in found.pairs)


def test_near_duplicates_that_were_not_sought_are_not_none_found():
    assert leakage(["a", "a"], np.array([0, 1]), None).duplicates is None
    assert leakage(["a", "a"], np.array([0, 1]), []).duplicates.tolist() == [0, 0]


@pytest.fixture
def data(make_dataset):
    """Twelve images of six groups; a column `visit` in which the first four are one, and the fifth has none."""
    made = make_dataset(12)
    lines = made.manifest.read_text(encoding="utf-8").splitlines()
    visits = ["visit", *["v"] * 4, "", *map(str, range(7))]
    made.manifest.write_text("".join(f"{line},{visit}\n" for line, visit in zip(lines, visits)), encoding="utf-8")
    folds = np.array([0, 0, 1, 1, 0, 2, 2, 2, 0, 0, 1, 1])
    write_folds(made.folder / "folds.csv", read_manifest(made.manifest), folds)
    return made


def test_another_column_says_who_is_whose_sibling(data):
    groups = [row.group for row in read_manifest(data.manifest, "visit").rows]
    assert groups == ["v"] * 4 + ["image 4.jpg", *map(str, range(7))]
    with pytest.raises(InputError, match=r"manifest\.csv:1: no column 'visits' with the groups; 'visit' is near"):
        read_manifest(data.manifest, "visits")
    with pytest.raises(
        InputError, match="no column 'lesion_id' with the groups; it has image, lesions, location, group, visit"
    ):
        read_manifest(data.manifest, "lesion_id")


COMMAND = ["leakage.py", "--manifest", "manifest.csv", "--folds", "folds.csv"]


def test_the_tool_says_it_fold_by_fold_and_in_all(tool, data):
    finished = tool(*COMMAND, "--json", "leak.json", cwd=data.folder)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.splitlines() == [
        "test fold  images  sibling in training",
        "        0       5           1 (20.0 %)",
        "        1       4            0 (0.0 %)",
        "        2       3           1 (33.3 %)",
        "      all      12           2 (16.7 %)",
    ]
    report = json.loads((data.folder / "leak.json").read_text(encoding="utf-8"))
    assert (report["images"], report["leaking"], report["groups_in_several_folds"]) == (12, 2, ["2"])
    assert report["by_fold"][2] == {"fold": 2, "images": 3, "with_sibling": 1}
    assert report["arguments"]["folds"] == "folds.csv"


def test_it_fails_where_asked_to(tool, data):
    finished = tool(*COMMAND, "--fail-if-leak", cwd=data.folder)
    assert finished.returncode == 1
    assert finished.stderr == (
        "leakage.py: folds.csv: 2 test images leak; keep groups in one fold (make_folds.py --by group)\n"
    )
    assert "all      12" in finished.stdout


def test_folds_of_whole_groups_do_not_fail(tool, data):
    whole = ["image,fold", *(f"image {n}.jpg,{n // 4}" for n in range(12))]
    (data.folder / "folds.csv").write_text("\n".join(whole) + "\n", encoding="utf-8")
    assert tool(*COMMAND, "--fail-if-leak", cwd=data.folder).returncode == 0


def test_near_duplicates_in_training_count_too(tool, small_set, tmp_path):
    """Image 23 is of fold 1; what it shows is put into the test fold, as image 0, saved anew."""
    (tmp_path / "images").mkdir()
    for path in small_set.images.iterdir():
        cv2.imwrite(str(tmp_path / "images" / path.name), cv2.imread(str(path)))
    copy = cv2.imread(str(small_set.images / "23.jpg"))
    cv2.imwrite(str(tmp_path / "images" / "0.jpg"), copy, [cv2.IMWRITE_JPEG_QUALITY, 60])
    command = ["leakage.py", "--manifest", small_set.manifest, "--folds", small_set.folds, "--workers", 1]
    search = ["--images", tmp_path / "images", "--near-duplicates", "--json", tmp_path / "leak.json"]
    finished = tool(*command, *search, "--fail-if-leak")
    assert finished.returncode == 1
    assert "2 test images leak" in finished.stderr
    assert "no image has a group" in finished.stdout
    assert re.split("  +", finished.stdout.splitlines()[-1].strip()) == ["all", "24", "0 (0.0 %)", *["2 (8.3 %)"] * 2]
    report = json.loads((tmp_path / "leak.json").read_text(encoding="utf-8"))
    pair = report["near_duplicates_in_several_folds"][0]
    assert (pair["image_a"], pair["image_b"], pair["fold_a"], pair["fold_b"]) == ("0.jpg", "23.jpg", 0, 1)


def test_wrong_input_is_one_line(tool, refused, data):
    refused(tool(*COMMAND, "--group-column", "patient", cwd=data.folder), "manifest.csv:1: no column 'patient'")
    assert not (data.folder / "leak.json").exists()
    usage = tool(*COMMAND, "--images", "images", cwd=data.folder)
    assert usage.returncode == 2
    assert "--images and --near-duplicates go together" in usage.stderr
