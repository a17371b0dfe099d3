"""caffe_torch's training against `caffe train`: equal losses, weights and momenta; snapshots of either in the other."""

from __future__ import annotations

import os
import re
import subprocess
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from caffe_reference import PYTHON

from caffe_files.prototxt import read_caffemodel, read_net, read_solver
from caffe_files.schema import caffe_messages
from caffe_torch.model_files import write_caffemodel
from caffe_torch.net import Net
from caffe_torch.rates import learning_rate
from caffe_torch.solver import Solver
from skinmtl.data.lmdb_write import Sizes, write_lmdbs
from skinmtl.data.manifest import read_manifest
from skinmtl.nets.multi_task import NetOptions
from skinmtl.nets.net_files import net_files, write_net_files

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(not PYTHON.exists(), reason="BVLC Caffe is not here: make caffe"),
]
CAFFE = str(PYTHON.with_name("caffe"))
SOLVER = (
    'base_lr: 0.0001 lr_policy: "step" gamma: 0.5 stepsize: 8 momentum: 0.9 weight_decay: 0.001 iter_size: 2 '
    "clip_gradients: 3 display: 1 snapshot: 10 average_loss: 1 random_seed: 1 solver_mode: CPU "
)


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """Ten images as large as the crop, so that nothing is left to chance, and Caffe's own twenty iterations on them."""
    folder = tmp_path_factory.mktemp("training")
    (folder / "images").mkdir()
    random = np.random.RandomState(1)
    lines = ["image,lesions,location"]
    for number in range(10):
        colours = cv2.resize(random.randint(40, 216, (5, 5, 3)).astype(np.uint8), (64, 64))
        # no two pixels alike: of equal maxima in a pooling window, Caffe's own rounding picks one
        noise = random.randint(-40, 40, colours.shape)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), (colours + noise).astype(np.uint8))
        lines.append(f"{number}.png,{('crust', 'scar', 'crust;scar')[number % 3]},{('arm', 'leg')[number % 2]}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    manifest = read_manifest(folder / "manifest.csv")
    write_lmdbs(manifest, folder / "images", folder / "data", Sizes(64, 64, 1), seed=1, workers=1, arguments={})
    data = str(folder / "data")
    for name, frozen in (("first", False), ("net", True)):
        options = NetOptions("resnet50_mtl", "tiny", 64, 2, 2, data, data, 4, 5, frozen_batch_norm=frozen)
        write_net_files(net_files(options, "a test"), folder / name)
        text = (folder / name / "train.prototxt").read_text().replace("mirror: true", "mirror: false")
        (folder / name / "train.prototxt").write_text(text)
    for name, iterations in (("first", 2), ("net", 20)):  # statistics of batches first, which then stay
        (folder / f"{name}.prototxt").write_text(
            f'train_net: "{folder}/{name}/train.prototxt" snapshot_prefix: "{folder}/{name}_caffe" '
            f"max_iter: {iterations} {SOLVER}"
        )
    caffe(folder, "first.prototxt")
    (folder / "first_caffe_iter_2.caffemodel").rename(folder / "initial.caffemodel")
    log = caffe(folder, "net.prototxt", "-weights", folder / "initial.caffemodel")
    (folder / "net_caffe_iter_20.caffemodel").rename(folder / "undisturbed.caffemodel")
    (folder / "net_caffe_iter_20.solverstate").rename(folder / "undisturbed.solverstate")
    losses = [float(value) for value in re.findall(r"Iteration \d+ .*, loss = (\S+)", log)]
    return SimpleNamespace(
        folder=folder,
        losses=losses,
        weights=folder / "undisturbed.caffemodel",
        state=folder / "undisturbed.solverstate",
    )


def caffe(folder, solver, *more):
    command = [CAFFE, "train", "-solver", str(folder / solver), *map(str, more)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "GLOG_minloglevel": "0"})
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stderr


def solver_of(training):
    torch.manual_seed(1)
    return Solver(
        read_solver(training.folder / "net.prototxt"), Net(read_net(training.folder / "net/train.prototxt"), "TRAIN")
    )


def test_twenty_iterations_are_caffes(training):
    solver = solver_of(training)
    assert solver.copy_from(training.folder / "initial.caffemodel") == []
    losses = []
    for _ in range(20):
        solver.step()
        losses.append(solver.smoothed_loss)
    assert len(training.losses) >= 20
    assert np.allclose(losses, training.losses[:20], rtol=1e-4)
    solver.snapshot(str(training.folder / "ours"))
    same_weights(training.folder / "ours_iter_20.caffemodel", training.weights)
    same_momenta(training.folder / "ours_iter_20.solverstate", training.state)


def same_weights(ours, theirs, at_least=21):
    found, expected = ({layer.name: layer.blobs for layer in read_caffemodel(path).layer} for path in (ours, theirs))
    assert sum(len(blobs) for blobs in expected.values()) >= at_least
    for name, blobs in expected.items():
        for number, blob in enumerate(blobs):
            close(found[name][number].data, blob.data, (name, number))


def same_momenta(ours, theirs):
    found, expected = (caffe_messages().SolverState.FromString(path.read_bytes()) for path in (ours, theirs))
    assert (found.iter, found.current_step, len(found.history)) == (
        expected.iter,
        expected.current_step,
        len(expected.history),
    )
    for number, (one, other) in enumerate(zip(found.history, expected.history)):
        assert one.shape == other.shape
        close(one.data, other.data, number)


def close(found, expected, what):
    found, expected = np.array(found), np.array(expected)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4 * max(1e-2, np.abs(expected).max()), what


def test_a_snapshot_of_either_goes_on_in_the_other(training):
    solver = solver_of(training)
    solver.copy_from(training.folder / "initial.caffemodel")
    while solver.iteration < 10:
        solver.step()
    _, state = solver.snapshot(str(training.folder / "ours"))
    caffe(training.folder, "net.prototxt", "-snapshot", state)
    # Caffe's data layers start again at record 0 then, and ours where they stood: after 10 iterations of 2 x 4 of 10
    # records both are at record 0
    same_weights(training.folder / "net_caffe_iter_20.caffemodel", training.weights)
    solver = solver_of(training)
    solver.restore(training.folder / "net_caffe_iter_10.solverstate")
    assert solver.iteration == 10
    while solver.iteration < 20:
        solver.step()
    solver.snapshot(str(training.folder / "mixed"))
    same_weights(training.folder / "mixed_iter_20.caffemodel", training.weights)


@pytest.mark.parametrize("kind", ["L1", "L2"])
def test_multipliers_and_regularisation_are_caffes(tmp_path, kind):
    """Of a layer that learns, one that is frozen between, and one with multipliers of its own; gradients clipped."""
    layers = ["layer { name: 'data' type: 'DummyData' top: 'a' top: 'label' dummy_data_param {"]
    layers += ["shape { dim: 3 dim: 4 } data_filler { value: 1.5 } data_filler { value: 0.2 } } }"]
    wanted = {"b": "", "c": "param { lr_mult: 0 } param { lr_mult: 0 decay_mult: 5 }"}
    wanted["d"] = "param { lr_mult: 3 decay_mult: 0.5 } param { lr_mult: 2 decay_mult: 0 }"
    for bottom, (top, params) in zip("abc", wanted.items()):
        layers.append(f"layer {{ name: '{top}' type: 'InnerProduct' bottom: '{bottom}' top: '{top}' {params}")
        layers.append("inner_product_param { num_output: 4 } }")
    layers += ["layer { name: 'loss' type: 'SigmoidCrossEntropyLoss' bottom: 'd' bottom: 'label' top: 'loss' }"]
    (tmp_path / "net.prototxt").write_text("\n".join(layers))
    (tmp_path / "solver.prototxt").write_text(
        f'train_net: "{tmp_path}/net.prototxt" snapshot_prefix: "{tmp_path}/caffes" base_lr: 0.05 lr_policy: "fixed" '
        f'momentum: 0.9 weight_decay: 0.1 regularization_type: "{kind}" clip_gradients: 2 max_iter: 6 solver_mode: CPU'
    )
    net = Net(read_net(tmp_path / "net.prototxt"), "TRAIN")
    for number, parameter in enumerate(net.parameters()):
        parameter.data = torch.from_numpy(np.random.RandomState(number).standard_normal(parameter.shape)).float()
    write_caffemodel(net, tmp_path / "initial.caffemodel")
    caffe(tmp_path, "solver.prototxt", "-weights", tmp_path / "initial.caffemodel")
    solver = Solver(read_solver(tmp_path / "solver.prototxt"), net)
    for _ in range(6):
        solver.step()
    solver.snapshot(str(tmp_path / "ours"))
    same_weights(*(tmp_path / f"{whose}_iter_6.caffemodel" for whose in ("ours", "caffes")), at_least=6)
    same_momenta(*(tmp_path / f"{whose}_iter_6.solverstate" for whose in ("ours", "caffes")))


POLICIES = {
    "fixed": "",
    "step": "gamma: 0.5 stepsize: 3",
    "exp": "gamma: 0.9",
    "inv": "gamma: 0.1 power: 0.75",
    "multistep": "gamma: 0.3 stepvalue: 2 stepvalue: 2 stepvalue: 3 stepvalue: 9",
    "poly": "power: 2",
    "sigmoid": "gamma: 0.5 stepsize: 6",
}


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_rates_are_caffes(policy, tmp_path):
    (tmp_path / "net.prototxt").write_text(
        "layer { name: 'data' type: 'DummyData' top: 'a' top: 'b' dummy_data_param { shape { dim: 2 dim: 3 } } }\n"
        "layer { name: 'ip' type: 'InnerProduct' bottom: 'a' top: 'ip' inner_product_param { num_output: 3 } }\n"
        "layer { name: 'loss' type: 'SigmoidCrossEntropyLoss' bottom: 'ip' bottom: 'b' top: 'loss' }\n"
    )
    (tmp_path / "solver.prototxt").write_text(
        f'train_net: "{tmp_path}/net.prototxt" base_lr: 0.03 lr_policy: "{policy}" {POLICIES[policy]} display: 1 '
        f'max_iter: 12 snapshot_after_train: false solver_mode: CPU snapshot_prefix: "{tmp_path}/s"'
    )
    expected = [float(rate) for rate in re.findall(r", lr = (\S+)", caffe(tmp_path, "solver.prototxt"))]
    solver, step, rates = read_solver(tmp_path / "solver.prototxt"), 0, []
    for iteration in range(12):
        rate, step = learning_rate(solver, iteration, step)
        rates.append(rate)
    assert np.allclose(rates, expected, rtol=1e-5)
