"""caffe-torch as a user runs it: Caffe's flags and log lines, stopped and resumed, and one line for what is wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from conftest import ROOT

from caffe_torch.command import device_of_rank, main
from caffe_torch.errors import NetError
from skinmtl.caffe_files.caffe_log import read_caffe_log
from skinmtl.caffe_files.prototxt import message_text, read_net
from skinmtl.caffe_files.schema import caffe_messages
from skinmtl.nets.multi_task import NetOptions
from skinmtl.nets.net_files import net_files, write_net_files

pytestmark = pytest.mark.torch
torch.set_num_threads(1)  # for nets as small as these threads cost more than they bring


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
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "caffe_torch.command", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True)


def vary(path, source):
    """Has a net draw at random whatever it can: online jitter, noise, Dropout."""
    net, noise = read_net(path), caffe_messages().LayerParameter(name="noise", type="DummyData", top=["noise"])
    settings = {"source": str(source), "batch_size": 4, "crop": 64, "scales": [66, 72], "mean": [1, 2, 3], "seed": 8}
    data = next(layer for layer in net.layer if layer.name == "data")
    data.ClearField("transform_param")
    data.ClearField("data_param")
    data.type, data.python_param.module, data.python_param.layer = "Python", "skinmtl.layers", "JitteredImageData"
    data.python_param.param_str = json.dumps(settings)
    noise.dummy_data_param.shape.add(dim=[4, 3, 64, 64])
    noise.dummy_data_param.data_filler.add(type="gaussian", std=9)
    first = next(layer for layer in net.layer if "data" in layer.bottom)
    first.bottom[:] = ["varied"]
    at = list(net.layer).index(first)
    drop = caffe_messages().LayerParameter(name="drop", type="Dropout", bottom=["sum"], top=["varied"])
    total = caffe_messages().LayerParameter(name="sum", type="Eltwise", bottom=["data", "noise"], top=["sum"])
    layers = [*net.layer[:at], noise, total, drop, *net.layer[at:]]
    path.write_text("\n".join(f"layer {{ {message_text(layer)} }}" for layer in layers))


@pytest.mark.parametrize("seeded", [True, False])
def test_a_training_stopped_and_resumed_is_the_undisturbed_one(solver, small_set, tmp_path, capfd, seeded):
    """With all that is drawn at random, data that is read ahead, and tests on the way."""
    vary(tmp_path / "train.prototxt", small_set.train / "image_lmdb")
    if not seeded:
        solver.write_text(solver.read_text().replace("random_seed: 5", ""))
    command = ["train", "-solver", str(solver)]
    stopped = start(*command, "-workers", "2") if seeded else None
    if stopped is not None:
        while "Iteration 3" not in stopped.stderr.readline():
            pass
        stopped.send_signal(signal.SIGTERM)
        rest = stopped.communicate(timeout=60)[1]
        assert stopped.returncode == 143, rest
        assert "Optimization stopped early." in rest
        state = max(tmp_path.glob("s_iter_*.solverstate"), key=lambda path: path.stat().st_mtime)
        state = state.rename(tmp_path / "stopped.solverstate")
    assert main([*command, "-workers", "0"]) == 0
    log = capfd.readouterr().err
    (tmp_path / "train.log").write_text(log)
    found = read_caffe_log(tmp_path / "train.log")
    assert [iteration for iteration, _ in found.rows] == [0, 3, 6, 9, 12]
    assert found.rows[3][1]["lr"] == pytest.approx(0.0001)
    assert {"loss", "lr", "train lesion_loss", "test 0 location_top1"} <= set(found.columns)
    assert "Optimization Done." in log
    assert ("random_seed is not set; 0 is taken" in log) == (not seeded)
    undisturbed = (tmp_path / "s_iter_12.caffemodel").read_bytes()
    (tmp_path / "s_iter_12.caffemodel").unlink()
    state = tmp_path / ("stopped.solverstate" if seeded else "s_iter_4.solverstate")
    assert main([*command, f"--snapshot={state}", "-workers", "1"]) == 0
    resumed = capfd.readouterr().err
    assert resumed.count("Resuming from") == 1
    assert (tmp_path / "s_iter_12.caffemodel").read_bytes() == undisturbed
    tests = [re.findall(r"Test net output #\d.*", text)[-8:] for text in (log, resumed)]
    assert tests[0] == tests[1] != []


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
        (('prefix: "', 'prefix: "/proc/none'), "/proc/none"),
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


@pytest.mark.parametrize(
    ("gpu", "there", "words"),
    [
        ("0", 0, "PyTorch finds no GPU on this machine; leave -gpu out"),
        ("all", 0, "PyTorch finds no GPU on this machine; leave -gpu out"),
        ("2", 2, "PyTorch finds 2 GPUs on this machine, numbered from 0"),
        ("0,2", 2, "PyTorch finds 2 GPUs on this machine, numbered from 0"),
        ("0,0", 2, "each once"),
        ("0;1", 2, "give numbers joined by commas"),
        ("-1", 2, "give numbers joined by commas"),
    ],
)
def test_a_gpu_that_is_not_there_is_one_line(solver, gpu, there, words, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: there)
    assert main(["train", "-solver", str(solver), f"-gpu={gpu}"]) == 1
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert words in said


def test_several_gpus_have_a_process_each(solver, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    started = []
    monkeypatch.setattr("caffe_torch.command.launch", lambda arguments, count: started.append((arguments, count)) or 7)
    for gpu, count in (("all", 3), ("0,2", 2)):
        command = ["train", "-solver", str(solver), "-gpu", gpu]
        assert main(command) == 7
        assert started.pop() == (command, count)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert device_of_rank(["cuda:0", "cuda:2"], "0,2") == "cuda:2"
    assert device_of_rank(["cpu"], "cpu") == "cpu"
    with pytest.raises(NetError, match="2 processes on this machine; start as many as there are GPUs"):
        device_of_rank(["cuda:0"], "0")
