"""A net that would write to a file of the user's: every tool that builds a net refuses it, and the file stays."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from made_model import ENGINE

from skinmtl.common.provenance import sha256

pytest_plugins = ["made_model_fixtures"]
MINE = "print('mine')\n"
LAYER = """layer {{ name: 'keep' type: 'HDF5Output' bottom: 'data' bottom: 'data'
  hdf5_output_param {{ file_name: {} }} }}
"""
# runs the main of each tool, and says what became of it
PROGRAM = """
import importlib, json, sys
for name, words in json.loads(sys.argv[1]).items():
    sys.argv = [name + ".py", *words]
    try:
        importlib.import_module(name).main()
        print(name, "went on")
    except Exception as error:
        print(name, type(error).__name__, error)
"""


@pytest.fixture(scope="module")
def hostile(model, photographs, tmp_path_factory):
    """A net's folder and a model folder, each with the layer; and the file that it names."""
    folder = tmp_path_factory.mktemp("hostile")
    victim = folder / "evaluate.py"
    victim.write_text(MINE)
    layer = LAYER.format(json.dumps(str(victim)))
    shutil.copytree(str(model.path), str(folder / "model"))
    net = folder / "net"
    net.mkdir()
    for name in ("deploy", "train", "test"):
        (net / f"{name}.prototxt").write_text(model.deploy.read_text() + layer)
    deploy, record = folder / "model" / "deploy.prototxt", folder / "model" / "model.json"
    deploy.write_text(deploy.read_text() + layer)
    said = json.loads(record.read_text())
    said["sha256"]["deploy.prototxt"] = sha256(deploy)
    record.write_text(json.dumps(said))
    (folder / "solver.prototxt").write_text("base_lr: 0.1 max_iter: 1")
    data = ["--manifest", str(photographs.manifest), "--images", str(photographs.images)]
    snapshot = ["--deploy", str(net / "deploy.prototxt"), "--weights", str(model.weights), "--mean", "1", "2", "3"]
    out, file = ["--out", str(folder / "out")], ["--out", str(folder / "out.npz")]
    image = str(photographs.images / photographs.names[0])
    tools = {
        "predict": ["--model-folder", str(folder / "model"), image],
        "score": [*snapshot, *data, *file],
        "extract_features": [*snapshot, *data, *file],
        "attend": [*snapshot, "--query", image, *out],
        "export": [*snapshot, *out],
        "check_weights": ["--net", str(net), "--weights", str(model.weights)],
        "train": ["--net", str(net), "--solver", str(folder / "solver.prototxt"), *out],
    }
    return folder, victim, {name: [*words, "--engine", ENGINE.name] for name, words in tools.items()}


@pytest.mark.skipif(
    not any(map(importlib.util.find_spec, ("caffe", "torch"))), reason="needs an engine: Caffe or PyTorch"
)
def test_every_tool_that_builds_a_net_refuses_it(hostile):
    folder, victim, tools = hostile
    environment = dict(os.environ, PYTHONPATH=str(ROOT / "tools"))
    command = [sys.executable, "-c", PROGRAM, json.dumps(tools)]
    done = subprocess.run(command, cwd=str(folder), env=environment, capture_output=True, text=True)
    said = done.stdout.splitlines()
    assert [line.split()[0] for line in said] == list(tools), done.stderr
    for line in said:
        assert re.search(
            r"InputError .*\.prototxt: layer 'keep' is of type HDF5Output, .*--allow-layer HDF5Output", line
        )
    assert victim.read_text() == MINE
    assert not list(folder.glob("out*"))


@pytest.mark.caffe
def test_who_knows_the_net_can_allow_the_layer(hostile, tmp_path):
    """And what it does then shows why it is not built otherwise."""
    folder, victim, tools = hostile
    net = tmp_path / "deploy.prototxt"
    net.write_text((folder / "net" / "deploy.prototxt").read_text().replace(str(victim), str(tmp_path / "file.h5")))
    command = [
        sys.executable,
        str(ROOT / "tools" / "check_weights.py"),
        "--net",
        str(net),
        "--weights",
        str(tools["score"][3]),
    ]
    done = subprocess.run([*command, "--allow-layer", "HDF5Output"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "file.h5").exists()
