"""A manifest's column of groups under another name is not taken for none; and what images without a group prove."""

from __future__ import annotations

import json
import shlex

import pytest

from caffe_files.errors import InputError
from skinmtl.data.group_column import group_like
from skinmtl.data.manifest import read_manifest


@pytest.fixture
def manifest(tmp_path):
    """A function that writes eight images of four patients, under the name that is given; and folds that part them."""

    def write(column, patients="aabbccdd"):
        lines = [f"{n}.jpg,naevus,{'arm' if n % 2 else 'leg'},{patient}" for n, patient in enumerate(patients)]
        path = tmp_path / "manifest.csv"
        path.write_text("\n".join([f"image,lesions,location,{column}", *lines, ""]), encoding="utf-8")
        folds = [f"{n}.jpg,{n % 2}" for n in range(len(patients))]
        (tmp_path / "folds.csv").write_text("\n".join(["image,fold", *folds, ""]), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    "column",
    ["Group", "groups", "GROUP", "gruop", "patient", "patient_id", "Patient ID", "patientID", "case", "lesion_id"],
)
def test_a_column_that_looks_like_the_groups_is_refused(manifest, column):
    said = f"manifest.csv:1: no column 'group', but '{column}'.*--group-column {shlex.quote(column)}, or"
    with pytest.raises(InputError, match=said):
        read_manifest(manifest(column))


@pytest.mark.parametrize("column", ["age_group", "note", "ground_truth", "image_type", "mask_area", "site"])
def test_other_columns_are_not(manifest, column):
    assert read_manifest(manifest(column)).without_group == 8
    assert group_like([column]) == []


def test_beside_the_groups_such_a_column_is_one_of_the_others(manifest):
    path = manifest("group")
    path.write_text(path.read_text().replace(",group", ",group,patient_id").replace("naevus", "naevus"))
    path.write_text("\n".join(line + ",p" * (n > 0) for n, line in enumerate(path.read_text().splitlines())))
    assert read_manifest(path).rows[0].others == {"patient_id": "p"}


def test_the_user_names_the_column_or_says_that_there_is_none(manifest):
    path = manifest("patient_id")
    named = read_manifest(path, "patient_id")
    assert [row.group for row in named.rows] == list("aabbccdd")
    assert named.rows[0].others == {"patient_id": "a"}
    assert read_manifest(path, "image").without_group == 8


@pytest.mark.parametrize("name", ["make_folds.py", "leakage.py"])
def test_the_tools_refuse_it_in_a_line(tool, refused, manifest, name, tmp_path):
    path = manifest("patient_id")
    out = {"leakage.py": ["--folds", tmp_path / "folds.csv"]}
    arguments = ["--manifest", path, *out.get(name, ["--out", tmp_path / "out"])]
    refused(tool(name, *arguments), "manifest.csv:1: no column 'group', but 'patient_id'")


def test_folds_by_a_named_column_keep_patients_whole(tool, manifest, tmp_path):
    path, folds = manifest("patient_id"), tmp_path / "whole.csv"
    command = ["--manifest", path, "--group-column", "patient_id"]
    assert tool("make_folds.py", *command, "--n-folds", 2, "--out", folds).returncode == 0
    assert tool("leakage.py", *command, "--folds", folds, "--fail-if-leak").returncode == 0
    parted = tool("leakage.py", *command, "--folds", tmp_path / "folds.csv", "--fail-if-leak")
    assert (parted.returncode, "8 test images leak" in parted.stderr) == (1, True)


def test_without_groups_nothing_is_proven(tool, manifest, tmp_path):
    path = manifest("note")
    made = tool("make_folds.py", "--manifest", path, "--n-folds", 2, "--out", tmp_path / "new.csv")
    assert "no image has a group, so each is taken to be of another patient" in made.stdout
    by_image = tool("make_folds.py", "--manifest", path, "--n-folds", 2, "--by", "image", "--out", tmp_path / "i.csv")
    assert "no image has a group" not in by_image.stdout
    command = ["leakage.py", "--manifest", path, "--folds", tmp_path / "folds.csv", "--json", tmp_path / "leak.json"]
    judged = tool(*command, "--fail-if-leak")
    assert (judged.returncode, len(judged.stderr.splitlines())) == (3, 1)
    assert "8 images have no group, so nothing shows that these folds do not leak" in judged.stderr
    assert json.loads((tmp_path / "leak.json").read_text())["without_group"] == 8


def test_some_images_without_a_group_are_counted(tool, manifest, tmp_path):
    path = manifest("group", ["a", "a", "", "N/A", "unknown", "b", "-", "c"])
    folds = tmp_path / "new.csv"
    made = tool("make_folds.py", "--manifest", path, "--n-folds", 2, "--out", folds)
    assert "4 of 8 images have no group" in made.stdout
    assert "group: 'N/A' (1), 'unknown' (1), '-' (1) stand for no value: these images have no group" in made.stderr
    assert tool("leakage.py", "--manifest", path, "--folds", folds, "--fail-if-leak").returncode == 3


def test_patients_that_may_be_one_are_told(tool, manifest, tmp_path):
    path = manifest("group", ["P1", "p1", "12", "12.0", "Mu\u0308ller", "M\u00fcller ", "1-23", "12-3"])
    assert len({row.group for row in read_manifest(path).rows}) == 7, "NFC and NFD are one, the others are told"
    said = "2 sets of group names that may be one group: 'P1', 'p1'; '12', '12.0'"
    assert said in tool("make_folds.py", "--manifest", path, "--n-folds", 2, "--out", tmp_path / "new.csv").stdout
    assert said in tool("describe.py", "--manifest", path, "--out", tmp_path / "described").stdout


def test_what_is_set_aside_without_groups_is_told(tool, make_dataset):
    made = make_dataset(6)
    lines = [line.rpartition(",")[0] for line in made.manifest.read_text(encoding="utf-8").splitlines()]
    made.manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    folds = ["image,fold", *(f"image {n}.jpg,{n % 2}" for n in range(6))]
    (made.folder / "folds.csv").write_text("\n".join(folds) + "\n", encoding="utf-8")
    command = ["make_lmdb.py", "--manifest", made.manifest, "--images", made.images, "--short-side", 40]
    command += ["--folds", made.folder / "folds.csv", "--fold", 0, "--subset", "train", "--workers", 1]
    assert "group" not in tool(*command, "--out", made.folder / "all").stderr
    told = tool(*command, "--validation", 0.3, "--out", made.folder / "less").stderr
    assert "no image has a group, so each is taken to be of another patient: where patients have several" in told
