"""Which engine a tool may be asked for: what cannot go together, and what is said where a library is missing."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from made_model import ENGINE, write_drawn_weights

from caffe_files.errors import InputError
from skinmtl.engines.engine import Engine, unusable
from skinmtl.engines.snapshot import checked_snapshot
from skinmtl.explanation.extracting import DECIDES, difference

HAS_TORCH = importlib.util.find_spec("torch") is not None
HAS_CAFFE = importlib.util.find_spec("caffe") is not None


@pytest.mark.parametrize(
    "engine, words",
    [
        (("caffe", None, "fp32"), ""),
        (("caffe", 0, "fp32"), ""),
        (("torch", None, "bf16"), ""),
        (("torch", 0, "tf32"), ""),
        (("caffe", 0, "tf32"), "Caffe computes in fp32 alone"),
        (("caffe", None, "bf16"), "Caffe computes in fp32 alone"),
        (("torch", None, "tf32"), "is a way of NVIDIA GPUs"),
        (("onnx", 0, "fp32"), ""),
        (("onnx", 0, "tf32"), "onnxruntime computes in fp32 alone; use --engine torch"),
        (("onnx", None, "bf16"), "onnxruntime computes in fp32 alone; use --engine torch"),
    ],
)
def test_all_but_torch_have_one_precision_and_tf32_is_of_gpus(engine, words):
    said = unusable(*engine)
    assert words in said
    assert bool(words) == bool(said)


PROGRAM = """
import importlib, json, sys
for name, words in json.loads(sys.argv[1]).items():
    sys.argv = [name + ".py", *words, "--out", "out.npz", "--precision", "bf16"]
    try:
        importlib.import_module(name).main()
    except SystemExit as stop:
        print(stop.code)
"""


def test_a_net_of_two_inputs_takes_as_many_of_each(tmp_path):
    """`data` and `window`, as a mask net has; any number of them."""
    shapes = {"data": "[1, 3, 2, 2]", "window": "[1, 4]"}
    inputs = "".join(
        f"layer {{ name: '{name}' type: 'Input' top: '{name}' input_param {{ shape {{ dim: {shape} }} }} }}\n"
        for name, shape in shapes.items()
    )
    (tmp_path / "deploy.prototxt").write_text(
        f"{inputs} layer {{ name: 'twice' type: 'Power' bottom: 'window' top: 'twice' power_param {{ scale: 2 }} }}\n"
        "layer { name: 'full' type: 'InnerProduct' bottom: 'data' top: 'full' "
        "inner_product_param { num_output: 2 bias_term: false } }"
    )
    write_drawn_weights(tmp_path / "deploy.prototxt", {"full": [(2, 12)]}, tmp_path / "w.caffemodel")
    net = ENGINE.open(tmp_path / "deploy.prototxt", tmp_path / "w.caffemodel")
    (weights,) = net.parameters("full")
    random = np.random.RandomState(1)
    for count in (1, 3, 2):
        data, window = random.rand(count, 3, 2, 2).astype(np.float32), random.rand(count, 4).astype(np.float32)
        twice, full = net.forward({"data": list(data), "window": window}, ["twice", "full"])
        np.testing.assert_allclose(twice, 2 * window, rtol=1e-6)
        np.testing.assert_allclose(full, data.reshape(count, -1) @ weights.T, rtol=1e-4, atol=1e-5)


def test_every_tool_that_runs_a_net_refuses_a_precision_that_caffe_has_not(tmp_path):
    net = ["--deploy", "d", "--weights", "w"]
    tools = {
        "train": ["--solver", "s", "--net", "n"],
        "score": [*net, "--manifest", "m", "--images", "i"],
        "extract_features": [*net, "--manifest", "m", "--images", "i"],
        "attend": [*net, "--query", "q"],
        "retrieve": [*net, "--query", "q", "--features", "f"],
    }
    environment = dict(os.environ, PYTHONPATH=str(ROOT / "tools"))
    command = [sys.executable, "-c", PROGRAM, json.dumps(tools)]
    done = subprocess.run(command, cwd=str(tmp_path), env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["2"] * len(tools), done.stderr
    said = [line for line in done.stderr.splitlines() if "error: " in line]
    assert [line.partition(".py")[0] for line in said] == list(tools)
    assert all("--precision bf16: Caffe computes in fp32 alone; add --engine torch" in line for line in said)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(HAS_TORCH, reason="PyTorch is here")
def test_without_pytorch_one_line_says_where_it_is():
    with pytest.raises(InputError, match=r"--engine torch needs PyTorch.*make torch, then run with .venv/bin/python"):
        Engine("torch").library()


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (
            "raise OSError('libgone.so: cannot open')",
            "PyTorch cannot be loaded (libgone.so: cannot open)",
        ),
        ("", "ImportError: cannot import name 'Tensor' from 'torch'"),  # of whatever we import after it
    ],
)
def test_a_pytorch_that_cannot_be_loaded_is_told_from_a_fault_of_ours(tmp_path, there, words):
    (tmp_path / "torch.py").write_text(there)
    environment = dict(os.environ, PYTHONPATH=f"{tmp_path}:{ROOT / 'python'}")
    program = "from skinmtl.engines.engine import Engine; Engine('torch').library()"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert words in done.stderr.splitlines()[-1]


@pytest.mark.skipif(HAS_CAFFE, reason="BVLC Caffe is here")
def test_without_caffe_one_line_says_where_it_is(tmp_path):
    (tmp_path / "deploy.prototxt").write_text("name: 'a net'")
    asked = (
        lambda: Engine().version,
        lambda: checked_snapshot(tmp_path / "deploy.prototxt", tmp_path / "none", Engine()),
    )
    for ask in asked:
        with pytest.raises(InputError, match=r"run with .caffe/bin/python3 .* or add --engine torch"):
            ask()


def test_features_are_compared_across_engines_but_not_across_precisions():
    alike = {**dict.fromkeys(DECIDES, 1), "precision": "fp32"}
    assert difference({**alike, "engine": "caffe 1.0.0"}, {**alike, "engine": "torch 2.13.0"}) == ""
    assert difference(alike, {**alike, "precision": "bf16"}) == "precision is bf16, where the training images have fp32"
    older = {name: value for name, value in alike.items() if name != "precision"}  # from before there was another
    assert difference(older, alike) == ""
