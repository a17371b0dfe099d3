#!/usr/bin/env python3
"""Proposals with non-maximum suppression, and targets: skinmtl.regions in numpy against torchvision and a plain loop.

All in this process, in turn, on the same arrays of an input of 512 pixels. First the suppression alone, of 6000 boxes
at 0.7, best first: skinmtl.regions.nms; torchvision.ops.nms; and the loop that most Python packages have, which takes
the best box that is left and compares it with all others by numpy. Once with boxes of a net that has learned nothing,
of which most are kept, up to 2000; once with boxes about one lesion, of which few are. Then all that lies between the
net and its losses for a batch of two: anchor targets, proposals, proposal targets; by skinmtl.regions, as stock Caffe
runs it, and by the layers of caffe_torch.

What is kept must be the same box for box, and the targets to 1e-5. The claim: skinmtl.regions.nms takes at most as long
as torchvision's compiled one, and a fifth of the loop's time, where most boxes are kept. Exits 1 where numbers differ
or the claim does not hold. Run it with .venv/bin/python.
"""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Callable, Dict, List, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from cli import new_parser, positive, run, seed, usable_cores  # first: it finds the library

# isort: split
import numpy as np
import torch
import torchvision
from drawn_regions import CLASSES, drawn_batch
from engine_training import by_clock, timed
from machine import described

from caffe_files.schema import caffe_messages
from skinmtl.layers.param_str import settings_text
from skinmtl.layers.region_settings import AnchorTargetsSettings, ProposalsSettings, ProposalTargetsSettings
from skinmtl.layers.torch_checked import CheckedLayer
from skinmtl.layers.torch_regions import AnchorTargets, Proposals, ProposalTargets
from skinmtl.regions.anchor_targets import anchor_targets
from skinmtl.regions.anchors import anchors
from skinmtl.regions.boxes import decode, encode, iou
from skinmtl.regions.nms import nms
from skinmtl.regions.proposal_targets import proposal_targets
from skinmtl.regions.proposals import proposals

SIDE, BATCH = 512, 2
COUNT, KEPT, THRESHOLD = 6000, 2000, 0.7
LOOP = 5  # times as fast as the plain loop
OURS, COMPILED, PLAIN = "skinmtl.regions.nms", "torchvision.ops.nms", "plain numpy loop"


def parse_args() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--repeats", type=positive, default=9, help="of each, in turn (default %(default)s)")
    parser.add_argument("--threads", type=positive, default=usable_cores(), help="of PyTorch (default: one a core)")
    parser.add_argument("--seed", type=seed, default=1, help="of all numbers (default %(default)s)")
    return parser.parse_args()


def plain_nms(boxes: np.ndarray, threshold: float) -> np.ndarray:
    """The usual loop."""
    sizes = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left, kept = np.arange(len(boxes)), []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        sides = np.minimum(boxes[best, 2:], boxes[left, 2:]) - np.maximum(boxes[best, :2], boxes[left, :2])
        shared = np.maximum(sides, 0).prod(axis=1)
        left = left[~(shared / (sizes[best] + sizes[left] - shared) > np.float32(threshold))]
    return np.array(kept)


def drawn_boxes(learned: bool, random: np.random.RandomState) -> np.ndarray:
    """COUNT boxes, best first: anchors anywhere, a little moved; or those about one lesion."""
    made = anchors(SIDE, *settings_of(ProposalsSettings))
    if learned:
        near = iou(made, np.float32([[100, 150, 400, 380]]))[:, 0]
        best = np.argsort(-near, kind="stable")[:COUNT]
        moved = encode(np.float32([100, 150, 400, 380]), made[best], (1, 1, 1, 1))
        moved += random.normal(0, 0.05, moved.shape)
    else:
        best = random.permutation(len(made))[:COUNT]
        moved = random.normal(0, 0.1, (COUNT, 4))
    return decode(moved.astype(np.float32), made[best], (1, 1, 1, 1)).clip(0, SIDE)


def settings_of(kind: type) -> Tuple:
    """Scales, ratios and strides."""
    settings = kind(side=SIDE)
    return settings.scales, settings.ratios, settings.strides


def suppression(boxes: np.ndarray) -> Dict[str, Callable[[], np.ndarray]]:
    """Each way to what is kept, at most KEPT."""
    tensor = torch.from_numpy(boxes)
    scores = torch.arange(len(boxes), 0, -1, dtype=torch.float32)
    return {
        OURS: lambda: nms(boxes, THRESHOLD, KEPT),
        COMPILED: lambda: torchvision.ops.nms(tensor, scores, float(np.float32(THRESHOLD)))[:KEPT].numpy(),
        PLAIN: lambda: plain_nms(boxes, THRESHOLD)[:KEPT],
    }


def layer_of(kind: type, settings: object, bottoms: List[np.ndarray], tops: int) -> CheckedLayer:
    """The layer of caffe_torch."""
    param = caffe_messages().LayerParameter(name="layer", type="Python", top=list("abcdef"[:tops]))
    param.python_param.param_str = settings_text(settings)
    return kind(param, "TRAIN", [bottom.shape for bottom in bottoms])


def whole(batch: Dict[str, np.ndarray], random: np.random.RandomState) -> Dict[str, Callable[[], List[np.ndarray]]]:
    """Both ways through all three layers, to their tops."""
    count = len(anchors(SIDE, *settings_of(ProposalsSettings)))
    prob = random.uniform(0, 1, (BATCH, 2, count)).astype(np.float32)
    deltas = random.normal(0, 0.5, (BATCH, 4, count)).astype(np.float32)
    box, label, mask, draw, window = (batch[name] for name in ("box", "class_label", "mask", "draw", "window"))
    rules = (AnchorTargetsSettings(SIDE), ProposalsSettings(SIDE), ProposalTargetsSettings(CLASSES))

    def in_numpy() -> List[np.ndarray]:
        first = anchor_targets(rules[0], box, label, draw)
        made = proposals(rules[1], prob[:, 1], deltas, window)
        return [*first, made, *proposal_targets(rules[2], made, box, label, mask[:, 0], draw)]

    rows = np.zeros((BATCH, rules[1].after, 5), np.float32)
    given = ([box, label, draw], [prob, deltas, window], [rows, box, label, mask, draw])
    kinds, tops = (AnchorTargets, Proposals, ProposalTargets), (3, 1, 6)
    layers = [layer_of(*each) for each in zip(kinds, rules, given, tops)]
    tensors = [[torch.from_numpy(values) for values in each] for each in given]

    def in_torch() -> List[np.ndarray]:
        first = layers[0](*tensors[0])
        (made,) = layers[1](*tensors[1])
        return [top.numpy() for top in (*first, made, *layers[2](made, *tensors[2][1:]))]

    return {"skinmtl.regions": in_numpy, "caffe_torch's layers": in_torch}


def measured(what: str, ways: Dict[str, Callable], repeats: int) -> Dict[str, float]:
    """Prints and returns the medians in milliseconds."""
    seconds = timed({name: partial(by_clock, way) for name, way in ways.items()}, repeats)
    print(f"{what}, ms, medians of {repeats} (lowest to highest); of cores:")
    for name, values in seconds.items():
        (clock, cores), lowest, highest = 1000 * np.median(values, 0), values[:, 0].min(), values[:, 0].max()
        print(f"  {name:22} {clock:8.1f}  ({1000 * lowest:.1f} to {1000 * highest:.1f}); {cores:.1f}")
    return {name: 1000 * float(np.median(values[:, 0])) for name, values in seconds.items()}


def main() -> int:
    args = parse_args()
    torch.set_num_threads(args.threads)
    random = np.random.RandomState(args.seed)
    print(f"{described()}, PyTorch {torch.__version__}, torchvision {torchvision.__version__}")
    same, medians = True, []
    for learned in (False, True):
        ways = suppression(drawn_boxes(learned, random))
        kept = {name: way() for name, way in ways.items()}
        same &= all(np.array_equal(each, kept[OURS]) for each in kept.values())
        about = "about one lesion" if learned else "of a net that has learned nothing"
        medians.append(measured(f"{COUNT} boxes {about}, {len(kept[OURS])} kept", ways, args.repeats))
    ways = whole(drawn_batch(SIDE, BATCH, args.seed), random)
    ours, theirs = (way() for way in ways.values())
    same &= all(np.allclose(one, other, rtol=1e-5, atol=1e-5) for one, other in zip(ours, theirs))
    layers = measured(f"anchor targets, proposals, proposal targets, batch {BATCH}", ways, args.repeats)
    print(f"the same numbers: {'yes' if same else 'NO'}")
    compiled, loop = (medians[0][name] / medians[0][OURS] for name in (COMPILED, PLAIN))
    few = [medians[1][name] / medians[1][OURS] for name in (COMPILED, PLAIN)]
    print(
        f"non-maximum suppression: {compiled:.1f} times as fast as torchvision's, {loop:.1f} times as a plain loop "
        f"(about one lesion {few[0]:.1f} and {few[1]:.1f}); a batch's proposals and targets at {SIDE}: "
        f"{layers['skinmtl.regions']:.0f} ms"
    )
    return 0 if same and compiled >= 1 and loop >= LOOP else 1


if __name__ == "__main__":
    run(main)
