"""tools/evaluate.py --bootstrap: intervals of images that are really drawn, and the ways to ask for them wrongly."""

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
from made_scores import drawn_scores
from test_bootstrap import drawn_rows
from worked_example import SCORES

from skinmtl.scores.metrics import evaluate
from skinmtl.scores.scores_file import write_scores

MANIFEST = """\
image,lesions,location,group
4.jpg,scar,trunk,second
3.jpg,cyst,face,second
2.jpg,cyst,leg,first
1.jpg,cyst,face,first
"""


def rows_of(scores, rows):
    arrays = {name: getattr(scores, name)[rows] for name in ("lesion_scores", "lesion_labels", "location_scores")}
    image = [str(number) for number in range(len(rows))]
    return replace(scores, image=image, location_labels=scores.location_labels[rows], **arrays)


@pytest.fixture()
def file(tmp_path):
    write_scores(tmp_path / "s.npz", SCORES)
    return tmp_path / "s.npz"


class TestBootstrap:
    @pytest.fixture
    def manifest(self, tmp_path):
        (tmp_path / "manifest.csv").write_text(MANIFEST)
        return tmp_path / "manifest.csv"

    def test_of_two_patients_there_are_no_intervals(self, tool, file, manifest):
        """The ends would be the figures of the one and of the other."""
        done = tool("evaluate.py", file, "--bootstrap", 100, "--manifest", manifest)
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        table = lines[lines.index(next(line for line in lines if line.startswith("figure"))) :][:7]
        assert [line.split()[-2:-1] for line in table[1:]] == 6 * [["few"]]
        assert lines[-2] == "intervals: 100 resamples of 2 groups of images, seed 1"
        assert lines[-1].startswith("too few for an interval: fewer than 10 groups with or without it")

    def test_the_json_has_the_intervals_of_rows_that_are_really_drawn(self, tool, tmp_path):
        scores = drawn_scores(60)
        write_scores(tmp_path / "s.npz", scores)
        groups = [f"patient {row // 2:02}" for row in range(60)]
        rows = [f"{image},nevus,arm,{group}" for image, group in zip(scores.image, groups)]
        manifest = tmp_path / "manifest.csv"
        manifest.write_text("\n".join(["image,lesions,location,group", *rows]) + "\n")
        flags = ("--bootstrap", 40, "--seed", 5, "--level", 0.9, "--manifest", manifest, "--overwrite")
        contents = []
        for _ in range(2):
            assert tool("evaluate.py", tmp_path / "s.npz", *flags, "--json", tmp_path / "m.json").returncode == 0
            contents.append((tmp_path / "m.json").read_bytes())
        assert contents[0] == contents[1], "the same command gives the same bytes"
        report = json.loads(contents[0])
        figures = evaluate(scores)
        assert {name: report[name] for name in figures} == figures
        built = [evaluate(rows_of(scores, drawn_rows(groups, 5, number))) for number in range(40)]
        for name in ("map_class", "map_image", "location_top1"):
            ends = np.percentile([each[name] for each in built], [5, 95])
            assert report["intervals"][name] == pytest.approx(ends.tolist())
        of_nevus = np.percentile([each["average_precision"]["nevus"] for each in built], [5, 95])
        assert report["intervals"]["average_precision"]["nevus"] == pytest.approx(of_nevus.tolist())
        assert report["intervals"]["of_lesions"]["nevus"]["average_precision"] == pytest.approx(of_nevus.tolist())
        assert report["intervals"]["average_precision"]["scar"] is None
        without = {"keratosis": 0, "melanoma": 0, "nevus": 0, "scar": 40}
        made = {"resamples": 40, "seed": 5, "level": 0.9, "n_groups": 30, "fewest": 10}
        assert report["bootstrap"] == {**made, "resamples_without_positive": without}
        assert report["manifest_sha256"] == hashlib.sha256(manifest.read_bytes()).hexdigest()

    def test_without_a_manifest_each_image_is_drawn_by_itself(self, tool, tmp_path):
        write_scores(tmp_path / "s.npz", drawn_scores(40))
        done = tool("evaluate.py", tmp_path / "s.npz", "--bootstrap", 50, "--seed", 3, "--level", "0.8")
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert "80 % interval" in lines[0]
        assert "intervals: 50 resamples of 40 images, each by itself, seed 3" in lines
        assert "scar" not in done.stdout.split("intervals:")[1], "no image has it, which is counted above"

    def test_without_it_the_json_has_no_intervals(self, tool, file, tmp_path):
        assert tool("evaluate.py", file, "--json", tmp_path / "m.json").returncode == 0
        assert not {"intervals", "bootstrap"} & set(json.loads((tmp_path / "m.json").read_text()))

    @pytest.mark.parametrize("head", ["lesion", "location"])
    def test_a_model_with_one_head(self, tool, tmp_path, head):
        other = {"lesion": "location", "location": "lesion"}[head]
        without = {f"{other}_{part}": None for part in ("scores", "labels", "names")}
        write_scores(tmp_path / "s.npz", replace(drawn_scores(40), **without))
        done = tool("evaluate.py", tmp_path / "s.npz", "--bootstrap", 20, "--json", tmp_path / "m.json")
        assert done.returncode == 0, done.stderr
        ends = json.loads((tmp_path / "m.json").read_text())["intervals"]
        of_head = {
            "lesion": {"map_class", "map_image", "average_precision", "lesion_auroc", "of_lesions"},
            "location": {"location_top1", "location_auroc", "of_locations"},
        }
        assert {name for name, value in ends.items() if value is not None} == of_head[head]
        assert {name for name, value in ends.items() if value is None} == of_head[other] | {"location_top3"}

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
