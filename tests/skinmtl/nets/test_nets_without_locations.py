"""A data set without locations: a net for lesions is made and scored, what needs locations says so in one line."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def stored(tool, small_set, tmp_path):
    """The small set without its column of locations, as LMDBs."""
    lines = [line.rpartition(",")[0] for line in small_set.manifest.read_text().splitlines()]
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    done = tool(
        *("make_lmdb.py", "--manifest", tmp_path / "manifest.csv", "--images", small_set.images),
        *("--short-side", 72, "--workers", 1, "--out", tmp_path / "data"),
    )
    assert done.returncode == 0, done.stderr
    assert "3 lesions, 0 locations" in done.stdout
    return tmp_path


def make_net(tool, stored, model):
    data = stored / "data"
    flags = ("--trunk", "tiny", "--crop", 64, "--train-data", data, "--test-data", data, "--out", stored / "net")
    return tool("make_prototxt.py", "--model", model, *flags)


def test_a_net_for_lesions(tool, stored):
    done = make_net(tool, stored, "resnet50_lesion")
    assert done.returncode == 0, done.stderr
    assert json.loads((stored / "net" / "net.json").read_text())["outputs"] == {"lesion": 3}


@pytest.mark.parametrize("model", ["resnet50_mtl", "resnet50_location"])
def test_a_net_for_locations_is_refused(tool, stored, refused, model):
    refused(make_net(tool, stored, model), stored / "data", "has no locations, which", "make the model for lesions")


def test_the_check_passes(tool, stored):
    done = tool("check_lmdb.py", stored / "data", "--crop", 64)
    assert done.returncode == 0, done.stderr


NEED = {
    "correlate.py": ["--out"],
    "run.py": ["--images", "images", "--preset", "tiny", "--out"],
}


@pytest.mark.parametrize("name", NEED)
def test_a_tool_that_needs_locations_says_so(tool, stored, small_set, refused, name):
    if name == "run.py":
        pytest.importorskip("snakemake", reason="run.py runs on a Python with Snakemake: make setup")
    flags = [small_set.images if flag == "images" else flag for flag in NEED[name]]
    done = tool(name, "--manifest", stored / "manifest.csv", *flags, stored / "out")
    refused(done, f"{stored / 'manifest.csv'}: no column 'location', which", "add it")
    assert not (stored / "out").exists()


@pytest.mark.parametrize("command", [["make_folds.py", "--n-folds", 3], ["refine_labels.py", "--min-images", 1]])
def test_a_tool_that_needs_lesions_alone_works(tool, stored, command):
    done = tool(*command, "--manifest", stored / "manifest.csv", "--out", stored / "out")
    assert done.returncode == 0, done.stderr
