"""caffe-torch as a user runs it: Caffe's flags and log lines, stopped and resumed, and one line for what is wrong."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from conftest import ROOT

from caffe_torch.command import main
from skinmtl.caffe_files.caffe_log import read_caffe_log
from skinmtl.nets.multi_task import NetOptions
from skinmtl.nets.net_files import net_files, write_net_files

pytestmark = pytest.mark.torch


@pytest.fixture
def solver(small_set, tmp_path):
    """A solver of the tiny multi-task net with random crops, mirrors, and tests on the way."""
    options = NetOptions("resnet50_mtl", "tiny", 64, 3, 4, str(small_set.train), str(small_set.test), 4, 4, False)
    write_net_files(net_files(options, "a test"), tmp_path)
    (tmp_path / "solver.prototxt").write_text(
        f'train_net: "{tmp_path}/train.prototxt" test_net: "{tmp_path}/test.prototxt" test_iter: 2 test_interval: 6 '
        'base_lr: 0.001 lr_policy: "multistep" gamma: 0.1 stepvalue: 8 momentum: 0.9 weight_decay: 0.0001 display: 3 '
        f'max_iter: 12 snapshot: 4 snapshot_prefix: "{tmp_path}/s" random_seed: 5'
    )
    return tmp_path / "solver.prototxt"


def start(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    command = [sys.executable, "-m", "caffe_torch.command", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True)


def test_a_training_stopped_and_resumed_is_the_undisturbed_one(solver, tmp_path):
    whole = start("train", "-solver", solver)
    log = whole.communicate(timeout=120)[1]
    assert whole.returncode == 0, log
    (tmp_path / "train.log").write_text(log)
    found = read_caffe_log(tmp_path / "train.log")
    assert [iteration for iteration, _ in found.rows] == [0, 3, 6, 9, 12]
    assert found.rows[3][1]["lr"] == pytest.approx(0.0001)
    assert {"loss", "lr", "train lesion_loss", "test 0 location_top1"} <= set(found.columns)
    assert "Optimization Done." in log
    undisturbed = (tmp_path / "s_iter_12.caffemodel").read_bytes()
    for name in tmp_path.glob("s_iter_*"):
        name.unlink()
    stopped = start("train", "-solver", solver)
    while "Iteration 3" not in stopped.stderr.readline():
        pass
    stopped.send_signal(signal.SIGTERM)
    rest = stopped.communicate(timeout=60)[1]
    assert stopped.returncode == 143, rest
    assert "Optimization stopped early." in rest
    state = max(tmp_path.glob("s_iter_*.solverstate"), key=lambda path: path.stat().st_mtime)
    resumed = start("train", "--solver", solver, f"--snapshot={state}")
    assert resumed.communicate(timeout=120)[1].count("Resuming from") == 1
    assert (tmp_path / "s_iter_12.caffemodel").read_bytes() == undisturbed


def test_test_gives_the_means_of_what_it_shows_for_each_batch(solver, capsys):
    model = solver.with_name("train.prototxt")  # with the statistics of its batches: untrained, others are none
    assert main(["test", "-model", str(model), "-phase", "TRAIN", "-iterations", "2"]) == 0
    said = capsys.readouterr().err
    batches = [float(value) for value in re.findall(r"Batch \d, lesion_loss = (\S+)", said)]
    assert len(batches) == 2
    mean = float(re.search(r"\] lesion_loss = (\S+) \(\* 1 = ", said).group(1))
    assert mean == pytest.approx(np.mean(batches), rel=1e-4)


def test_time_says_how_long_passes_take(solver, capsys):
    assert main(["time", "-model", str(solver.with_name("train.prototxt")), "-iterations", "1"]) == 0
    assert re.search(r"Average Forward-Backward pass: [\d.]+ ms\.", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("multistep", "plateau"), "lr_policy 'plateau' is unknown"),
        (("gamma: 0.1", ""), "needs gamma"),
        (("max_iter: 12", 'max_iter: 12 type: "Adam"'), "'Adam' is not supported"),
        (("max_iter: 12", "max_iters: 12"), "max_iters"),
        (("test_iter: 2", ""), "0 test_iter for 1 test nets"),
    ],
)
def test_a_solver_that_cannot_be_run_is_one_line(solver, change, words, capsys):
    solver.write_text(solver.read_text().replace(*change))
    assert main(["train", "-solver", str(solver)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert words in said[0]


@pytest.mark.parametrize("damage", ["missing", "cut", "text", "empty"])
def test_a_damaged_solverstate_or_caffemodel_is_one_line(solver, tmp_path, damage, capsys):
    bad = tmp_path / "bad.solverstate"
    if damage != "missing":
        bad.write_bytes({"cut": b"\x08\x0a\x1a\xff\xff\xff", "text": b"layer { }", "empty": b""}[damage])
    for flag in ("-snapshot", "-weights"):
        assert main(["train", "-solver", str(solver), flag, str(bad)]) == 1
        said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("caffe-torch: ")]
        assert len(said) == 1
        assert str(bad) in said[0]
    assert not list(tmp_path.glob("s_iter_*"))


def test_a_gpu_that_is_not_there_is_one_line(solver, capsys):
    assert main(["train", "-solver", str(solver), "-gpu", "99"]) == 1
    assert "GPUs that PyTorch can use" in capsys.readouterr().err
