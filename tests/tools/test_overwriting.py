"""One rule for what is written over: no output that exists unless --overwrite says so, and never an input."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

pytestmark = pytest.mark.once

PROGRAM = """
import argparse, importlib, json, sys
sys.path[:0] = sys.argv[1:]
from commands import COMMANDS, parser_of
found = {}
for command in COMMANDS:
    parsers = {command: parser_of(command)}
    for action in parsers[command]._actions:
        if isinstance(action, argparse._SubParsersAction):
            parsers = {f"{command} {name}": each for name, each in action.choices.items()}
    for name, parser in parsers.items():
        known = {output.dest for output in parser.outputs}
        flags = parser._option_string_actions
        found[name] = [
            [flag for flag, action in flags.items() if action.dest not in known], sorted(known), "--overwrite" in flags
        ]
print(json.dumps(found))
"""
WRITTEN = {"--out", "--json", "--json-lines", "--csv", "--make-example", "--merge-near-duplicates"}
# what has a rule of its own: a run goes on in its folder; a net's and a downloaded file lie beside others of the user's
OWN_RULE = {"run": False, "train": False, "fetch-weights": False, "make-prototxt": True}


@pytest.fixture(scope="module")
def parsers():
    command = [sys.executable, "-c", PROGRAM, str(ROOT / "tools"), str(ROOT / "python")]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_every_output_of_every_tool_is_under_the_rule(parsers):
    outside = {name: WRITTEN & set(flags) for name, (flags, _, _) in parsers.items() if WRITTEN & set(flags)}
    assert outside == {name: {"--out"} for name in OWN_RULE}


def test_whatever_writes_has_overwrite(parsers):
    for name, (_, outputs, has_it) in parsers.items():
        assert has_it == OWN_RULE.get(name, bool(outputs)), name


@pytest.fixture
def data(make_dataset, tool):
    data = make_dataset(6)
    data.folds = data.folder / "folds.csv"
    assert tool("make_folds.py", "--manifest", data.manifest, "--n-folds", 3, "--out", data.folds).returncode == 0
    return data


def test_a_file_is_kept_unless_overwrite_is_said(data, tool, refused):
    before = data.folds.read_text()
    command = ["make_folds.py", "--manifest", data.manifest, "--n-folds", 2, "--out", data.folds]
    refused(tool(*command), data.folds, "exists already; say --overwrite to replace it, or name another file")
    assert data.folds.read_text() == before
    assert tool(*command, "--overwrite").returncode == 0
    assert data.folds.read_text() != before


def test_what_is_written_beside_an_output_counts_too(data, tool, refused):
    data.folds.unlink()
    command = ["make_folds.py", "--manifest", data.manifest, "--n-folds", 2, "--out", data.folds]
    refused(tool(*command), data.folds.with_suffix(".json"), "exists already")
    assert not data.folds.exists()


def test_a_folder_is_replaced_only_where_a_tool_has_made_it(data, tool, refused):
    command = ["correlate.py", "--manifest", data.manifest, "--overwrite", "--out"]
    out = data.folder / "correlation"
    for _ in range(2):
        assert tool(*command, out).returncode == 0
    (out / "notes.txt").write_text("mine")
    refused(tool(*command, out), "has 'notes.txt', which was not made with it")
    before = sorted(os.listdir(str(data.images)))  # noqa: PTH208
    refused(tool(*command, data.images), data.images, "replaces only what a tool has made")
    assert sorted(os.listdir(str(data.images))) == before  # noqa: PTH208


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("make_folds.py", ["--out", "manifest.csv"], "manifest.csv: is an input of this command"),
        ("make_folds.py", ["--out", "./x/../manifest.csv"], "manifest.csv: is an input of this command"),
        ("make_folds.py", ["--out", "other_name.csv"], "other_name.csv: is an input of this command"),
        ("leakage.py", ["--folds", "folds.csv", "--json", "folds.csv"], "folds.csv: is an input of this command"),
    ],
)
def test_an_input_is_never_overwritten(data, tool, name, arguments, words):
    before = data.manifest.read_bytes()
    if not (data.folder / "other_name.csv").exists():
        os.link(str(data.manifest), str(data.folder / "other_name.csv"))
    done = tool(name, "--manifest", "manifest.csv", *arguments, "--overwrite", cwd=data.folder)
    assert done.returncode == 2
    assert words in done.stderr.splitlines()[-1]
    assert data.manifest.read_bytes() == before


def test_a_folder_with_an_input_in_it_is_never_overwritten(tool, tmp_path):
    photos = tmp_path / "photos"
    assert tool("make_demo_data.py", "--count", 4, "--workers", 1, "--out", photos).returncode == 0
    command = ["correlate.py", "--manifest", photos / "manifest.csv", "--overwrite", "--out", photos]
    done = tool(*command)
    assert done.returncode == 2
    assert f"{photos}: has {photos / 'manifest.csv'} in it, an input of this command" in done.stderr
    assert (photos / "manifest.csv").exists() and (photos / "images").exists()


def test_a_net_that_may_have_been_trained_is_kept(data, tool, refused):
    net = data.folder / "net"
    command = ["make_prototxt.py", "--trunk", "tiny", "--lesions", 2, "--locations", 2, "--test-batch-size", 2]
    command += ["--train-data", "no", "--test-data", "no", "--out", net]
    assert tool(*command, "--model", "resnet50_mtl").returncode == 0
    (net / "tiny_mtl_iter_20.caffemodel").write_text("weights")
    before = {path.name: path.read_bytes() for path in net.iterdir()}
    refused(tool(*command, "--model", "resnet50_lesion"), net, "exists already; say --overwrite")
    assert {path.name: path.read_bytes() for path in net.iterdir()} == before
    assert tool(*command, "--model", "resnet50_lesion", "--overwrite").returncode == 0
    after = {path.name: path.read_bytes() for path in net.iterdir()}
    assert set(after) == set(before) and after["deploy.prototxt"] != before["deploy.prototxt"]
    assert "--overwrite" not in after["deploy.prototxt"].decode()
