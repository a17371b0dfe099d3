"""Training of a net as those that find regions are, against `caffe train`: a frozen trunk below, a head whose weights
all levels share, a loss of type Python with a weight, gradients clipped by their norm."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from caffe_reference import PYTHON
from torch_agreement import NEEDS_CAFFE

from caffe_files.prototxt import read_caffemodel, read_net, read_solver
from caffe_files.schema import caffe_messages
from caffe_torch.model_files import write_caffemodel
from caffe_torch.net import Net
from caffe_torch.solver import Solver

pytestmark = [pytest.mark.torch, NEEDS_CAFFE]
HELPERS = Path(__file__).resolve().parents[1] / "helpers"
FROZEN = "param { lr_mult: 0 decay_mult: 0 } param { lr_mult: 0 decay_mult: 0 }"
SHARED = "param { name: 'w' lr_mult: 1 decay_mult: 1 } param { name: 'b' lr_mult: 2 decay_mult: 0 }"
NET = f"""
layer {{ name: 'data' type: 'Python' top: 'data' top: 'labels'
  python_param {{ module: 'user_layers' layer: 'Waves' param_str: '252' }} }}
layer {{ name: 'conv1' type: 'Convolution' bottom: 'data' top: 'conv1' {FROZEN}
  convolution_param {{ num_output: 4 kernel_size: 3 pad: 1 stride: 2 }} }}
layer {{ name: 'bn1' type: 'BatchNorm' bottom: 'conv1' top: 'conv1' batch_norm_param {{ use_global_stats: true }} }}
layer {{ name: 'scale1' type: 'Scale' bottom: 'conv1' top: 'conv1' {FROZEN} scale_param {{ bias_term: true }} }}
layer {{ name: 'relu1' type: 'ReLU' bottom: 'conv1' top: 'conv1' }}
layer {{ name: 'p2' type: 'Convolution' bottom: 'conv1' top: 'p2'
  convolution_param {{ num_output: 4 kernel_size: 3 pad: 1 }} }}
layer {{ name: 'p3' type: 'Convolution' bottom: 'p2' top: 'p3'
  convolution_param {{ num_output: 4 kernel_size: 3 pad: 1 stride: 2 }} }}
layer {{ name: 'p4' type: 'Pooling' bottom: 'p3' top: 'p4'
  pooling_param {{ kernel_size: 1 stride: 2 round_mode: FLOOR }} }}
""" + "\n".join(
    f"""layer {{ name: 'head{level}' type: 'Convolution' bottom: 'p{level}' top: 'head{level}' {SHARED}
  convolution_param {{ num_output: 6 kernel_size: 1 }} }}
layer {{ name: 'flat{level}' type: 'Reshape' bottom: 'head{level}' top: 'flat{level}'
  reshape_param {{ shape {{ dim: 0 dim: 2 dim: -1 }} }} }}"""
    for level in (2, 3, 4)
)
NET += """
layer { name: 'scores' type: 'Concat' bottom: 'flat2' bottom: 'flat3' bottom: 'flat4' top: 'scores'
  concat_param { axis: 2 } }
layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'scores' bottom: 'labels' top: 'loss'
  loss_param { ignore_label: -1 normalization: VALID } }
layer { name: 'split' type: 'Slice' bottom: 'scores' top: 'one' top: 'other' slice_param { axis: 1 } }
layer { name: 'near' type: 'Python' bottom: 'one' bottom: 'other' top: 'near' loss_weight: 10
  python_param { module: 'user_layers' layer: 'EuclideanLoss' } }
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder with the initial weights, and Caffe's own snapshots after 1 and after 10 iterations."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "net.prototxt").write_text(NET)
    (folder / "solver.prototxt").write_text(
        f'train_net: "{folder}/net.prototxt" snapshot_prefix: "{folder}/caffes" base_lr: 0.02 lr_policy: "fixed" '
        "momentum: 0.9 weight_decay: 0.01 clip_gradients: 5 max_iter: 10 snapshot: 1 solver_mode: CPU"
    )
    net = Net(read_net(folder / "net.prototxt"), "TRAIN")
    random = np.random.RandomState(0)
    with torch.no_grad():
        for layer in net.layers:
            for blob in layer.blobs:
                blob.copy_(torch.from_numpy(random.uniform(0.2, 1, tuple(blob.shape))))
    write_caffemodel(net, folder / "initial.caffemodel")
    command = [str(PYTHON.with_name("caffe")), "train", "-solver", str(folder / "solver.prototxt")]
    command += ["-weights", str(folder / "initial.caffemodel")]
    environment = {**os.environ, "GLOG_minloglevel": "1", "PYTHONPATH": str(HELPERS)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.fixture
def solver(trained):
    net = Net(read_net(trained / "net.prototxt"), "TRAIN")
    solver = Solver(read_solver(trained / "solver.prototxt"), net)
    solver.copy_from(trained / "initial.caffemodel")
    return solver


def blobs_of(path):
    return {layer.name: [np.array(blob.data) for blob in layer.blobs] for layer in read_caffemodel(path).layer}


def test_ten_iterations_and_their_snapshots_are_caffes(trained, solver):
    for iteration in range(1, 11):
        solver.step()
        model, state = solver.snapshot(str(trained / "ours"))
        found, expected = blobs_of(model), blobs_of(trained / f"caffes_iter_{iteration}.caffemodel")
        for name, blobs in expected.items():  # also those of a head that another owns; Caffe's own splits have none
            ours = found.get(name, [])
            assert len(ours) == len(blobs)
            for one, other in zip(ours, blobs):
                np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5, err_msg=f"{name}, {iteration}")
    found, expected = (
        caffe_messages().SolverState.FromString(path.read_bytes())
        for path in (state, trained / "caffes_iter_10.solverstate")
    )
    assert len(found.history) == len(expected.history)  # what is shared has one momentum
    for one, other in zip(found.history, expected.history):
        np.testing.assert_allclose(one.data, other.data, rtol=1e-4, atol=1e-5)


def test_all_levels_have_one_head_in_the_snapshot(trained):
    blobs = blobs_of(trained / "caffes_iter_10.caffemodel")
    initial = blobs_of(trained / "initial.caffemodel")
    assert (blobs["head2"][0] != initial["head2"][0]).all()
    for level in (3, 4):
        for one, other in zip(blobs[f"head{level}"], blobs["head2"]):
            np.testing.assert_array_equal(one, other)


def test_gradients_are_clipped_here(solver):
    """The comparison above is one of clipped gradients."""
    solver.net.loss(solver.net()).backward()
    assert torch.stack([each.grad.norm() for each in solver.parameters if each.grad is not None]).norm() > 20


def test_what_is_frozen_stays_to_the_bit_and_nothing_flows_back_to_it(trained, solver):
    blobs = solver.net()
    assert not blobs["conv1"].requires_grad
    assert blobs["p2"].requires_grad
    for _ in range(10):
        solver.step()
    initial = blobs_of(trained / "initial.caffemodel")
    theirs = blobs_of(trained / "caffes_iter_10.caffemodel")
    for name in ("conv1", "bn1", "scale1"):
        layer = solver.net.layer(name)
        assert all(blob.grad is None for blob in layer.blobs)
        for number, blob in enumerate(layer.blobs):
            np.testing.assert_array_equal(blob.detach().numpy().reshape(-1), initial[name][number].astype(np.float32))
            np.testing.assert_array_equal(theirs[name][number], initial[name][number])
