"""LSTM and RNN: tops and all gradients against BVLC Caffe."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from caffe_reference import PYTHON
from torch_agreement import EXAMPLES, NEEDS_CAFFE, SEEDS, agree, net_of, normal

from caffe_files.errors import InputError
from caffe_files.prototxt import read_caffemodel, read_net, read_solver
from caffe_torch.net import Net
from caffe_torch.solver import Solver

pytestmark = pytest.mark.torch


@NEEDS_CAFFE
@given(
    seed=SEEDS,
    kind=st.sampled_from(["LSTM", "RNN"]),
    times=st.integers(1, 4),
    streams=st.integers(1, 3),
    of_time=st.lists(st.integers(1, 3), min_size=1, max_size=2),
    constant=st.none() | st.lists(st.integers(1, 3), min_size=1, max_size=2),
    width=st.integers(1, 3),
    exposes=st.booleans(),
    phase=st.sampled_from(["TRAIN", "TEST"]),
)
@settings(EXAMPLES, max_examples=60)
def test_tops_and_gradients(caffe, seed, kind, times, streams, of_time, constant, width, exposes, phase):
    states = {"LSTM": ("h", "c"), "RNN": ("h",)}[kind] if exposes else ()
    inputs = {"x": normal(seed, times, streams, *of_time)}
    inputs["on"] = np.random.RandomState(seed).choice([0, 1, 1], (times, streams)).astype(np.float32)
    if constant:
        inputs["constant"] = normal(seed + 1, streams, *constant)
    inputs.update((name, normal(seed + 2, 1, streams, width)) for name in states)
    tops = " ".join(f"top: '{name}'" for name in ("top", *(f"{name}_after" for name in states)))
    said = f"recurrent_param {{ num_output: {width} expose_hidden: {str(exposes).lower()} }}"
    differentiable = [name for name in inputs if name != "on"]
    agree(caffe, f"type: '{kind}' {tops} {said}", inputs, phase, seed, differentiable)


NET = """layer { name: 'x' type: 'Input' top: 'x' input_param { shape { %s } } }
layer { name: 'on' type: 'Input' top: 'on' input_param { shape { dim: 2 dim: 3 } } }
layer { name: 'c' type: 'Input' top: 'c' input_param { shape { dim: 3 dim: 1 } } }
layer { name: 'l' type: 'LSTM' bottom: 'x' bottom: 'on' top: 'y' recurrent_param { num_output: 2 } }"""
SHAPE = "dim: 2 dim: 3 dim: 4"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (SHAPE, "dim: 2 dim: 3", r"\(times, streams, ...\)"),
        (SHAPE, "dim: 3 dim: 2 dim: 4", r"\(times, streams, ...\)"),
        ("num_output: 2", "", "needs a num_output"),
        ("bottom: 'on' top", "bottom: 'on' bottom: 'on' top", r"third bottom \(2, 3\) for 3 streams"),
        ("num_output: 2", "num_output: 2 expose_hidden: true", "2 bottoms where it takes 4 to 5"),
        (
            "top: 'y' recurrent_param {",
            "bottom: 'c' bottom: 'c' top: 'y' top: 'h' top: 'e' recurrent_param { expose_hidden: true",
            r"states .*each is \(1, 3, 2\)",
        ),
    ],
)
def test_bottoms_that_do_not_fit_are_a_line(old, new, said):
    assert old in NET % SHAPE
    with pytest.raises(InputError, match=said):
        net_of((NET % SHAPE).replace(old, new))


def test_a_pass_goes_on_from_the_one_before_where_the_sequence_does():
    net = net_of(NET % SHAPE)
    with torch.no_grad():
        for blob in net.layer("l").blobs:
            blob.normal_(generator=torch.Generator().manual_seed(1))
    x, on = torch.arange(24.0).reshape(2, 3, 4) / 24, torch.ones(2, 3)
    once, twice = (net({"x": x, "on": on})["y"].detach() for _ in range(2))
    assert not torch.equal(once, twice)
    on[0] = 0
    assert torch.equal(net({"x": x, "on": on})["y"], once)


TRAINED = """layer {{ name: 'rows' type: 'HDF5Data' top: 'x' top: 'on' top: 'wanted' hdf5_data_param {{
  source: '{folder}/list.txt' batch_size: 3 }} }}
layer {{ name: 'memory' type: '{kind}' bottom: 'x' bottom: 'on' top: 'y' recurrent_param {{ num_output: 2
  weight_filler {{ type: 'uniform' min: -0.5 max: 0.5 }} }} }}
layer {{ name: 'loss' type: 'EuclideanLoss' bottom: 'y' bottom: 'wanted' }}"""
SOLVER = """train_net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" momentum: 0.9 clip_gradients: 1 max_iter: 20
solver_mode: CPU snapshot_prefix: "theirs" """


@NEEDS_CAFFE
@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
def test_twenty_iterations_over_sequences_that_reach_from_batch_to_batch_are_caffes(tmp_path, kind):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed here: pip install h5py")
    random = np.random.RandomState(2)
    with h5py.File(str(tmp_path / "rows.h5"), "w") as file:
        file["x"] = random.standard_normal((12, 2, 3)).astype("f4")
        file["on"] = random.choice([0, 1, 1, 1], (12, 2)).astype("f4")
        file["wanted"] = np.tanh(random.standard_normal((12, 2, 2))).astype("f4")
    (tmp_path / "list.txt").write_text(f"{tmp_path}/rows.h5")
    (tmp_path / "net.prototxt").write_text(TRAINED.format(folder=tmp_path, kind=kind))
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    torch.manual_seed(1)
    net = Net(read_net(tmp_path / "net.prototxt"), "TRAIN")
    solver = Solver(read_solver(tmp_path / "solver.prototxt"), net)
    solver.snapshot(str(tmp_path / "start"))
    before = net.layer("memory").blobs[0].detach().clone()
    command = [PYTHON.with_name("caffe"), "train", "-solver", "solver.prototxt", "-weights", "start_iter_0.caffemodel"]
    subprocess.run(list(map(str, command)), cwd=str(tmp_path), check=True, stderr=subprocess.PIPE)
    for _ in range(20):
        solver.step()
    (theirs,) = (
        layer for layer in read_caffemodel(tmp_path / "theirs_iter_20.caffemodel").layer if layer.name == "memory"
    )
    for blob, stored in zip(net.layer("memory").blobs, theirs.blobs):
        np.testing.assert_allclose(blob.detach().numpy().ravel(), stored.data, rtol=1e-4, atol=1e-5)
    assert (net.layer("memory").blobs[0] - before).abs().max() > 0.05
