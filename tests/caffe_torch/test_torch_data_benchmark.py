"""The benchmark of GPUs, as far as a machine without one can run it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from conftest import ROOT

pytestmark = pytest.mark.torch


def run(*arguments):
    command = [sys.executable, str(ROOT / "benchmarks/gpu.py"), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def test_the_trial_goes_through_all_its_parts():
    done = run("--device", "cpu", "--quick", "--steps", "1")
    assert done.returncode == 0, done.stderr
    for words in ("figures mean nothing", "bf16", "online jitter", "this engine on the CPU: 0.0e+00", "the limit is"):
        assert words in done.stdout


def test_without_a_gpu_it_says_so_in_a_line(refused):
    refused(run(), "no GPU that PyTorch can use is here")
