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
from torch_agreement import NEEDS_CAFFE

from caffe_files.caffe_log import read_caffe_log
from caffe_files.prototxt import message_text, read_net
from caffe_files.schema import caffe_messages
from caffe_torch.command import main, parse_args
from caffe_torch.devices import device_of_rank
from caffe_torch.errors import NetError
from caffe_torch.running import gpu_of
from caffe_torch.stopping import Action, Signals
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


def test_a_warm_up_that_the_training_has_no_room_for_is_refused(solver, capsys):
    assert main(["train", "-solver", str(solver), "-warm-up", "12"]) == 1
    said = capsys.readouterr().err
    assert said == f"caffe-torch: -warm-up 12: not below the 12 iterations of {solver}; give fewer\n"


@NEEDS_CAFFE
def test_the_log_has_the_lines_of_caffes(solver, tmp_path, capfd):
    """Line by line, but for the numbers, and for what Caffe says while it builds and reads."""
    shapes = []
    for path in (tmp_path / "train.prototxt", tmp_path / "test.prototxt"):  # an output that is written in place
        path.write_text(
            path.read_text() + "layer { name: 'over' type: 'Power' bottom: 'location_label' top: 'an_output' }"
            "layer { name: 'zero' type: 'ReLU' bottom: 'an_output' top: 'an_output' }"
        )
    for command in ([str(ROOT / ".caffe/bin/caffe"), "train", "-solver", str(solver)], None):
        if command is None:
            assert main(["train", "-solver", str(solver)]) == 0
            log = capfd.readouterr().err
        else:
            log = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        lines = re.findall(r"^I\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ (.*solver\.cpp):\d+\] (.*)", log, re.MULTILINE)
        lines = lines[next(at for at, (_, said) in enumerate(lines) if said.startswith("Solving")) :]
        shapes.append(
            [(source, re.sub(r"(?<!step )(?<== )\S+|\(\S+ iter/s, \S+s/", "...", said)) for source, said in lines]
        )
    assert len(shapes[0]) > 60
    assert shapes[1] == shapes[0]


def test_test_gives_the_means_of_what_it_shows_for_each_batch(solver, capsys):
    model = solver.with_name("train.prototxt")  # with the statistics of its batches: untrained, others are none
    assert main(["test", "-model", str(model), "-phase", "TRAIN", "-iterations", "2"]) == 0
    said = capsys.readouterr().err
    batches = [float(value) for value in re.findall(r"Batch \d, lesion_loss = (\S+)", said)]
    assert len(batches) == 2
    mean = float(re.search(r"\] lesion_loss = (\S+) \(\* 1 = ", said).group(1))
    assert mean == pytest.approx(np.mean(batches), rel=1e-4)


def test_ctrl_c_during_a_test_snapshots_at_once_also_where_sigint_was_ignored(solver, tmp_path):
    """As a script's `&` leaves it; BVLC Caffe then heeds SIGINT all the same, and ends with status 0."""
    solver.write_text(solver.read_text().replace("test_iter: 2", "test_iter: 1000000"))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        training = start("train", "-solver", solver, "-workers", "0")
    finally:
        signal.signal(signal.SIGINT, before)
    while "Iteration 0, Testing" not in training.stderr.readline():
        assert training.poll() is None
    training.send_signal(signal.SIGINT)
    rest = training.communicate(timeout=60)[1]
    assert training.returncode == 0, rest
    assert "Test interrupted." in rest
    assert "Optimization stopped early." in rest
    assert (tmp_path / "s_iter_0.solverstate").exists()


@pytest.mark.parametrize(
    ("numbers", "status"),
    [
        ([], 0),
        ([signal.SIGHUP], 0),
        ([signal.SIGHUP, signal.SIGINT], 0),
        ([signal.SIGINT, signal.SIGTERM, signal.SIGHUP], 143),
    ],
)
def test_the_strongest_of_several_signals_counts(numbers, status):
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)}
    try:
        signals = Signals({signal.SIGINT: Action.STOP, signal.SIGHUP: Action.SNAPSHOT}, lambda number: number)
        for number in numbers:
            signal.raise_signal(number)
        expected = [Action.NONE, Action.SNAPSHOT, Action.STOP, Action.STOP][len(numbers)]
        assert signals.is_stopping() == (expected is Action.STOP)
        assert [signals.requested(), signals.requested()] == [expected, Action.NONE]
        assert signals.status == status
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@pytest.mark.parametrize("flags", [["-sol", "x"], ["-solver", "x", "-weight", "y"], ["--solv=x"], ["-gp=0"]])
def test_a_flag_that_is_not_whole_is_refused(flags, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["train", *flags])
    assert "error: " in capsys.readouterr().err


def test_the_solver_says_where_it_runs_unless_the_flag_does(solver, capsys):
    solver.write_text(solver.read_text() + " solver_mode: GPU device_id: 7")
    if torch.cuda.device_count() < 8:
        assert main(["train", "-solver", str(solver)]) == 1
        assert "-gpu 7: " in capsys.readouterr().err
    assert gpu_of(parse_args(["train", "-solver", str(solver), "-gpu", "cpu"])) == "cpu"
    assert gpu_of(parse_args(["train", "-solver", str(solver)])) == "7"
    solver.write_text(solver.read_text().replace("solver_mode: GPU", "solver_mode: CPU"))
    assert gpu_of(parse_args(["train", "-solver", str(solver)])) == "cpu"


def test_a_gpu_without_memory_is_one_line(solver, capsys, monkeypatch):
    def step(_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate much.")

    monkeypatch.setattr("caffe_torch.solver.Solver.step", step)
    assert main(["train", "-solver", str(solver)]) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("I")]
    assert len(said) == 1
    assert "smaller batch_size" in said[0]


def test_tf32_is_refused_where_there_is_no_gpu_for_it(solver, capsys):
    assert main(["train", "-solver", str(solver), "-precision", "tf32"]) == 1
    assert "on the CPU give fp32 or bf16" in capsys.readouterr().err


def test_bf16_on_a_processor_without_it_is_said_to_be_slow(solver, capsys, monkeypatch):
    monkeypatch.setattr("caffe_torch.running.bf16_warning", lambda precision, on_gpu: f"{precision} {on_gpu}")
    assert main(["time", "-model", str(solver.with_name("train.prototxt")), "-iterations", "1"]) == 0
    assert "-precision bf16: fp32 False" in capsys.readouterr().err


def test_time_says_how_long_passes_take(solver, capsys):
    assert main(["time", "-model", str(solver.with_name("train.prototxt")), "-iterations", "1"]) == 0
    assert re.search(r"Average Forward-Backward pass: [\d.]+ ms\.", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("multistep", "plateau"), "lr_policy 'plateau' is unknown"),
        (("gamma: 0.1", ""), "needs gamma"),
        (("max_iter: 12", 'max_iter: 12 type: "Momentum"'), "'Momentum' is not supported"),
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
        ("0", 0, "; give -gpu cpu"),
        ("all", 0, "; give -gpu cpu"),
        ("2", 2, "PyTorch can use 2 GPUs here, numbered from 0"),
        ("0,2", 2, "PyTorch can use 2 GPUs here, numbered from 0"),
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
    monkeypatch.setattr("caffe_torch.running.launch", lambda arguments, count: started.append((arguments, count)) or 7)
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
