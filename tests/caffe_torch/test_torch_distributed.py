"""One training in several processes: two with gloo on this CPU are as one with twice the batch; they log, test, write
and end as one."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import lmdb
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from conftest import ROOT
from torch_agreement import net_of

from caffe_files.prototxt import read_caffemodel
from caffe_files.schema import caffe_messages
from caffe_torch.command import main
from caffe_torch.distributed import Ranks, all_learn
from caffe_torch.model_files import write_caffemodel
from caffe_torch.training import open_net

pytestmark = pytest.mark.torch
torch.set_num_threads(1)  # for nets as small as these threads cost more than they bring
NET = """
layer {{ name: 'data' type: 'Data' top: 'data' include {{ phase: TRAIN }}
  transform_param {{ crop_size: 40 mirror: true mean_value: 120 scale: 0.02 }}
  data_param {{ source: '{train}/image_lmdb' batch_size: {batch} backend: LMDB }} }}
layer {{ name: 'label' type: 'Data' top: 'label' include {{ phase: TRAIN }}
  data_param {{ source: '{train}/location_lmdb' batch_size: {batch} backend: LMDB }} }}
layer {{ name: 'data' type: 'Data' top: 'data' include {{ phase: TEST }}
  transform_param {{ crop_size: 40 mean_value: 120 scale: 0.02 }}
  data_param {{ source: '{test}/image_lmdb' batch_size: 8 backend: LMDB }} }}
layer {{ name: 'label' type: 'Data' top: 'label' include {{ phase: TEST }}
  data_param {{ source: '{test}/location_lmdb' batch_size: 8 backend: LMDB }} }}
layer {{ name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv'
  convolution_param {{ num_output: 6 kernel_size: 5 stride: 3 weight_filler {{ type: 'msra' }} }} }}
layer {{ name: 'norm' type: 'BatchNorm' bottom: 'conv' top: 'conv' batch_norm_param {{ {frozen} }} }}
layer {{ name: 'scale' type: 'Scale' bottom: 'conv' top: 'conv' scale_param {{ bias_term: true }} }}
layer {{ name: 'relu' type: 'ReLU' bottom: 'conv' top: 'conv' }}
layer {{ name: 'pool' type: 'Pooling' bottom: 'conv' top: 'pool'
  pooling_param {{ pool: AVE kernel_size: 6 stride: 3 }} }}
layer {{ name: 'drop' type: 'Dropout' bottom: 'pool' top: 'pool' dropout_param {{ dropout_ratio: {drop} }} }}
layer {{ name: 'fc' type: 'InnerProduct' bottom: 'pool' top: 'fc' param {{ lr_mult: 2 }} param {{ lr_mult: 0 }}
  inner_product_param {{ num_output: 4 weight_filler {{ type: 'xavier' }} }} }}
layer {{ name: 'loss' type: 'SoftmaxWithLoss' bottom: 'fc' bottom: 'label' top: 'loss' }}
layer {{ name: 'aside' type: 'InnerProduct' bottom: 'pool' top: 'aside' inner_product_param {{ num_output: 2 }} }}
layer {{ name: 'silence' type: 'Silence' bottom: 'aside' }}
"""


@pytest.fixture
def make(small_set, tmp_path):
    """Writes a net of batches of so many, and its solver, to a folder of their own; returns the solver."""

    def write(name, batch, drop=0, frozen="use_global_stats: true", **settings):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "net.prototxt").write_text(
            NET.format(train=small_set.train, test=small_set.test, batch=batch, drop=drop, frozen=frozen)
        )
        told = {
            **{"net": f"'{folder}/net.prototxt'", "base_lr": 0.01, "lr_policy": "'fixed'", "momentum": 0.9},
            **{"weight_decay": 0.01, "iter_size": 2, "clip_gradients": 0.8, "random_seed": 4, "max_iter": 6},
            **{"display": 2, "snapshot_prefix": f"'{folder}/s'", **settings},
        }
        (folder / "solver.prototxt").write_text("\n".join(f"{key}: {value}" for key, value in told.items()))
        return folder / "solver.prototxt"

    return write


@pytest.fixture
def weights(make, tmp_path):
    """A caffemodel whose frozen statistics are those of some data."""
    net = open_net(str(make("statistics", 8, frozen="").parent / "net.prototxt"), "TRAIN", caffe_messages().NetState())
    with torch.no_grad():
        net()
    write_caffemodel(net, tmp_path / "weights.caffemodel")
    return tmp_path / "weights.caffemodel"


def start(how, *arguments):
    """caffe-torch in two processes, by torchrun or by itself as for -gpu 0,1."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "OMP_NUM_THREADS": "1"}
    if how == "torchrun":
        command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "caffe_torch.command"]
    else:
        command = ["-c", "import sys; from caffe_torch.launching import launch; sys.exit(launch(sys.argv[1:], 2))"]
    return subprocess.Popen(
        [sys.executable, *command, *map(str, arguments)], stderr=subprocess.PIPE, env=environment, text=True
    )


def ended(process, status=0):
    log = process.stderr.read()
    assert process.wait(60) == status, log
    return log


def blobs(caffemodel):
    """Layer -> all its numbers."""
    return {
        layer.name: np.concatenate([blob.data for blob in layer.blobs])
        for layer in read_caffemodel(caffemodel).layer
        if layer.blobs
    }


def test_two_processes_are_one_with_twice_the_batch(make, weights, capfd):
    """With crops, mirrors, momentum, decay, clipping and iter_size; tested, logged and written by one of them."""
    tested = {"test_iter": 1, "test_interval": 3, "snapshot": 3}
    alone, two = make("alone", 6, **tested), make("two", 3, **tested)
    beside = start("torchrun", "train", "-solver", two, "-weights", weights)
    assert main(["train", "-solver", str(alone), "-weights", str(weights)]) == 0
    logs = [capfd.readouterr().err, ended(beside)]
    expected, found, initial = (
        blobs(path) for path in (alone.with_name("s_iter_6.caffemodel"), two.with_name("s_iter_6.caffemodel"), weights)
    )
    for layer, values in expected.items():
        assert np.abs(found[layer] - values).max() <= 1e-6 * np.abs(values).max(), layer
    assert np.abs(expected["conv"] - initial["conv"]).max() > 1e-3
    said = [re.findall(r"Iteration \d+, Testing|Optimization Done|Iteration \d+ \(", log) for log in logs]
    assert said[0] == said[1]
    assert len(said[0]) == 7
    names = [sorted(path.name for path in solver.parent.glob("s_iter_*")) for solver in (alone, two)]
    assert names[0] == names[1]
    assert len(names[0]) == 4


def test_all_snapshot_and_end_together_and_go_on_as_undisturbed(make):
    """Dropout, statistics of each device's batches, a test before each iteration: in the resumed training the same."""
    settings = {"iter_size": 1, "test_iter": 1, "test_interval": 1, "display": 1}
    solver = make("stopped", 2, 0.5, "", **settings, max_iter=100000)
    training = start("own", "train", "-solver", solver, "-sigint_effect", "snapshot")
    log = _read_until(training, "Iteration 3 ")
    training.send_signal(signal.SIGINT)  # passed on to both
    log += _read_until(training, "Snapshotting solver state")
    log += _read_until(training, "iter/s")  # of the next iteration
    pids = Path(f"/proc/{training.pid}/task/{training.pid}/children").read_text().split()
    os.kill(int(pids[1]), signal.SIGTERM)  # of one alone
    log += ended(training, 143)
    assert "Optimization stopped early." in log
    found = {int(re.search(r"\d+$", path.stem).group()): path for path in solver.parent.glob("s_iter_*.solverstate")}
    first, last = sorted(found)
    again = make("resumed", 2, 0.5, "", **settings, max_iter=last)
    resumed = ended(start("own", "train", "-solver", again, "-snapshot", found[first]))
    assert resumed.count("Resuming from") == 1
    lines = r"Iteration (\d+) \(.*(loss = .*)|(Test net output.*)"
    shown, expected = (re.findall(lines, text) for text in (resumed, log))
    assert (str(first), shown[1][1], "") == shown[1]
    assert shown[: 2 * (last - first)] == expected[2 * first : 2 * last]
    expected = blobs(found[last].with_suffix(".caffemodel"))
    for layer, values in blobs(again.with_name(f"s_iter_{last}.caffemodel")).items():
        np.testing.assert_array_equal(values, expected[layer], layer)


def _read_until(process, words):
    """What it says up to the line with these words."""
    text = line = ""
    while words not in line:
        line = process.stderr.readline()
        assert line, process.wait()
        text += line
    return text


class Second(Ranks):
    """Of two processes the one that is not the root, where the root says what `root` is."""

    rank, world, root = 1, 2, ""

    def faults(self, fault):
        return [self.root, fault]


@pytest.mark.parametrize(("root", "lines"), [("the same", 0), ("", 1)])
def test_a_fault_that_all_find_when_they_start_is_told_once(make, monkeypatch, capsys, root, lines):
    monkeypatch.setattr(Second, "root", root)
    monkeypatch.setattr("caffe_torch.running.ranks_here", lambda _: Second())
    solver = make("faulty", 4, lr_policy="'plateau'")
    assert main(["train", "-solver", str(solver)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == lines
    assert all("lr_policy 'plateau' is unknown" in line for line in said)


@pytest.mark.parametrize(
    ("text", "learned"),
    [
        ("", True),
        (
            "layer { name: 'two' type: 'InnerProduct' bottom: 'one' top: 'two' inner_product_param { num_output: 1 } }",
            False,
        ),
        (
            "layer { name: 'two' type: 'InnerProduct' bottom: 'one' top: 'two' inner_product_param { num_output: 1 } "
            "param { lr_mult: 0 } param { lr_mult: 0 } }",
            True,
        ),
        ("layer { name: 'two' type: 'Power' bottom: 'one' top: 'two' loss_weight: 2 }", True),
    ],
)
def test_parameters_that_no_loss_depends_on_are_seen(text, learned):
    net = net_of(
        "input: 'a' input_shape { dim: 2 dim: 3 }"
        "layer { name: 'one' type: 'InnerProduct' bottom: 'a' top: 'one' inner_product_param { num_output: 1 } }"
        "layer { name: 'loss' type: 'SigmoidCrossEntropyLoss' bottom: 'one' bottom: 'one' top: 'loss' }" + text
    )
    assert all_learn(net) == learned


def test_a_fault_that_one_finds_on_the_way_ends_all(make, small_set, tmp_path):
    """A record without an image, which the second device reads."""
    solver, bad = make("faulty", 4), tmp_path / "bad"
    shutil.copytree(small_set.train / "image_lmdb", bad)
    with lmdb.open(str(bad)) as environment, environment.begin(write=True) as records:
        records.put(b"00000011", caffe_messages().Datum(encoded=True, data=b"none").SerializeToString())
    net = solver.with_name("net.prototxt")
    net.write_text(net.read_text().replace(f"{small_set.train}/image_lmdb", str(bad)))
    log = ended(start("own", "train", "-solver", solver), 1)
    assert f"caffe-torch: {bad}: record 00000011: its image cannot be decoded" in log
    assert "Traceback" not in log
