"""predict.py on PyTorch: BVLC Caffe's predictions."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from caffe_reference import PYTHON
from conftest import ROOT
from made_model import NAMES, request, write_small_net

from skinmtl.engines.engine import Engine
from skinmtl.publishing.exporting import export
from skinmtl.publishing.model_folder import read_model_folder
from skinmtl.publishing.photographs import gather
from skinmtl.publishing.predicting import Predictor, predict
from skinmtl.scores.forward import Protocol

pytest_plugins = ["made_model_fixtures"]
pytestmark = pytest.mark.torch
needs_caffe = pytest.mark.skipif(not PYTHON.exists(), reason="BVLC Caffe is not here: make caffe")


@pytest.fixture(scope="module")
def of_torch(tmp_path_factory):
    """A model folder that was made with the engine on PyTorch."""
    folder = tmp_path_factory.mktemp("of torch")
    export(request(write_small_net(folder / "net"), engine=Engine("torch")), folder / "model", {})
    return read_model_folder(folder / "model")


def told(python, *words):
    command = [str(python), str(ROOT / "tools" / "predict.py"), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@needs_caffe
def test_both_engines_predict_alike(of_torch, photographs):
    words = ["--model-folder", of_torch.path, "--json-lines", "-", photographs.images]
    by_torch = told(sys.executable, "--engine", "torch", *words)
    by_caffe = told(PYTHON, *words)
    assert len(by_torch) == len(by_caffe) == 3
    for ours, theirs in zip(by_torch, by_caffe):
        assert ours["model"]["engine"].startswith("torch ") and theirs["model"]["engine"].startswith("caffe ")
        assert ours["image"] == theirs["image"]
        for head in NAMES:
            values = [list(each["probabilities"][head].values()) for each in (ours, theirs)]
            assert np.allclose(*values, atol=1e-5)


def test_overlays_and_bad_images(of_torch, photographs, tmp_path):
    protocol = Protocol(of_torch.short_side, of_torch.mean, 10, Engine("torch"), 1, 10)
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    images = [photographs.images / name for name in photographs.names]
    items, _ = gather([str(path) for path in (tmp_path / "bad.jpg", *images)], None)
    found = list(predict(Predictor(of_torch, protocol, attends=True), items, tmp_path / "shown", {}))
    assert [bool(one.problem) for one in found] == [True, False, False, False]
    plain = list(predict(Predictor(of_torch, protocol, attends=False), items, None, {}))
    for one, other in zip(found[1:], plain[1:]):
        for head in NAMES:
            assert one.overlays[head].is_file()
            assert np.allclose(one.probabilities[head], other.probabilities[head], atol=1e-6)


def test_a_python_without_pycaffe_says_which_engine_there_is(of_torch, photographs, tool, refused):
    done = tool("predict.py", "--engine", "caffe", "--model-folder", of_torch.path, photographs.images)
    refused(done, "pycaffe is not importable by this Python", "--engine torch")
