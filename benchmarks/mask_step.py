#!/usr/bin/env python3
"""A training step of the mask net of Song et al. on a CPU: caffe_torch against torchvision's maskrcnn_resnet50_fpn.

The ResNet-50 net at 512 pixels and batch 2, on one batch that lies ready, against torchvision's own classes with the
same sizes and counts: BatchNorm frozen, FPN of 256 channels with a fifth level, three anchors a cell, at most 2000
proposals, 256 anchors and 200 regions an image, of which 66 positive, 1024 and 1024 fully connected, four convolutions
for masks of 28 x 28. Ours has torchvision's places of the strides, and its 256 channels of the proposals' convolution,
for this; it has two losses more, and learns the factors of BatchNorm, which there are fixed. A region counts as
positive from an IoU of 0.05 in both: else, before anything is learned, there are hardly any, of which torchvision would
compute masks for those alone, where a net of Caffe has rows for all 66.

Both have the same drawn weights: what trunk and pyramid give, the proposals' head and the heads, each of the same
input, is compared first. Then they take two steps each, in turn, of which the second counts; torchvision both as it is
and in channels_last, as our nets are. The claim: at least 0.9 of the faster one's speed. Exits 1 where numbers differ
by more than 1e-3 of the largest, or where the claim does not hold. Run it with .venv/bin/python.
"""

import argparse
import resource
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Callable, Dict, List

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from cli import new_parser, positive, run, seed, usable_cores  # first: it finds the library

# isort: split
import numpy as np
import torch
from drawn_regions import CLASSES, drawn_batch, net_on_inputs, options_of, write_weights
from engine_training import by_clock, has_bf16, show, timed
from google.protobuf.message import Message
from machine import described
from plain_mask_rcnn import plain_mask_rcnn, plain_step, same_weights

from caffe_files.prototxt import message_text
from caffe_files.schema import caffe_messages
from caffe_torch.net import Net
from caffe_torch.solver import Solver
from skinmtl.nets.mask_options import MaskNetOptions

CLAIM = 0.9
DIFFERENCE = 1e-3  # of the largest number of a blob: what the order of adding leaves
RATE, CLIP = 1e-5, 5.0


def parse_args() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--side", type=positive, default=512, help="of the input (default %(default)s)")
    parser.add_argument("--batch-size", type=positive, default=2, help="default %(default)s")
    parser.add_argument("--repeats", type=positive, default=5, help="counted steps of each (default %(default)s)")
    parser.add_argument("--threads", type=positive, default=usable_cores(), help="of each (default: one a core)")
    parser.add_argument("--seed", type=seed, default=1, help="of weights and batch (default %(default)s)")
    parser.add_argument("--alone", action="store_true", help="two steps of caffe_torch, for the memory that it takes")
    parser.add_argument("--bf16", action="store_true", help="both in bfloat16")
    return parser.parse_args()


def likened(args: argparse.Namespace) -> MaskNetOptions:
    """The net with torchvision's sizes."""
    return options_of(args.side, args.batch_size, rpn_channels=256, stride_on="3x3", pool1="padded")


def solver_settings(folder: Path) -> Message:
    return caffe_messages().SolverParameter(
        train_net=str(folder / "train.prototxt"),
        base_lr=RATE,
        lr_policy="fixed",
        momentum=0.9,
        weight_decay=1e-4,
        clip_gradients=CLIP,
        random_seed=1,
        snapshot_after_train=False,
    )


def opened(net: Message, batch: Dict[str, np.ndarray], folder: Path, precision: str) -> Solver:
    made = Net(net, "TRAIN")
    for name, values in batch.items():
        made.layer(name).values = [torch.from_numpy(values)]
    solver = Solver(solver_settings(folder), made, "cpu", precision)
    solver.copy_from(folder / "drawn.caffemodel")
    return solver


@torch.no_grad()
def compare(solver: Solver, plain: torch.nn.Module, batch: Dict[str, np.ndarray]) -> bool:
    """Prints how far each part of the two is from the other, given the same; whether one is too far."""
    blobs = solver.net()
    features = plain.backbone(torch.from_numpy(batch["data"]))
    pairs = {f"P{level}": (blobs[f"P{level}"], values) for level, values in zip(range(2, 7), features.values())}
    deltas = plain.rpn.head([blobs[f"P{level}"] for level in range(2, 7)])[1]
    order = [values.unflatten(1, (3, 4)).transpose(1, 2).flatten(2) for values in deltas]
    pairs["rpn_deltas"] = (blobs["rpn_deltas"].reshape(len(order[0]), 4, -1), torch.cat(order, 2))
    pairs["roi_class"], pairs["roi_box"] = zip(
        (blobs["roi_class"], blobs["roi_box"]),
        plain.roi_heads.box_predictor(plain.roi_heads.box_head(blobs["roi_pool"])),
    )
    of_masks = plain.roi_heads.mask_predictor(plain.roi_heads.mask_head(blobs["mask_pool"]))
    pairs["mask_score"] = (blobs["mask_score"], of_masks)
    apart = {name: float((one - other).abs().max() / other.abs().max()) for name, (one, other) in pairs.items()}
    print("difference by the largest number: " + ", ".join(f"{name} {each:.1e}" for name, each in apart.items()))
    positives = int((blobs["roi_labels"] > 0).sum())
    print(f"positive regions of ours: {positives} of {len(blobs['mask_rois'])} rows")
    return not all(each <= DIFFERENCE for each in apart.values())


def main() -> int:
    args = parse_args()
    torch.set_num_threads(args.threads)
    precision = "bf16" if args.bf16 else "fp32"
    if args.bf16 and not has_bf16():
        print("this CPU has no instructions for bfloat16: it is emulated")
    print(f"{described()}, PyTorch {torch.__version__}; {args.threads} threads each, {precision}")
    batch = drawn_batch(args.side, args.batch_size, args.seed)
    net = net_on_inputs(likened(args), batch)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "train.prototxt").write_text(message_text(net))
        write_weights(likened(args), folder / "drawn.caffemodel", args.seed)
        solver = opened(net, batch, folder, precision)
        if args.alone:
            return alone(solver, args)
        plain = plain_mask_rcnn(args.side, CLASSES)
        same_weights(plain, solver.net)
        wrong = compare(solver, plain, batch)
        steps: Dict[str, Callable[[], object]] = {"caffe_torch": solver.step}
        for layout in ("torchvision", "torchvision, channels_last"):
            plain = plain_mask_rcnn(args.side, CLASSES)
            same_weights(plain, solver.net)
            steps[layout] = plain_step(plain, batch, RATE, CLIP, precision, layout != "torchvision")
        seconds = timed({name: partial(by_clock, step) for name, step in steps.items()}, args.repeats)
    return 1 if report(seconds, args) or wrong else 0


def alone(solver: Solver, args: argparse.Namespace) -> int:
    """Prints the time of a step, and the memory of this process."""
    solver.step()
    clock, cores = by_clock(solver.step)
    print(
        f"training step at {args.side}, batch {args.batch_size}: {clock:.1f} s, of cores {cores:.1f} s; peak {peak()}"
    )
    return 0


def peak() -> str:
    """The most memory that this process has had."""
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB"


def report(seconds: Dict[str, np.ndarray], args: argparse.Namespace) -> bool:
    """Prints times and the ratio; whether the claim does not hold."""
    medians = show(seconds, "a step")
    ours = medians.pop("caffe_torch")
    faster = min(medians.values())
    said: List[str] = [f"{theirs / ours:.2f} of {name}" for name, theirs in medians.items()]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"training step at {args.side}, batch {args.batch_size}: caffe_torch has {', '.join(said)}; peak {peak:.1f} GB"
    )
    return faster / ours < CLAIM


if __name__ == "__main__":
    run(main)
