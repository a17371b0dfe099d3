"""tools/evaluate.py on scores with regions, alone and beside lesions and locations."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from made_regions import BOTH, BY_HAND

from skinmtl.scores.metrics import evaluate
from skinmtl.scores.region_metrics import REGION_FIGURES, evaluate_regions
from skinmtl.scores.regions_file import CLASS, MASK
from skinmtl.scores.scores_file import write_scores

TABLE = """\
class: malignant against the rest  value
AC                                 0.500
AP                                 0.833
AUC                                0.750
SE                                 0.500
SP                                 0.500
SP at SE 0.82                      0.500
SP at SE 0.89                      0.500
SP at SE 0.95                      0.500
top-1                              0.500

mask: mean over images  value
JA                      0.825
DI                      0.889
AC                      0.927
SE                      0.875
SP                      0.988
JA, 0 below 0.65        0.700

box                                 value
AP at IoU 0.5                       1.000
AP at IoU 0.75                      0.556
mean AP of the classes at IoU 0.5   0.250
mean AP of the classes at IoU 0.75  0.250
IoU                                 0.750
detected                            0.750

4 images; 1 without a detection, for which the likeliest place answers
boxes: 1 image without a lesion in a true mask, left out
a class is called above 0.5; a figure without a positive or a negative is -, and leaves the mean
"""


@pytest.fixture
def file(tmp_path):
    write_scores(tmp_path / "s.npz", BY_HAND)
    return tmp_path / "s.npz"


def repeated(scores, times):
    """The scores of images that are there several times, under names of their own."""
    arrays = {
        name: np.concatenate([value] * times) for name, value in vars(scores).items() if isinstance(value, np.ndarray)
    }
    return replace(scores, image=[f"{copy}/{name}" for copy in range(times) for name in scores.image], **arrays)


def test_the_table(tool, file):
    done = tool("evaluate.py", file)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == TABLE


def test_the_json_has_every_figure(tool, file, tmp_path):
    done = tool("evaluate.py", file, "--json", tmp_path / "m.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "m.json").read_text())
    figures = {**evaluate(BY_HAND), **evaluate_regions(BY_HAND, "malignant")}
    assert {name: report[name] for name in figures} == figures
    assert (report["class_positive"], report["map_class"]) == ("malignant", None)


@pytest.mark.parametrize("scores", [BY_HAND, BOTH], ids=["alone", "beside labels"])
def test_the_csv_has_every_figure_that_the_json_has(tool, tmp_path, scores):
    """Of twelve times the four images, so that there are intervals."""
    write_scores(tmp_path / "s.npz", repeated(scores, 12))
    flags = ("--bootstrap", 20, "--json", tmp_path / "m.json", "--csv", tmp_path / "m.csv")
    done = tool("evaluate.py", tmp_path / "s.npz", *flags)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "m.json").read_text())
    ends = report["intervals"]
    with open(str(tmp_path / "m.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    found = {
        (row["head"], row["label"], row["figure"]): [row[name] for name in ("value", "low", "high")] for row in rows
    }
    wanted = {}
    for figure in REGION_FIGURES:
        of_class = figure.startswith("class_") and figure != "class_top1"
        wanted["", "malignant" if of_class else "", figure] = (report[figure], ends[figure])
    for name, of_class in report["by_class"].items():
        for figure in set(of_class) - {"n_positive"}:
            column = figure if figure.startswith("box_") else f"class_{figure}"
            wanted["class", name, column] = (of_class[figure], ends["by_class"][name][figure])
    for key, (value, pair) in wanted.items():
        assert found.pop(key) == ["" if each is None else repr(each) for each in (value, *(pair or (None, None)))], key
    assert any(pair for _, pair in wanted.values())
    assert bool(found) == (scores is BOTH), "what is left is of labels"
    assert {(row["images"], row["groups"]) for row in rows} == {("48", "48")}


def test_what_needs_labels_is_refused_of_boxes_and_masks_alone(tool, refused, file):
    done = tool("evaluate.py", file, "--threshold-rule", "youden")
    refused(done, "thresholds, a calibration and subgroups need scores of labels; this file has boxes and masks alone")


def test_beside_lesions_and_locations_both_are_told(tool, tmp_path):
    write_scores(tmp_path / "s.npz", BOTH)
    done = tool("evaluate.py", tmp_path / "s.npz", "--bootstrap", 20, "--json", tmp_path / "m.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("lesion ") and "\n\nclass: malignant against the rest" in done.stdout
    assert done.stdout.count("intervals: 20 resamples of 4 images") == 1
    assert done.stdout.count("too few for an interval: fewer than 10 groups") == 1
    ends = json.loads((tmp_path / "m.json").read_text())["intervals"]
    assert (ends["map_class"], ends["mask_ja"], ends["by_class"]["benign"]["ac"]) == (None, None, None)


def test_another_positive_class(tool, refused, file):
    done = tool("evaluate.py", file, "--positive", "benign")
    assert done.stdout.startswith("class: benign against the rest")
    refused(tool("evaluate.py", file, "--positive", "nevus"), "no class 'nevus' for --positive; it has benign, malig")


def test_without_a_class_of_the_usual_names_each_is_held_against_the_rest(tool, tmp_path):
    write_scores(tmp_path / "s.npz", replace(BY_HAND, class_names=["nevus", "wart"]))
    lines = tool("evaluate.py", tmp_path / "s.npz").stdout.splitlines()
    assert lines[0].startswith("class: mean of each against the rest")
    assert next(line for line in lines if line.startswith("wart")).split()[:3] == ["wart", "2", "0.500"]


def test_parts_without_a_head_are_left_out(tool, refused, tmp_path):
    write_scores(tmp_path / "s.npz", replace(BY_HAND, **dict.fromkeys((*CLASS, *MASK))))
    done = tool("evaluate.py", tmp_path / "s.npz")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("box ") and "mask" not in done.stdout.split("true mask")[0]
    done = tool("evaluate.py", tmp_path / "s.npz", "--positive", "malignant")
    refused(done, "has no class of a lesion for --positive; leave the flag out")


def test_floors(tool, file, tmp_path):
    good = ("--fail-if-below", "mask_ja=0.8", "--fail-if-below", "class_auc=0.75")
    assert tool("evaluate.py", file, *good).returncode == 0
    done = tool("evaluate.py", file, *good, "--fail-if-below", "mask_ja=0.83", "--fail-if-below", "map_class=0")
    assert done.returncode == 1
    assert done.stderr == f"evaluate.py: {file}: mask_ja is 0.825, below 0.83; map_class is missing\n"
