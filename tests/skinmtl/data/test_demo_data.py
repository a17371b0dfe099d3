"""The demo's data set: what the contracts ask of it, its labels' statistics, and that a seed fixes every byte."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from skinmtl.data.demo import data_set as demo_data
from skinmtl.data.demo import drawing as demo_drawing
from skinmtl.scores.metrics import average_precision

ROOT = Path(__file__).resolve().parents[3]
PAPER = """
alopecia, comedones, crust, cyst, edema, erosion/ulcer/atrophy, erythema/erythroderm, erythematous-squamous plaque,
erythematous papule, erythematous plaque, excoriation, hyperkeratosis, hyperpigmented papule, hyperpigmented plaque,
macule, nodule, oozing, other papule, pearly papule, other plaque, scar, squames/scales, telangiectasis, tumour,
vesicular/pustular
"""
EXPECTED = [  # draw_rows(6, 2, 1)
    ("00000.jpg", "p0000", "back", ("comedones", "macule")),
    ("00001.jpg", "p0000", "back", ("erythematous plaque", "squames/scales")),
    ("00002.jpg", "p0000", "back", ("comedones", "scar", "vesicular/pustular")),
    ("00003.jpg", "p0001", "face", ("crust",)),
    ("00004.jpg", "p0001", "face", ("comedones",)),
    ("00005.jpg", "p0001", "face", ("crust",)),
]


@pytest.fixture(scope="module")
def data(tool, tmp_path_factory):
    """Forty images and what the tool said."""
    folder = tmp_path_factory.mktemp("demo") / "data"
    done = tool("make_demo_data.py", "--out", folder, "--count", 40, "--patients", 12, "--seed", 3, "--workers", 2)
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture(scope="module")
def manifest(data):
    with open(str(data[0] / "manifest.csv"), newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names(path):
    return path.read_text(encoding="utf-8").splitlines()


def test_every_image_of_the_manifest_is_there_and_decodes(data, manifest):
    listed = {row["image"] for row in manifest}
    assert len(manifest) == len(listed) == 40
    assert listed == {path.name for path in (data[0] / "images").iterdir()}
    shapes = {cv2.imread(str(data[0] / "images" / name)).shape for name in listed}
    assert len(shapes) > 20
    assert {depth for _, _, depth in shapes} == {3}
    assert all(120 <= side <= 320 for shape in shapes for side in shape[:2])
    assert {np.sign(width - height) for height, width, _ in shapes} == {-1, 0, 1}  # portrait, square, landscape


def test_labels_are_the_papers_and_listed(data, manifest):
    lesions, locations = names(data[0] / "lesions.txt"), names(data[0] / "locations.txt")
    assert len(lesions) == len(set(lesions)) >= 8
    assert len(locations) == len(set(locations)) >= 6
    assert set(lesions) <= set(re.split(r",\s+", PAPER.strip()))
    for row in manifest:
        own = row["lesions"].split(";")
        assert 1 <= len(own) == len(set(own)) <= 3
        assert set(own) <= set(lesions)
        assert row["location"] in locations


def test_patients_have_several_images(manifest):
    images = Counter(row["group"] for row in manifest)
    assert len(images) == 12
    assert min(images.values()) >= 2


def test_summary_and_record_count_the_manifest(data, manifest):
    folder, done = data
    record = json.loads((folder / "demo.json").read_text())
    lesions = Counter(name for row in manifest for name in row["lesions"].split(";"))
    locations = Counter(row["location"] for row in manifest)
    assert {name: n for name, n in record["counts"]["lesions"].items() if n} == lesions
    assert {name: n for name, n in record["counts"]["locations"].items() if n} == locations
    assert record["arguments"] == {"count": 40, "patients": 12, "seed": 3}
    assert "40 images of 12 patients" in done.stdout
    printed = dict(line.rsplit(None, 1) for line in done.stdout.splitlines() if line.startswith("  "))
    assert {name.strip(): int(n) for name, n in printed.items() if int(n)} == {**lesions, **locations}
    assert done.stderr == ""


def test_same_seed_same_bytes_whatever_the_workers(data, tmp_path):
    demo_data.make(tmp_path / "again", images=40, patients=12, seed=3, workers=1)
    assert contents(tmp_path / "again") == contents(data[0])


def test_another_seed_differs(data, tmp_path):
    demo_data.make(tmp_path / "other", images=40, patients=12, seed=4)
    mine, other = contents(data[0]), contents(tmp_path / "other")
    assert mine["manifest.csv"] != other["manifest.csv"]
    assert not any(mine[name] == other[name] for name in mine if name.endswith(".jpg"))


def test_table_and_drawings_have_the_same_names():
    assert list(demo_data.PROFILE) == list(demo_drawing.SITES)
    for weights in demo_data.PROFILE.values():
        assert len(weights) == len(demo_drawing.LESIONS)
        assert sum(weight > 0 for weight in weights) >= 3


@pytest.mark.parametrize("seed", [1, 2])
def test_lesions_go_with_sites_but_never_for_certain(seed):
    """R_ij, the paper's Figure 1: images with lesion i and site j / images with lesion i."""
    rows = demo_data.draw_rows(2000, 600, seed)
    share = {}
    for lesion in demo_drawing.LESIONS:
        sites = Counter(row.location for row in rows if lesion in row.lesions)
        assert sum(sites.values()) >= 120, lesion
        assert len(sites) >= 3, lesion
        share[lesion] = {site: number / sum(sites.values()) for site, number in sites.items()}
        assert 0.2 < max(share[lesion].values()) < 1, lesion
    assert share["alopecia"]["scalp"] > 0.85
    assert share["comedones"]["face"] > 0.6
    assert share["pearly papule"]["face"] > 0.6
    assert share["nodule"].get("face", 0) < 0.1
    assert share["scar"].get("scalp", 0) < 0.1
    locations = Counter(row.location for row in rows)
    assert min(locations.values()) > 2000 / 7 / 2


LOOK_ALIKES = (
    ("alopecia", "scar"),
    ("comedones", "macule"),
    ("crust", "vesicular/pustular"),
    ("nodule", "pearly papule"),
    ("erythematous plaque", "squames/scales"),
)


def test_who_knows_the_site_can_tell_look_alikes_apart_and_others_cannot():
    """The best that anyone can do who sees perfectly which pair is there, without and with the body site."""
    rows = demo_data.draw_rows(4000, 1300, 1)
    names = [lesion for pair in LOOK_ALIKES for lesion in pair]
    labels = np.array([[lesion in row.lesions for lesion in names] for row in rows], np.uint8)
    pairs = labels.reshape(len(rows), -1, 2).any(axis=2).repeat(2, axis=1)
    sites = np.array([row.location for row in rows])

    def best(groups):
        scores = np.zeros(labels.shape)
        for group in np.unique(groups):
            chosen = groups == group
            seen = labels[chosen].sum(axis=0) / np.maximum(1, pairs[chosen].sum(axis=0))
            scores[chosen] = pairs[chosen] * seen
        return average_precision(labels.T, scores.T).mean()

    assert best(np.zeros(len(rows))) < 0.6
    assert best(sites) > 0.85


def test_labels_do_not_depend_on_the_machine():
    """Drawn once and written down: numpy promises that RandomState gives the same numbers for ever."""
    rows = demo_data.draw_rows(6, 2, 1)
    assert [(row.image, row.group, row.location, row.lesions) for row in rows] == EXPECTED


def test_a_patient_has_one_or_two_sites_and_a_tendency():
    rows = demo_data.draw_rows(2000, 400, 5)
    by_patient = {}
    for row in rows:
        by_patient.setdefault(row.patient, []).append(row)
    assert max(len({row.location for row in own}) for own in by_patient.values()) == 2
    pairs = [(a, b) for own in by_patient.values() for a, b in zip(own, own[1:]) if a.location == b.location]
    within = np.mean([bool(set(a.lesions) & set(b.lesions)) for a, b in pairs])
    by_site = {site: [row for row in rows if row.location == site] for site in demo_drawing.SITES}
    others = [by_site[a.location][number * 7 % 100] for number, (a, _) in enumerate(pairs)]
    between = np.mean([bool(set(a.lesions) & set(b.lesions)) for (a, _), b in zip(pairs, others)])
    assert within > between + 0.05


@pytest.mark.parametrize(("images", "patients"), [(1, 1), (5, 5), (7, 5), (30, 4)])
def test_every_patient_gets_an_image(images, patients):
    rows = demo_data.draw_rows(images, patients, 0)
    assert len(rows) == images
    assert {row.patient for row in rows} == set(range(patients))


@pytest.mark.parametrize("site", demo_drawing.SITES)
def test_a_lesion_changes_the_middle_of_the_picture(site):
    """What a 64 x 64 centre crop of the 72-pixel image still shows."""

    def small(lesions):
        look = demo_drawing.Look(np.random.RandomState(1))
        image = demo_data.photograph(site, lesions, look, np.random.RandomState(2))
        return image.shape, cv2.resize(image, (72, 72), interpolation=cv2.INTER_AREA)[4:68, 4:68].astype(int)

    shape, bare = small([])
    for lesion in demo_drawing.LESIONS:
        drawn_shape, drawn = small([lesion])
        assert drawn_shape == shape
        assert np.abs(drawn - bare).max() > 30, lesion


def test_a_folder_that_exists_is_left_alone(tool, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    done = tool("make_demo_data.py", "--out", tmp_path / "out", "--count", 3)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "exists already" in done.stderr
    assert contents(tmp_path) == {str(Path("out") / "mine.txt"): b"mine"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--images", "0"],
        ["--workers", "0"],
        ["--seed", "-1"],
        ["--seed", "4294967296"],
        ["--images", "3", "--patients", "4"],
    ],
)
def test_usage_errors(tool, tmp_path, arguments):
    done = tool("make_demo_data.py", "--out", tmp_path / "out", *arguments)
    assert done.returncode == 2
    assert arguments[-2] in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_leaves_nothing(tmp_path, stop):
    command = [sys.executable, str(ROOT / "tools" / "make_demo_data.py"), "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [*command, "--count", "3000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 20
    while not list(tmp_path.glob(".out.*/images/*.jpg")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, stop)  # as Ctrl-C and `docker stop` do: the whole group
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 128 + stop
    assert stderr == f"make_demo_data.py: stopped by {stop.name}\n"
    assert list(tmp_path.iterdir()) == []
