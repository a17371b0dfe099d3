"""A net that would take more memory than there is gets a line, and takes none."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT
from made_model import ENGINE

from caffe_files.errors import InputError
from caffe_files.prototxt import read_net
from skinmtl.common import memory
from skinmtl.common.memory import memory_there, require_memory
from skinmtl.common.npz_file import read_arrays
from skinmtl.nets.net_probe import net_shapes
from skinmtl.nets.text_of_net import without_drawing
from skinmtl.training.starting_weights import check_weights

INPUT = "layer { name: 'data' type: 'Input' top: 'data' input_param { shape { dim: [%s] } } }"
WEIGHTS = """layer { name: 'fc%d' type: 'InnerProduct' bottom: 'data' top: 'fc%d'
  inner_product_param { num_output: 200 weight_filler { type: 'xavier' } } }
"""
LITTLE = """
import resource, sys
sys.path[:0] = {path!r}
from pathlib import Path
from caffe_files.errors import InputError
from skinmtl.engines.engine import Engine
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
try:
    print(Engine({engine!r}).shapes(Path(sys.argv[1])))
except InputError as error:
    print(error)
"""


def test_a_limit_of_the_user_or_of_a_container_counts(tmp_path, monkeypatch):
    whole = memory_there()
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "LIMITS", (tmp_path / "missing", limit))
    limit.write_text("max\n")
    assert memory_there() <= whole or whole < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit.write_text("5000000000\n")
    assert memory_there() == 5_000_000_000
    require_memory("net", 5_000_000_000)
    with pytest.raises(InputError, match=r"^net: would take 5\.1 GB of memory, and this machine has 5\.0 GB for it"):
        require_memory("net", 5_100_000_000)


@pytest.mark.skipif(
    not any(map(importlib.util.find_spec, ("caffe", "torch"))), reason="needs an engine: Caffe or PyTorch"
)
def test_every_engine_counts(monkeypatch):
    monkeypatch.setattr(memory, "memory_there", lambda: 1000)
    with pytest.raises(InputError, match=r"deploy.prototxt: would take 0\.\d GB of memory"):
        ENGINE.shapes(ROOT / "prototxt" / "tiny_mtl" / "deploy.prototxt")


@pytest.mark.skipif(
    not any(map(importlib.util.find_spec, ("caffe", "torch"))), reason="needs an engine: Caffe or PyTorch"
)
def test_the_batch_of_a_training_counts(monkeypatch):
    net = ROOT / "prototxt" / "tiny_mtl"
    needed = ENGINE.shapes(net / "train.prototxt").bytes_of_training(20)
    monkeypatch.setattr(memory, "memory_there", lambda: needed)
    given = SimpleNamespace(train_net=net / "train.prototxt", test_net=net / "test.prototxt", batch_size=20)
    assert check_weights(given, [], ENGINE).initial
    given.batch_size = 2000
    with pytest.raises(InputError, match=r"train.prototxt: a training in batches of 2000: would take [\d.]+ GB"):
        check_weights(given, [], ENGINE)


def test_an_array_that_says_it_is_larger_than_memory_is_not_unpacked(tmp_path, monkeypatch):
    np.savez_compressed(str(tmp_path / "scores.npz"), image=np.zeros(1_000_000))
    monkeypatch.setattr(memory, "memory_there", lambda: 10_000_000)
    with pytest.raises(InputError, match=r"scores.npz: array image: would take 0.0 GB of memory"):
        read_arrays(tmp_path / "scores.npz", ("image",), "make it again")


@pytest.mark.caffe
@pytest.mark.parametrize("weights", [False, True])
def test_blobs_and_weights_are_counted_before_they_are_taken(weights, tmp_path):
    net = tmp_path / "deploy.prototxt"
    # weights of 12 GB, or images of 8 GB
    text = INPUT % "1,3,3000,500" + "".join(WEIGHTS % (n, n) for n in range(4)) if weights else INPUT % "10,3,8000,8000"
    net.write_text(text)
    program = LITTLE.format(path=[str(ROOT / "python")], engine=ENGINE.name)
    done = subprocess.run([sys.executable, "-c", program, str(net)], capture_output=True, text=True)
    assert "more memory than is free" in done.stdout or "of memory, and this machine has 4.3 GB" in done.stdout, done


def test_what_draws_weights_is_left_out_of_nets_that_get_theirs_from_a_file(tmp_path):
    net = tmp_path / "deploy.prototxt"
    kinds = [
        "type: 'xavier'",
        "type: 'gaussian' std: 1",
        "type: 'gaussian' std: -1",
        "type: 'typo'",
        "type: 'bilinear'",
    ]
    net.write_text(
        "".join(
            f"layer {{ type: 'Convolution' convolution_param {{ num_output: 1 weight_filler {{ {kind} }} }} }}\n"
            for kind in kinds
        )
        + "layer { type: 'DummyData' dummy_data_param { data_filler { type: 'gaussian' std: 1 } } }"
    )
    read = read_net(net)
    without_drawing(read)
    left = [layer.convolution_param.weight_filler.type for layer in read.layer if layer.type == "Convolution"]
    assert left == ["constant", "constant", "gaussian", "typo", "bilinear"]  # what Caffe refuses, it shall refuse
    assert [each.type for each in read.layer[-1].dummy_data_param.data_filler] == ["gaussian"]


def test_a_signal_that_ends_caffe_is_not_held_against_the_net_alone(tmp_path, monkeypatch):
    """OpenBLAS gets one where it gets no memory, under `ulimit -v`."""
    net, python = tmp_path / "net.prototxt", tmp_path / "python3"
    net.write_text(INPUT % "1, 3, 8, 8")
    python.write_text("#!/bin/sh\nkill -SEGV $$\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(InputError, match=r"was ended by SIGSEGV .*; free some memory or raise the limit \(ulimit -v\)"):
        net_shapes(net)
