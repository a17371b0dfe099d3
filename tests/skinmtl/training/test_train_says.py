"""What train.py says on the way: its lines, its bar, and how many groups it watches."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest

from skinmtl.common.provenance import sha256
from skinmtl.training.inputs import check_inputs

pytestmark = pytest.mark.caffe
pytest_plugins = ["toy_training"]


def test_a_run_says_what_it_trains_each_test_and_each_fall_of_the_rate(toy, undisturbed):
    lines = undisturbed.done.stdout.splitlines()
    said = [line for line in lines if " cores were busy in the last minute" not in line]  # by what else runs here
    assert said[0].startswith(f"training in {undisturbed.out} with caffe 1.")
    assert said[0].endswith(" on the CPU")
    assert said[5].startswith(
        "note: 6 validation images tell the error to about +-0.24 (95 %), but a gain of 90 %, about 0.2,"
    )
    assert said[1:5] + said[6:7] == [
        "images: 18 to train on, 6 for validation",
        "iterations: 0 to 40, 8 images each, a test every 10; a plateau may end training earlier",
        "watched: error of the validation images, the mean of 1 - mAP-image and 1 - top-1",
        "learning rate: 0.01 at first, divided by 10 at each plateau of what is watched",
        "weights: none are given, every layer starts from its initial values",
    ]
    names, *rows = toy.log_of(undisturbed.out)
    tests = [dict(zip(names, row)) for row in rows if row[names.index("map_image")]]
    told = [line for line in said if line.startswith("test at iteration ")]
    assert len(told) == len(tests) == 4
    best = 2.0
    for row, line in zip(tests, told):
        error = (2 - float(row["map_image"]) - float(row["location_top1"])) / 2
        better, best = error < best, min(error, best)
        assert line.startswith(f"test at iteration {row['iteration']} of 40: error {error:.3f} (")
        assert ("(the best so far)" in line) == better
        assert better or f"(best: {best:.3f} at iteration " in line
        for words, name in (("mAP-class", "map_class"), ("mAP-image", "map_image"), ("top-1", "location_top1")):
            assert f", {words} {float(row[name]):.3f}" in line
        assert f"loss lesion {float(row['lesion_loss']):.3g}, location {float(row['location_loss']):.3g}; " in line
        assert f"; learning rate {float(row['lr']):g}; " in line
        assert re.search(r"; [\d.e+]+ images/s", line)
        assert ("left unless a plateau ends it" in line) == (row["iteration"] != "40")
    falls = [line for line in said if "->" in line]
    assert [line.partition(" (in the last test it")[0] for line in falls] == [
        f"at iteration {iteration}: learning rate {rates}: the watched error is at a plateau"
        for iteration, rates in ((20, "0.01 -> 0.001"), (30, "0.001 -> 0.0001"), (40, "0.0001 -> 1e-05"))
    ]
    assert said.index(falls[0]) == said.index(told[1]) + 1


def test_the_bar_shows_losses_and_rate_on_a_terminal(toy, tmp_path):
    import pty

    ours, theirs = pty.openpty()
    words = toy.command(tmp_path / "run", "--max-iter", 10)
    process = subprocess.Popen(words, stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:
            break
    assert process.wait() == 0
    assert b"10/10" in shown
    assert b"lesion loss" in shown
    assert b"lr 0.01" in shown


def test_groups_of_an_older_validation_set_are_counted_where_its_manifest_is_still_the_same(toy, tmp_path):
    watched = tmp_path / "watched"
    shutil.copytree(str(toy.folder / "test"), str(watched))
    summary = json.loads((watched / "dataset.json").read_text())
    del summary["n_groups"]  # today's sets say it
    (watched / "dataset.json").write_text(json.dumps(summary))
    net = toy.net(test_data=watched)
    assert check_inputs(toy.varied, False).n_groups == 6, "without groups each image is its own"
    assert check_inputs(net, False).n_groups is None, "no manifest there"
    lines = (toy.folder / "manifest.csv").read_text().splitlines()
    grouped = [f"{line},patient {number % 8}" for number, line in enumerate(lines[1:])]
    (tmp_path / "manifest.csv").write_text("\n".join([f"{lines[0]},group", *grouped]) + "\n")
    assert check_inputs(net, False).n_groups is None, "another manifest"
    summary = json.loads((watched / "dataset.json").read_text())
    summary["manifest_sha256"] = sha256(tmp_path / "manifest.csv")
    (watched / "dataset.json").write_text(json.dumps(summary))
    assert check_inputs(net, False).n_groups == 2, "images 1, 5, 9, ... are of patients 1 and 5"
