"""The demo's data set with masks: exact masks, classes that shape and colour tell apart, patients, and every byte."""

from __future__ import annotations

import csv
import json
from collections import Counter

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from skinmtl.data.demo import mole_set
from skinmtl.data.demo.drawing import Look, Scene, belly
from skinmtl.data.demo.moles import draw_mole
from skinmtl.data.manifest import read_manifest

COUNT, PATIENTS = 60, 20


@pytest.fixture(scope="module")
def data(tool, tmp_path_factory):
    folder = tmp_path_factory.mktemp("moles") / "data"
    numbers = ("--count", COUNT, "--patients", PATIENTS, "--seed", 3, "--workers", 2)
    done = tool("make_demo_data.py", "--masks", "--out", folder, *numbers)
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture(scope="module")
def pairs(data):
    """(row, image, mask) of every row of the manifest."""
    folder = data[0]
    read = cv2.IMREAD_UNCHANGED
    return [
        (row, cv2.imread(str(folder / row.image), read), cv2.imread(str(folder / row.mask), read))
        for row in read_manifest(folder / "manifest.csv").rows
    ]


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_is_the_image_folder_of_its_manifest(data, pairs):
    folder, done = data
    assert len(pairs) == COUNT
    for place in ("images", "masks"):
        assert {path.name for path in (folder / place).iterdir()} == {
            (row.image if place == "images" else row.mask).split("/")[1] for row, _, _ in pairs
        }
    assert done.stdout.startswith(f"{folder}: {COUNT} images of {PATIENTS} patients, with masks\n")
    assert done.stderr == ""


def test_a_mask_is_black_and_white_of_the_images_size_and_one_lesion(pairs):
    for row, image, mask in pairs:
        assert (mask.dtype, mask.shape) == (np.uint8, image.shape[:2]), row.image
        assert set(np.unique(mask)) == {0, 255}, row.image
        assert cv2.connectedComponents(mask)[0] == 2, row.image


def test_lesions_differ_in_size_and_some_touch_the_border(pairs):
    shares = [(mask > 0).mean() for _, _, mask in pairs]
    assert min(shares) > 0.01
    assert max(shares) < 0.5
    assert np.percentile(shares, 90) > 3 * np.percentile(shares, 10)
    edges = [np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).any() for _, _, mask in pairs]
    assert 0 < np.mean(edges) < 0.5


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("lesion", mole_set.LESIONS)
def test_the_mask_is_what_the_mole_changed(lesion, seed):
    """On skin without light, hairs and noise: outside the mask nothing is painted but the mole's soft edge."""

    class NoHairs(Scene):
        def hairs(self, *_):
            pass

    scene = NoHairs(Look(np.random.RandomState(seed)), np.random.RandomState(seed), 160, 200)
    bare = scene.image.copy()
    mask = draw_mole(scene, lesion)
    changed = np.abs(scene.image - bare).max(axis=2) > 3
    grown = cv2.dilate(mask, np.ones((13, 13), np.uint8)) > 0
    shrunk = cv2.erode(mask, np.ones((13, 13), np.uint8)) > 127
    assert not (changed & ~grown).any()
    assert changed[shrunk].mean() > 0.98


def test_what_is_not_body_is_not_mole():
    scene = Scene(Look(np.random.RandomState(0)), np.random.RandomState(1), 160, 160)
    belly(scene)
    scene.body[:, 80:] = 0
    assert not draw_mole(scene, "benign")[:, 80:].any()


def test_shape_and_colour_tell_the_classes_apart_and_none_of_them_alone(pairs):
    found = {"border": [], "colours": []}
    labels = [row.lesions == ("malignant",) for row, _, _ in pairs]
    for _, image, mask in pairs:
        outline = max(cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[-2], key=len)
        found["border"].append(cv2.arcLength(outline, True) ** 2 / cv2.contourArea(outline))
        found["colours"].append(image[mask > 0].std(axis=0).mean())
    areas = {name: roc_auc_score(labels, values) for name, values in found.items()}
    assert areas["border"] > 0.85
    assert 0.6 < areas["colours"] < 0.97


def test_each_class_is_there_and_a_patient_may_have_both():
    rows = mole_set.draw_rows(600, 200, 1)
    assert 0.3 < np.mean([row.lesion == "malignant" for row in rows]) < 0.5
    per_patient = {}
    for row in rows:
        per_patient.setdefault(row.patient, set()).add(row.lesion)
    assert Counter(map(len, per_patient.values()))[2] > 40
    assert len(per_patient) == 200


def test_manifest_and_record_agree(data, pairs):
    folder = data[0]
    with open(str(folder / "manifest.csv"), newline="", encoding="utf-8") as file:
        assert next(csv.reader(file)) == ["image", "lesions", "location", "group", "mask"]
    record = json.loads((folder / "demo.json").read_text())
    assert record["counts"]["lesions"] == Counter(row.lesions[0] for row, _, _ in pairs)
    assert record["counts"]["locations"] == Counter(row.location for row, _, _ in pairs)
    assert record["arguments"] == {"count": COUNT, "patients": PATIENTS, "seed": 3, "masks": True}


def test_same_seed_same_bytes_whatever_the_workers_and_another_seed_differs(data, tmp_path):
    mole_set.make(tmp_path / "again", COUNT, PATIENTS, 3, 1)
    assert contents(tmp_path / "again") == contents(data[0])
    mole_set.make(tmp_path / "other", 4, 2, 4, 1)
    mine, other = contents(data[0]), contents(tmp_path / "other")
    assert not any(mine[name] == other[name] for name in other if name.startswith(("images", "masks")))
