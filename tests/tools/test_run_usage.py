"""What tools/run.py refuses before it does anything."""

from __future__ import annotations

import importlib.util

import pytest

snakemake = importlib.util.find_spec("snakemake")


@pytest.fixture
def given(make_dataset, tmp_path):
    data = make_dataset(6)
    return [data.manifest, "--images", data.images, "--out", tmp_path / "out"]


@pytest.mark.parametrize(
    "more, words",
    [
        (["--folds", 1], "one fold leaves nothing to train on"),
        (["--manifest", "m.csv"], "give MANIFEST once"),
        (["--gpu", -1], "--gpu"),
        (["--precision", "bf16"], "--precision"),
        (["--engine", "pytorch"], "pytorch"),
        (["--only-fold", "x"], "--only-fold"),
    ],
)
def test_wrong_usage_is_status_2(tool, given, tmp_path, more, words):
    done = tool("run.py", *given, *more)
    assert done.returncode == 2
    assert words in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(snakemake is not None, reason="this Python has Snakemake")
def test_a_python_without_snakemake_is_told_how_to_get_it(tool, refused, given, tmp_path):
    refused(tool("run.py", *given), "has no Snakemake", ".venv")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(snakemake is None, reason="no Snakemake")
def test_a_bad_manifest_is_told_as_the_manifests_reader_does_and_nothing_is_written(tool, refused, given, tmp_path):
    given[0].write_text("image,lesions,location\na.jpg,,arm\n")
    refused(tool("run.py", *given, "--engine", "caffe"), f"{given[0]}:2: an empty lesion label")
    assert not (tmp_path / "out").exists()
