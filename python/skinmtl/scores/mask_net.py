"""What a deploy net that draws lesions has, read from the net itself: classes, heads, side, and how to run it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Sequence

import numpy as np

from caffe_files.errors import InputError
from caffe_files.prototxt import read_net
from skinmtl.engines.open_net import OpenNet
from skinmtl.engines.snapshot import MAKE_ANOTHER, OUTPUTS, Snapshot
from skinmtl.layers.param_str import read_param_str
from skinmtl.layers.region_settings import DetectionOutputSettings
from skinmtl.nets.dead_proposals import ProposalScores, are_dead, proposal_scores
from skinmtl.nets.net_record import read_net_record
from skinmtl.regions.detections import FIXED
from skinmtl.scores.pasting import pasted
from skinmtl.scores.square import LONG_SIDE, Square

DETECTIONS, MASKS, WINDOW = "detections", "detection_masks", "window"
LAYER = "DetectionOutput"


@dataclass(frozen=True)
class MaskNet:
    """classes  K, without the background; 1 without a class head
    heads    of "class", "box", "mask": those that it has
    long_side   at most, of the images that it was trained on, as they were stored; 0 where nothing says it
    proposals   where its proposals' scores are; None where it has none
    """

    classes: int
    heads: tuple[str, ...]
    long_side: int = 0
    proposals: ProposalScores | None = None

    @property
    def has_class(self) -> bool:
        return "class" in self.heads

    def longest(self, side: int) -> int:
        """What an image's longer side is made first, at most: what it was in training, so that the net sees the same;
        where that is not known, what make_lmdb.py stores, and no less than the net's square of `side`."""
        return self.long_side or max(LONG_SIDE, side)

    @property
    def has_mask(self) -> bool:
        return "mask" in self.heads


class Answer(NamedTuple):
    """What the net says of an image, in pixels of the original one.

    detected  whether a box came through as a lesion; if not, the likeliest place answers
    score     how sure it is of the box
    label     index of the likeliest class, from 0
    shares    (K,) float32, of the classes; they add up to 1
    box       (4,) float32 x1, y1, x2, y2
    mask      (H, W) bool; None without a mask head
    dead      whether the net's proposals are dead in this image: then the box is a place like any other
    """

    detected: bool
    score: float
    label: int
    shares: np.ndarray
    box: np.ndarray
    mask: np.ndarray | None
    dead: bool = False


def mask_net_of(deploy: Path) -> MaskNet | None:
    """What a deploy.prototxt says; None where the net draws no lesions."""
    net = read_net(deploy)
    for layer in net.layer:
        if layer.type == "Python" and layer.python_param.layer == LAYER and DETECTIONS in layer.top:
            where = f"{deploy}: layer {layer.name!r}"
            settings = read_param_str(DetectionOutputSettings, layer.python_param.param_str, where)
            record = read_net_record(deploy.parent)
            long_side = (record and record.long_side) or 0
            return MaskNet(settings.classes, settings.heads, long_side, proposal_scores(net, deploy))
    return None


def check_shapes(net: MaskNet, snapshot: Snapshot) -> None:
    """InputError unless inputs and outputs are those of a mask net of one image."""
    tops = snapshot.shapes.tops
    wanted = {WINDOW: [1, 4], DETECTIONS: [1, tops.get(DETECTIONS, [0, 0])[1], FIXED + net.classes]}
    if net.has_mask:
        side = tops.get(MASKS, [0])[-1]
        wanted[MASKS] = [wanted[DETECTIONS][1], net.classes + 1, side, side]
    for name, shape in wanted.items():
        if tops.get(name) != shape:
            raise InputError(f"{snapshot.deploy}: {name} is {tops.get(name)}, where {shape} is wanted; {MAKE_ANOTHER}")


def answers(
    opened: OpenNet, net: MaskNet, squares: Sequence[Square], mean: np.ndarray, heads: Sequence[str]
) -> list[tuple[Answer, np.ndarray]]:
    """One forward pass over some images: of each the answer, and the outputs of `heads` one after the other.

    `heads` are of OUTPUTS, those that the net has beside its regions. The first row of an image's detections is its
    answer: see regions.detections. InputError where outputs are not finite.
    """
    inputs = {
        "data": [each.pixels.transpose(2, 0, 1) - mean.astype(np.float32).reshape(3, 1, 1) for each in squares],
        WINDOW: np.array([each.place.window for each in squares], np.float32),
    }
    of_proposals = [net.proposals.blob] if net.proposals else []
    blobs = [DETECTIONS, *([MASKS] if net.has_mask else []), *of_proposals, *heads]
    found = dict(zip(blobs, (np.array(blob, np.float32) for blob in opened.forward(inputs, blobs))))
    detections = found[DETECTIONS]
    dead = are_dead(found[net.proposals.blob], net.proposals.anchors) if net.proposals else np.zeros(len(squares), bool)
    result = []
    for n, square in enumerate(squares):
        mask = found[MASKS][n * detections.shape[1]] if net.has_mask else None
        others = np.concatenate([found[head][n].reshape(-1) for head in heads] or [np.zeros(0, np.float32)])
        result.append((_answer(detections[n, 0], mask, square, bool(dead[n])), others))
    return result


def heads_beside(snapshot: Snapshot) -> list[str]:
    """Of the heads of Liao and Luo, those that the net has too."""
    return [name for name in OUTPUTS if name in snapshot.shapes.tops]


def _answer(row: np.ndarray, mask: np.ndarray | None, square: Square, dead: bool) -> Answer:
    box, label = square.box_back(row[:4]), int(row[4])
    drawn = None if mask is None else pasted(mask[label], box, square.height, square.width)
    return Answer(bool(row[6]), float(row[5]), label - 1, row[FIXED:], box, drawn, dead)
