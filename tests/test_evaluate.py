"""tools/evaluate.py as a user runs it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT

from skinmtl.scores.metrics import evaluate
from skinmtl.scores.scores_file import Scores, read_scores, write_scores

SCORES = Scores(
    image=["1.jpg", "2.jpg", "3.jpg", "4.jpg"],
    protocol={"net": "resnet50_mtl", "crops": 10},
    lesion_scores=np.array([[0.9, 0.1, 0.2], [0.8, 0.7, 0.1], [0.8, 0.9, 0.1], [0.5, 0.5, 0.9]], np.float32),
    lesion_labels=np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]], np.uint8),
    lesion_names=["cyst", "erosion/ulcer/atrophy", "scar"],
    location_scores=np.array([[4, 3, 2, 1], [4, 3, 2, 1], [4, 4, 2, 1], [4, 3, 2, 1]], np.float32),
    location_labels=np.array([0, 2, 0, 3]),
    location_names=["face", "arm", "leg", "trunk"],
)
# cyst: 1 at the first, then a tie of a positive with a negative at 3: (1 + 2/3) / 2. scar has no positive.
# Images: 1 ranks its lesion first (1), 2 second (1/2), 3 has its two first (1), 4 has none.
# Without looking: cyst and erosion are equally frequent, so images 1 and 2 get 1/2 and image 3 gets 1.
EXPECTED_TABLE = """\
lesion                 positives     AP
cyst                           2  0.833
erosion/ulcer/atrophy          2  1.000
scar                           0      -

figure          value  without looking
mAP-class       0.917            0.681
mAP-image       0.833            0.667
location top-1  0.250            0.500
location top-3  0.750            1.000

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
        assert tool("evaluate.py", file, "--json", tmp_path / "m.json").returncode == 0
        contents.append((tmp_path / "m.json").read_bytes())
    assert contents[0] == contents[1]


def test_it_runs_from_any_folder(tool, file, tmp_path):
    assert tool("evaluate.py", file.name, cwd=tmp_path).returncode == 0


def test_a_model_with_lesions_only(tool, tmp_path):
    path = tmp_path / "s.npz"
    write_scores(path, replace(SCORES, location_scores=None, location_labels=None, location_names=None))
    done = tool("evaluate.py", path, "--json", tmp_path / "m.json")
    assert done.returncode == 0, done.stderr
    assert "location top-1      -                -" in done.stdout
    assert "no location head" in done.stdout
    assert json.loads((tmp_path / "m.json").read_text())["location_top1"] is None


def test_a_model_with_locations_only(tool, tmp_path):
    path = tmp_path / "s.npz"
    write_scores(path, replace(SCORES, lesion_scores=None, lesion_labels=None, lesion_names=None))
    done = tool("evaluate.py", path, "--json", tmp_path / "m.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("figure ") and "no lesion head" in done.stdout
    assert json.loads((tmp_path / "m.json").read_text())["average_precision"] is None


def test_a_set_with_no_lesion_at_all_gives_null_and_never_nan(tool, tmp_path):
    write_scores(tmp_path / "s.npz", replace(SCORES, lesion_labels=np.zeros((4, 3), np.uint8)))
    done = tool("evaluate.py", tmp_path / "s.npz", "--json", tmp_path / "m.json")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "m.json").read_text()
    assert json.loads(text)["map_class"] is None
    assert "nan" not in (text + done.stdout).lower()


class TestAtLeast:
    def test_figures_that_reach_their_floors_pass(self, tool, file):
        done = tool("evaluate.py", file, "--at-least", "map_class=0.9", "--at-least", "location_top1=0.25")
        assert (done.returncode, done.stderr) == (0, "")

    def test_a_figure_below_its_floor_fails_after_the_output(self, tool, file, tmp_path):
        arguments = ("--at-least", "map_class=0.9", "--at-least", "location_top1=0.5", "--at-least", "map_image=1")
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
        done = tool("evaluate.py", path, "--at-least", "map_class=0")
        assert done.returncode == 1
        assert done.stderr == f"evaluate.py: {path}: map_class is missing\n"

    @pytest.mark.parametrize(
        "text", ["map=0.5", "map_class", "map_class=", "map_class=x", "map_class=nan", "map_class=60", "map_class=-0.1"]
    )
    def test_an_unknown_figure_or_a_malformed_value_is_usage(self, tool, file, text):
        done = tool("evaluate.py", file, "--at-least", text)
        assert (done.returncode, done.stdout) == (2, "")
        assert repr(text) in done.stderr


# Two patients, so that a resample has one twice, or both: images 1 and 2 twice (1 time of 4), images 3 and 4 twice
# (1 of 4), or the four. The two patients alone are the ends of every 95 % interval but for cyst and mAP-class, whose
# lowest is the whole set.
MANIFEST = """\
image,lesions,location,group
4.jpg,scar,trunk,second
3.jpg,cyst,face,second
2.jpg,cyst,leg,first
1.jpg,cyst,face,first
"""
EXPECTED_INTERVALS = """\
lesion                 positives     AP   95 % interval
cyst                           2  0.833  0.833 to 1.000
erosion/ulcer/atrophy          2  1.000  1.000 to 1.000
scar                           0      -               -

figure          value   95 % interval  without looking
mAP-class       0.917  0.917 to 1.000            0.681
mAP-image       0.833  0.750 to 1.000            0.667
location top-1  0.250  0.000 to 0.500            0.500
location top-3  0.750  0.500 to 1.000            1.000

4 images
mAP-class over 2 of 3 classes; 1 without a positive, left out
mAP-image over 3 of 4 images; 1 without a lesion, left out
ties share one threshold; positives tied with another image: 1, with another class: 0
4 locations; images with the true one tied: 1, counted against the model
intervals: 1000 resamples of 2 groups of images, seed 1
"""


class TestBootstrap:
    @pytest.fixture
    def manifest(self, tmp_path):
        (tmp_path / "manifest.csv").write_text(MANIFEST)
        return tmp_path / "manifest.csv"

    def test_the_table_of_a_case_worked_by_hand(self, tool, file, manifest):
        done = tool("evaluate.py", file, "--bootstrap", 1000, "--manifest", manifest)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == EXPECTED_INTERVALS

    def test_the_json(self, tool, file, manifest, tmp_path):
        flags = ("--bootstrap", 200, "--seed", 5, "--level", 0.9, "--manifest", manifest, "--json", tmp_path / "m.json")
        contents = []
        for _ in range(2):
            assert tool("evaluate.py", file, *flags).returncode == 0
            contents.append((tmp_path / "m.json").read_bytes())
        assert contents[0] == contents[1], "the same command gives the same bytes"
        report = json.loads(contents[0])
        figures = evaluate(read_scores(file))
        assert {name: report[name] for name in figures} == figures
        assert report["intervals"]["map_image"] == pytest.approx([0.75, 1])
        assert report["intervals"]["average_precision"]["cyst"] == pytest.approx([5 / 6, 1])
        assert report["intervals"]["average_precision"]["scar"] is None
        without = {"cyst": 0, "erosion/ulcer/atrophy": 0, "scar": 200}
        assert report["bootstrap"] == {
            "resamples": 200,
            "seed": 5,
            "level": 0.9,
            "n_groups": 2,
            "resamples_without_positive": without,
        }
        assert report["manifest_sha256"] == hashlib.sha256(manifest.read_bytes()).hexdigest()

    def test_without_a_manifest_each_image_is_drawn_by_itself(self, tool, file):
        done = tool("evaluate.py", file, "--bootstrap", 50, "--seed", 3, "--level", "0.8")
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert lines[0].endswith("80 % interval")
        assert lines[-2] == "intervals: 50 resamples of 4 images, each by itself, seed 3"
        assert lines[-1].startswith("resamples without a positive, left out of the lesion's interval: cyst (")
        assert "scar" not in lines[-1], "it is counted above: no image has it"

    def test_without_it_the_json_has_no_intervals(self, tool, file, tmp_path):
        assert tool("evaluate.py", file, "--json", tmp_path / "m.json").returncode == 0
        assert not {"intervals", "bootstrap"} & set(json.loads((tmp_path / "m.json").read_text()))

    @pytest.mark.parametrize("head", ["lesion", "location"])
    def test_a_model_with_one_head(self, tool, tmp_path, head):
        other = {"lesion": "location", "location": "lesion"}[head]
        without = {f"{other}_{part}": None for part in ("scores", "labels", "names")}
        write_scores(tmp_path / "s.npz", replace(SCORES, **without))
        done = tool("evaluate.py", tmp_path / "s.npz", "--bootstrap", 20, "--json", tmp_path / "m.json")
        assert done.returncode == 0, done.stderr
        ends = json.loads((tmp_path / "m.json").read_text())["intervals"]
        of_head = {
            "lesion": {"map_class", "map_image", "average_precision"},
            "location": {"location_top1", "location_top3"},
        }
        assert {name for name, value in ends.items() if value is not None} == of_head[head]
        assert {name for name, value in ends.items() if value is None} == of_head[other]

    def test_an_image_that_the_manifest_lacks(self, tool, refused, file, manifest):
        manifest.write_text(MANIFEST.replace("2.jpg", "5.jpg"))
        done = tool("evaluate.py", file, "--bootstrap", 10, "--manifest", manifest)
        refused(done, f"{manifest}: no line for image '2.jpg' (row 1 of {file})", "give the manifest that was scored")

    def test_a_single_group_tells_nothing_of_others(self, tool, refused, file, manifest):
        manifest.write_text(MANIFEST.replace("second", "first"))
        done = tool("evaluate.py", file, "--bootstrap", 10, "--manifest", manifest)
        refused(done, f"{manifest}: all images are one group")

    @pytest.mark.parametrize(
        "flags, words",
        [
            (["--bootstrap", "0"], "'0' is not a whole number from 1"),
            (["--bootstrap", "9", "--level", "95"], "'95' is not a number between 0 and 1"),
            (["--seed", "2"], "--seed goes with --bootstrap"),
            (["--manifest", "m.csv"], "--manifest goes with --bootstrap"),
            (["--level", "0.9"], "--level goes with --bootstrap"),
        ],
    )
    def test_wrong_usage(self, tool, file, flags, words):
        done = tool("evaluate.py", file, *flags)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr

    def test_a_report_over_the_manifest_is_usage(self, tool, file, manifest):
        done = tool("evaluate.py", file, "--bootstrap", 9, "--manifest", manifest, "--json", manifest)
        assert done.returncode == 2 and "is an input of this command" in done.stderr
        assert manifest.read_text() == MANIFEST

    def test_a_terminal_shows_the_progress(self, file):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        command = [sys.executable, str(ROOT / "tools/evaluate.py"), str(file), "--bootstrap", "300"]
        subprocess.run(command, stderr=theirs, stdout=subprocess.PIPE, check=True)
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # how a terminal ends whose other side is closed
            while True:
                shown += os.read(ours, 4096)
        os.close(ours)
        for bar in (b"resampling lesions: 100%", b"resampling locations: 100%"):
            assert bar in shown
        assert shown.count(b"300/300") >= 2


class TestBadInput:
    def refused(self, tool, path, *words):
        """One line, status 1, and the JSON of the last good run untouched."""
        report = path.parent / "m.json"
        report.write_text("the old report")
        before = sorted(path.parent.iterdir())
        done = tool("evaluate.py", path, "--json", report)
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
        "--at-least",
        "--bootstrap",
        "--seed",
        "--manifest",
        "--level",
        "example: --json metrics.json",
        "example: --at-least map_class=0.6",
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
    for floors, status in ([], 0), (["--at-least", "map_class=1"], 1):
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
