"""tools/evaluate.py as a user runs it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT
from worked_example import SCORES, UNSEEN

from skinmtl.scores.metrics import evaluate
from skinmtl.scores.scores_file import read_scores, write_scores

# cyst: 1 at the first, then a tie of a positive with a negative at 3: (1 + 2/3) / 2. scar has no positive.
# Images: 1 ranks its lesion first (1), 2 second (1/2), 3 has its two first (1), 4 has none.
# Without looking: cyst and erosion are equally frequent and keep their order: image 1 gets 1, 2 gets 1/2, 3 gets 1.
# cyst: of the four pairs of a positive and a negative three are right and one is tied: 3.5 / 4. The scores of the
# locations are no probabilities.
EXPECTED_TABLE = """\
lesion                 positives  prevalence     AP  by chance  AUROC  partial AUC  by chance
cyst                           2       0.500  0.833      0.681  0.875        0.120      0.067
erosion/ulcer/atrophy          2       0.500  1.000      0.681  1.000        0.200      0.067
scar                           0       0.000      -          -      -            -          -
by chance AUROC is 0.500; partial AUC is the area above a sensitivity of 0.8, at best 0.200

lesion                 Brier  without looking    ECE  if calibrated
cyst                   0.235            0.250  0.250          0.227
erosion/ulcer/atrophy  0.090            0.250  0.250          0.311
scar                       -                -      -              -

location  positives  prevalence     AP  by chance  AUROC  partial AUC  by chance
face              2       0.500  0.500      0.681  0.500        0.020      0.067
arm               0       0.000      -          -      -            -          -
leg               1       0.250  0.250      0.521  0.500        0.020      0.100
trunk             1       0.250  0.250      0.521  0.500        0.020      0.100
by chance AUROC is 0.500; partial AUC is the area above a sensitivity of 0.8, at best 0.200

figure          value  without looking
mAP-class       0.917            0.681
mAP-image       0.833            0.833
location top-1  0.250            0.500
location top-3  0.750            1.000
lesion AUROC    0.938            0.500
location AUROC  0.500            0.500

4 images
mAP-class over 2 of 3 classes; 1 without a positive, left out
mAP-image over 3 of 4 images; 1 without a lesion, left out
ties share one threshold; positives tied with another image: 1, with another class: 0
4 locations; images with the true one tied: 1, counted against the model
"""


@pytest.fixture()
def file(tmp_path):
    write_scores(tmp_path / "s.npz", SCORES)
    return tmp_path / "s.npz"


def test_the_table(tool, file):
    done = tool("evaluate.py", file)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == EXPECTED_TABLE


def test_the_json_has_the_figures_and_where_they_come_from(tool, file, tmp_path):
    done = tool("evaluate.py", file, "--json", tmp_path / "new" / "m.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "new" / "m.json").read_text())
    figures = evaluate(read_scores(file))
    assert {name: report[name] for name in figures} == figures
    for name in ("map_class", "map_image", "average_precision", "location_top1", "location_top3"):
        assert report[name] is not None
    assert (report["n_images"], report["n_images_used"], report["n_classes_used"]) == (4, 3, 2)
    assert report["average_precision"]["scar"] is None
    assert report["protocol"] == SCORES.protocol
    assert report["scores_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert report["made_by"]["arguments"]["scores"] == str(file)


def test_the_same_scores_give_the_same_json(tool, file, tmp_path):
    contents = []
    for _ in range(2):
        assert tool.started("evaluate.py", file, "--overwrite", "--json", tmp_path / "m.json").returncode == 0
        contents.append((tmp_path / "m.json").read_bytes())
    assert contents[0] == contents[1]


def test_it_runs_from_any_folder(tool, file, tmp_path):
    assert tool("evaluate.py", file.name, cwd=tmp_path).returncode == 0


def test_a_model_with_lesions_only(tool, tmp_path):
    path = tmp_path / "s.npz"
    write_scores(path, replace(SCORES, location_scores=None, location_labels=None, location_names=None))
    done = tool("evaluate.py", path, "--json", tmp_path / "m.json")
    assert done.returncode == 0, done.stderr
    assert re.search("location top-1 +- +-\n", done.stdout)
    assert "no location head" in done.stdout
    assert json.loads((tmp_path / "m.json").read_text())["location_top1"] is None


def test_a_model_with_locations_only(tool, tmp_path):
    path = tmp_path / "s.npz"
    write_scores(path, replace(SCORES, lesion_scores=None, lesion_labels=None, lesion_names=None))
    done = tool("evaluate.py", path, "--json", tmp_path / "m.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("location ") and "no lesion head" in done.stdout
    assert json.loads((tmp_path / "m.json").read_text())["average_precision"] is None


def test_a_set_with_no_lesion_at_all_gives_null_and_never_nan(tool, tmp_path):
    write_scores(tmp_path / "s.npz", replace(SCORES, lesion_labels=np.zeros((4, 3), np.uint8)))
    done = tool("evaluate.py", tmp_path / "s.npz", "--json", tmp_path / "m.json")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "m.json").read_text()
    assert json.loads(text)["map_class"] is None
    assert "nan" not in (text + done.stdout).lower()


class TestAtLeast:
    FLOORS = ("--fail-if-below", "map_class=0.9", "--fail-if-below", "location_top1=0.25")

    def test_figures_of_new_images_that_reach_their_floors_pass(self, tool, file):
        done = tool("evaluate.py", file, *self.FLOORS)
        assert (done.returncode, done.stderr) == (0, "")

    @pytest.mark.parametrize(
        "protocol",
        [
            {},
            {"trained_on": "unknown"},
            {"sources": [{"file": "a", "protocol": {"trained_on": UNSEEN}}, {"file": "b", "protocol": {}}]},
        ],
    )
    def test_they_do_not_pass_where_nothing_records_what_was_trained_on(self, tool, tmp_path, protocol):
        write_scores(tmp_path / "s.npz", replace(SCORES, protocol=protocol))
        done = tool("evaluate.py", tmp_path / "s.npz", *self.FLOORS)
        assert done.returncode == 3
        assert done.stderr.count("\n") == 1
        assert "no figure is below its limit, but nothing records what was trained on" in done.stderr
        assert "--trained-on" in done.stderr

    def test_figures_of_several_nets_pass_where_each_is_recorded(self, tool, tmp_path):
        sources = [{"file": name, "protocol": {"trained_on": UNSEEN}} for name in "ab"]
        write_scores(tmp_path / "s.npz", replace(SCORES, protocol={"sources": sources}))
        assert tool("evaluate.py", tmp_path / "s.npz", *self.FLOORS).returncode == 0

    def test_without_a_limit_nothing_is_to_be_vouched_for(self, tool, tmp_path):
        write_scores(tmp_path / "s.npz", replace(SCORES, protocol={}))
        assert tool("evaluate.py", tmp_path / "s.npz").returncode == 0

    def test_a_figure_below_its_floor_fails_after_the_output(self, tool, file, tmp_path):
        arguments = (
            "--fail-if-below",
            "map_class=0.9",
            "--fail-if-below",
            "location_top1=0.5",
            "--fail-if-below",
            "map_image=1",
        )
        done = tool("evaluate.py", file, "--json", tmp_path / "m.json", *arguments)
        assert done.returncode == 1
        assert done.stdout == EXPECTED_TABLE
        assert (tmp_path / "m.json").exists()
        assert done.stderr.count("\n") == 1
        assert "location_top1 is 0.25, below 0.5; map_image is 0.833" in done.stderr
        assert "map_class" not in done.stderr

    def test_a_missing_figure_fails(self, tool, tmp_path):
        path = tmp_path / "s.npz"
        write_scores(path, replace(SCORES, lesion_scores=None, lesion_labels=None, lesion_names=None))
        done = tool("evaluate.py", path, "--fail-if-below", "map_class=0")
        assert done.returncode == 1
        assert done.stderr == f"evaluate.py: {path}: map_class is missing\n"

    @pytest.mark.parametrize(
        "text", ["map=0.5", "map_class", "map_class=", "map_class=x", "map_class=nan", "map_class=60", "map_class=-0.1"]
    )
    def test_an_unknown_figure_or_a_malformed_value_is_usage(self, tool, file, text):
        done = tool("evaluate.py", file, "--fail-if-below", text)
        assert (done.returncode, done.stdout) == (2, "")
        assert repr(text) in done.stderr


class TestBadInput:
    def refused(self, tool, path, *words):
        """One line, status 1, and the JSON of the last good run untouched."""
        report = path.parent / "m.json"
        report.write_text("the old report")
        before = sorted(path.parent.iterdir())
        done = tool("evaluate.py", path, "--overwrite", "--json", report)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"evaluate.py: {path}: ") and done.stderr.count("\n") == 1
        assert [word for word in words if word not in done.stderr] == []
        assert report.read_text() == "the old report"
        assert sorted(path.parent.iterdir()) == before

    def test_scores_with_nan(self, tool, file):
        with np.load(str(file)) as archive:
            arrays = dict(archive.items())
        arrays["lesion_scores"][2, 1] = np.nan
        np.savez(str(file), **arrays)
        self.refused(tool, file, "row 2", "'3.jpg'", "'erosion/ulcer/atrophy'", "nan")

    def test_a_file_cut_short(self, tool, file):
        file.write_bytes(file.read_bytes()[:-40])
        self.refused(tool, file, "not a whole .npz file")

    def test_no_such_file(self, tool, tmp_path):
        self.refused(tool, tmp_path / "none.npz", "No such file")

    def test_a_report_over_its_own_scores_is_usage(self, tool, file):
        before = file.read_bytes()
        done = tool("evaluate.py", file, "--json", file)
        assert done.returncode == 2 and "is an input of this command" in done.stderr
        assert file.read_bytes() == before


def test_the_help_names_every_flag_with_an_example(tool):
    done = tool("evaluate.py", "--help")
    assert done.returncode == 0
    for words in (
        "--json",
        "--fail-if-below",
        "--bootstrap",
        "--seed",
        "--manifest",
        "--level",
        "example: --json metrics.json",
        "example: --fail-if-below map_class=0.6",
        "tie",
    ):
        assert words in " ".join(done.stdout.split())


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_early_does_not_change_the_verdict(file, tmp_path, unbuffered):
    """As in `evaluate.py ... | head`: what is printed goes nowhere, what was judged still counts."""
    reader, writer = os.pipe()
    os.close(reader)
    tool = [sys.executable, str(ROOT / "tools/evaluate.py"), str(file)]
    environment = dict(os.environ, PYTHONUNBUFFERED=unbuffered)
    for floors, status in ([], 0), (["--fail-if-below", "map_class=1"], 1):
        done = subprocess.run(tool + floors, stdout=writer, stderr=subprocess.PIPE, text=True, env=environment)
        assert done.returncode == status, done.stderr
        assert done.stderr.count("\n") == status
    os.close(writer)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_that_takes_nothing_is_one_line(file, unbuffered):
    tool = [sys.executable, str(ROOT / "tools/evaluate.py"), str(file)]
    environment = dict(os.environ, PYTHONUNBUFFERED=unbuffered)
    with open("/dev/full", "w") as full:
        done = subprocess.run(tool, stdout=full, stderr=subprocess.PIPE, text=True, env=environment)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "standard output cannot be written" in done.stderr
