"""score.py on a mask net whose proposals are dead: the figures are there, with a warning."""

from __future__ import annotations

import pytest
from dead_weights import kill_proposals
from made_model import ENGINE

from skinmtl.nets.dead_proposals import warning
from skinmtl.scores.scores_file import read_scores

pytest_plugins = ["made_masks_fixtures", "made_model_fixtures"]


@pytest.mark.parametrize("dead", [0, 6])
def test_it_is_told_in_one_line_and_kept_in_the_protocol(mask_model, moles, tool, tmp_path, dead):
    weights = kill_proposals(mask_model.weights, tmp_path / "dead.caffemodel") if dead else mask_model.weights
    net = ("--deploy", mask_model.deploy, "--weights", weights, "--engine", ENGINE.name)
    data = ("--manifest", moles.manifest, "--images", moles.folder, "--workers", 1)
    done = tool("score.py", *net, *data, "--batch-size", 4, "--out", tmp_path / "s.npz")
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if "proposals" in line]
    assert told == ([f"score.py: {weights}: {warning(6, 6)}"] if dead else [])
    assert read_scores(tmp_path / "s.npz").protocol["dead_proposals"] == dead
