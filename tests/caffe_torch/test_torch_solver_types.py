"""Each type of solver against `caffe train`: weights and histories of twenty iterations, and snapshots of either."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from caffe_reference import PYTHON
from torch_agreement import NEEDS_CAFFE

from caffe_files.blobs import blob_values
from caffe_files.errors import InputError
from caffe_files.prototxt import read_caffemodel, read_net, read_solver, read_solverstate
from caffe_torch.model_files import write_caffemodel
from caffe_torch.net import Net
from caffe_torch.solver import Solver

pytestmark = [pytest.mark.torch, NEEDS_CAFFE]
CAFFE = str(PYTHON.with_name("caffe"))
NET = """
layer { name: 'data' type: 'DummyData' top: 'a' top: 'label' dummy_data_param { shape { dim: 3 dim: 4 }
  data_filler { value: 1.5 } data_filler { value: 0.2 } } }
layer { name: 'b' type: 'InnerProduct' bottom: 'a' top: 'b' inner_product_param { num_output: 4 } }
layer { name: 'tanh' type: 'TanH' bottom: 'b' top: 'b' }
layer { name: 'c' type: 'InnerProduct' bottom: 'b' top: 'c' param { lr_mult: 3 decay_mult: 0.5 } param { lr_mult: 2
  decay_mult: 0 } inner_product_param { num_output: 4 } }
layer { name: 'loss' type: 'EuclideanLoss' bottom: 'c' bottom: 'label' top: 'loss' }
"""
TYPES = {
    "SGD": "base_lr: 0.02 momentum: 0.9",
    "Nesterov": "base_lr: 0.02 momentum: 0.9",
    "AdaGrad": "base_lr: 0.05",
    "AdaGrad with delta": "base_lr: 0.05 delta: 0.1",
    "RMSProp": "base_lr: 0.01 rms_decay: 0.9",
    "RMSProp with delta": "base_lr: 0.01 rms_decay: 0.9 delta: 0.1",
    "AdaDelta": "base_lr: 1 momentum: 0.95 delta: 1e-6",
    "Adam": "base_lr: 0.01 momentum: 0.9 momentum2: 0.99",
    "Adam as it is": "base_lr: 0.01 momentum: 0.9",
}
MORE = {"alone": "", "with all": "iter_size: 2 clip_gradients: 1 weight_decay: 0.01", "L1": "weight_decay: 0.01"}


def prepared(folder, name, more, snapshot=""):
    (folder / "net.prototxt").write_text(NET)
    regular = 'regularization_type: "L1"' if more == "L1" else ""
    (folder / "solver.prototxt").write_text(
        f"train_net: '{folder}/net.prototxt' snapshot_prefix: '{folder}/theirs' type: '{name.split()[0]}' "
        f"{TYPES[name]} {MORE[more]} {regular} lr_policy: 'step' gamma: 0.5 stepsize: 8 max_iter: 20 {snapshot} "
        "solver_mode: CPU random_seed: 1"
    )
    net = Net(read_net(folder / "net.prototxt"), "TRAIN")
    for number, parameter in enumerate(net.parameters()):
        parameter.data = torch.from_numpy(np.random.RandomState(number).standard_normal(parameter.shape)).float()
    write_caffemodel(net, folder / "first.caffemodel")
    return Solver(read_solver(folder / "solver.prototxt"), net)


def caffe(folder, *more):
    command = [CAFFE, "train", "-solver", str(folder / "solver.prototxt"), *map(str, more)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-1000:]


def worst(folder, ours, theirs):
    """The largest difference of weights and of histories, by the largest number of the blob."""
    found, states = [], []
    for one in (ours, theirs):
        layers = {layer.name: layer.blobs for layer in read_caffemodel(folder / f"{one}.caffemodel").layer}
        found.append([blob_values(blob) for name in "bc" for blob in layers[name]])
        states.append([blob_values(blob) for blob in read_solverstate(folder / f"{one}.solverstate").history])
    assert len(states[0]) == len(states[1]) in (4, 8)
    pairs = [*zip(*found), *zip(*states)]
    return max(float(np.abs(one - other).max() / max(1e-6, np.abs(other).max())) for one, other in pairs)


# RMSProp divides a gradient near 0 by its own size: here 1e-7 of the weights grows to 3e-4 in these twenty iterations
CASES = [(name, more) for name in TYPES for more in MORE if (name, more) != ("RMSProp", "with all")]


@pytest.mark.parametrize(("name", "more"), CASES)
def test_twenty_iterations_are_caffes(tmp_path, name, more):
    solver = prepared(tmp_path, name, more)
    caffe(tmp_path, "-weights", tmp_path / "first.caffemodel")
    for _ in range(20):
        solver.step()
    solver.snapshot(str(tmp_path / "ours"))
    difference = worst(tmp_path, "ours_iter_20", "theirs_iter_20")
    print(f"{name}, {more}: {difference:.1e}")
    assert difference < 1e-4


@pytest.mark.parametrize("name", ["Nesterov", "AdaGrad", "RMSProp with delta", "AdaDelta", "Adam"])
def test_a_snapshot_of_either_goes_on_in_the_other(tmp_path, name):
    solver = prepared(tmp_path, name, "with all", "snapshot: 10")
    caffe(tmp_path, "-weights", tmp_path / "first.caffemodel")
    for kind in ("caffemodel", "solverstate"):
        (tmp_path / f"theirs_iter_20.{kind}").rename(tmp_path / f"undisturbed.{kind}")
    solver.restore(tmp_path / "theirs_iter_10.solverstate")
    assert solver.iteration == 10
    while solver.iteration < 20:
        solver.step()
    solver.snapshot(str(tmp_path / "mixed"))
    assert worst(tmp_path, "mixed_iter_20", "undisturbed") < 1e-4
    solver = prepared(tmp_path, name, "with all", "snapshot: 10")
    for _ in range(10):
        solver.step()
    _, state = solver.snapshot(str(tmp_path / "ours"))
    caffe(tmp_path, "-snapshot", state)
    assert worst(tmp_path, "theirs_iter_20", "undisturbed") < 1e-4


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("type: 'AdaGrad' momentum: 0.9", "'AdaGrad' has no momentum"),
        ("type: 'RMSProp' momentum: 0.9", "'RMSProp' has no momentum"),
        ("type: 'RMSProp' rms_decay: 1", "rms_decay 1"),
        ("type: 'Momentum'", "'Momentum' is not supported; this engine has SGD, Nesterov"),
    ],
)
def test_what_caffe_refuses_is_refused(tmp_path, settings, words):
    (tmp_path / "net.prototxt").write_text(NET)
    path = tmp_path / "solver.prototxt"
    path.write_text(f"train_net: '{tmp_path}/net.prototxt' base_lr: 1 lr_policy: 'fixed' solver_mode: CPU {settings}")
    done = subprocess.run([CAFFE, "train", "-solver", str(path)], capture_output=True, text=True)
    assert "Check failed" in done.stderr
    with pytest.raises(InputError, match=words):
        Solver(read_solver(path), Net(read_net(tmp_path / "net.prototxt"), "TRAIN"))
