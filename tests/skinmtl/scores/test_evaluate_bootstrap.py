"""tools/evaluate.py --bootstrap: intervals of a case worked by hand, and the ways to ask for them wrongly."""

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

import pytest
from conftest import ROOT
from worked_example import SCORES

from skinmtl.scores.metrics import evaluate
from skinmtl.scores.scores_file import read_scores, write_scores

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


@pytest.fixture()
def file(tmp_path):
    write_scores(tmp_path / "s.npz", SCORES)
    return tmp_path / "s.npz"


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
        flags = ("--bootstrap", 200, "--seed", 5, "--level", 0.9, "--manifest", manifest)
        flags += ("--overwrite", "--json", tmp_path / "m.json")
        contents = []
        for _ in range(2):
            assert tool("evaluate.py", file, *flags, "--overwrite").returncode == 0
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
