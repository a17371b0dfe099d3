"""train.py --engine torch in phases: what Caffe trains, and what a kill in any phase leaves."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest
from caffe_reference import PYTHON

pytest.importorskip("torch")

from caffe_files.prototxt import read_caffemodel
from skinmtl.engines.engine import Engine
from skinmtl.training.phases import Phase
from skinmtl.training.training_run import train

pytestmark = pytest.mark.torch
pytest_plugins = ["toy_training"]
TORCH = Engine("torch")
PHASES = (Phase(("fc_*",), 0.001, 7), Phase(("conv", "fc_lesion"), 0.002, 6), Phase(("*",), 0.0005, 7))
FILE = """phases:
  - {trainable: [fc_*], base_lr: 0.001, iterations: 7}
  - {trainable: [conv, fc_lesion], base_lr: 0.002, iterations: 6}
  - {trainable: ["*"], base_lr: 0.0005, iterations: 7}
"""


@pytest.fixture(scope="module")
def net(toy):
    return toy.net(varied=False)


@pytest.fixture(scope="module")
def phased(toy, net, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "phased"
    train(toy.request(out, net=net, engine=TORCH, phases=PHASES, weights=[start(toy, net, out.parent)]), {})
    return out


def start(toy, net, folder):
    """Weights for both engines, which draw initial ones differently."""
    if not (folder / "start").exists():
        train(toy.request(folder / "start", net=net, engine=TORCH, max_iter=1), {})
    return folder / "start" / "final.caffemodel"


def blobs_of(path):
    layers = (layer for layer in read_caffemodel(path).layer if layer.blobs)
    return {layer.name: [np.array(blob.data) for blob in layer.blobs] for layer in layers}


def words_of(toy, net, out, weights, file, *more):
    words = [sys.executable, toy.command(out)[1], "--solver", toy.solver, "--net", net, "--out", out]
    return list(map(str, [*words, "--weights", weights, "--phases", file, "--snapshot-interval", 1, *more]))


@pytest.mark.skipif(not PYTHON.exists(), reason="BVLC Caffe is not here: make caffe")
def test_both_engines_train_the_same_in_phases(toy, net, phased, tmp_path):
    (tmp_path / "phases.yaml").write_text(FILE)
    words = words_of(toy, net, tmp_path / "caffe", start(toy, net, phased.parent), tmp_path / "phases.yaml")
    subprocess.run([str(PYTHON), *words[1:]], check=True, stdout=subprocess.PIPE)
    logs = [toy.log_of(run) for run in (phased, tmp_path / "caffe")]
    assert len(logs[0]) == len(logs[1])
    for ours, theirs in zip(*logs):
        for found, expected in zip(ours, theirs):
            same = found == expected or float(found) == pytest.approx(float(expected), rel=1e-4)
            assert same, (ours, theirs)
    found, expected = (blobs_of(run / "final.caffemodel") for run in (phased, tmp_path / "caffe"))
    for name, blobs in expected.items():
        for one, two in zip(found[name], blobs):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def test_what_is_frozen_stays_bit_for_bit(phased):
    first, snapshot = blobs_of(phased.parent / "start" / "final.caffemodel"), blobs_of(of(phased, 7))
    assert (first["conv"][0] == snapshot["conv"][0]).all()
    assert (first["fc_lesion"][0] != snapshot["fc_lesion"][0]).any()
    second = blobs_of(of(phased, 13))
    assert (second["fc_location"][0] == snapshot["fc_location"][0]).all()
    assert (second["conv"][0] != snapshot["conv"][0]).any()


def of(run, iteration):
    return run / "snapshots" / f"toy_iter_{iteration}.caffemodel"


def test_killed_in_any_phase_it_ends_as_undisturbed_byte_for_byte(toy, net, phased, tmp_path):
    (tmp_path / "phases.yaml").write_text(FILE)
    weights = start(toy, net, phased.parent)
    words = words_of(toy, net, tmp_path / "cut", weights, tmp_path / "phases.yaml", "--resume", "--engine", "torch")
    cuts = 0
    for seed in range(2):
        process = toy.killed_in_between(words, tmp_path / "cut", seed)
        cuts += process.returncode == -signal.SIGKILL
        process.communicate()
    assert cuts
    subprocess.run(words, check=True, stdout=subprocess.PIPE)
    assert toy.same_end(tmp_path / "cut", phased)
