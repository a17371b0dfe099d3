"""The same on --engine torch: the weights load, what is frozen stays, and Caffe gives its scores for the snapshot."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed here: make torch")
from caffe_reference import PYTHON
from conftest import ROOT
from given_chain import run_chain

from caffe_files.blobs import blob_values
from caffe_files.prototxt import read_caffemodel
from skinmtl.scores.scores_file import read_scores

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(not PYTHON.exists(), reason="BVLC Caffe is not here: make caffe"),
]


def test_from_the_two_files_to_scores_that_are_caffes(tool, small_set, tmp_path):
    chain = run_chain(tool, small_set, tmp_path, "torch", whole=False)
    before, after = (
        {layer.name: [blob_values(blob) for blob in layer.blobs] for layer in read_caffemodel(path).layer}
        for path in (chain.weights, chain.run / "final.caffemodel")
    )
    first = next(name for name, blobs in before.items() if blobs)
    assert all(np.array_equal(old, new) for old, new in zip(before[first], after[first]))
    assert any(
        not np.array_equal(old, new) for name in before if name in after for old, new in zip(before[name], after[name])
    )
    assert json.loads((chain.run / "args.json").read_text())["weights"][0]["licence"] == "CC BY 4.0"
    flags = ["--run", chain.run, "--manifest", small_set.manifest, "--images", small_set.images, "--short-side", 72]
    flags += [
        "--folds",
        small_set.folds,
        "--fold",
        0,
        "--subset",
        "test",
        "--workers",
        1,
        "--out",
        tmp_path / "caffe.npz",
    ]
    subprocess.run([str(PYTHON), str(ROOT / "tools/score.py"), *map(str, flags)], check=True, capture_output=True)
    ours, caffes = read_scores(tmp_path / "scores.npz"), read_scores(tmp_path / "caffe.npz")
    assert np.allclose(ours.lesion_scores, caffes.lesion_scores, atol=1e-5)
    assert np.allclose(ours.location_scores, caffes.location_scores, atol=1e-5)
