"""Whether the proposals of a net are dead: then it looks nowhere, and only training anew helps.

All levels of the pyramid share one convolution before the proposals' scores, and one ReLU after it. At too high a
learning rate its inputs can become negative everywhere; then it gives zeros, no gradient passes, and every place of an
image has the same score.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from google.protobuf.message import Message

from skinmtl.common.counting import counted
from skinmtl.layers.param_str import read_param_str
from skinmtl.layers.region_settings import ProposalsSettings

LAYER = "Proposals"
DEAD_PROPOSALS = "dead_proposals"  # by this name a training's log and the scores' protocol say it
ALIKE = 1e-6  # of a probability: far above what rounding makes of equal numbers, far below what a living net tells


class ProposalScores(NamedTuple):
    """blob     of the shares (N, 2, M) of background and foreground
    anchors  at one place of a level; each has a bias, and so a score, of its own also where the ReLU is dead
    """

    blob: str
    anchors: int


def proposal_scores(net: Message, path: Path) -> ProposalScores | None:
    """Where the net of the file `path` has its proposals' scores; None where it proposes no regions."""
    for layer in net.layer:
        if layer.type == "Python" and layer.python_param.layer == LAYER:
            settings = read_param_str(ProposalsSettings, layer.python_param.param_str, f"{path}: layer {layer.name!r}")
            return ProposalScores(layer.bottom[0], len(settings.ratios))
    return None


def are_dead(shares: np.ndarray, anchors: int) -> np.ndarray:
    """(N,) bool: in which images the foreground's shares, (N, 2, M), have no more values than a place has anchors."""
    ordered = np.sort(shares[:, 1].astype(np.float32), axis=1)
    return (np.diff(ordered, axis=1) > ALIKE).sum(axis=1) < anchors


def warning(dead: int, images: int) -> str:
    """A line of what that means, and what to do."""
    return (
        f"the proposals are dead in {dead} of {counted(images, 'image')}: all places there have the same score, since "
        "the ReLU that they share gives nothing but zeros; boxes and masks found there mean nothing, and more "
        "iterations do not help: train anew with a lower learning rate"
    )
