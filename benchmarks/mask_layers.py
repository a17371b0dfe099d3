#!/usr/bin/env python3
"""What our layers of type Python take of a training step of the mask net in BVLC Caffe, and the memory of a step.

The ResNet-50 net of Song et al. at 512 pixels and batch 2, with drawn weights, on one batch that lies ready, so that no
reading of data counts. Caffe goes forward and backward layer by layer, and each layer's time is taken; the losses must
be those of a step of Caffe's solver, which follows, for the peak of this process's memory. Nothing has been learned,
which is the most work for the suppression of proposals (up to 2000 are left); all rows of regions are in use.

The claim: our layers take at most 20 % of a step at 512. Exits 1 where losses differ or the claim does not hold.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from cli import new_parser, positive, run, seed  # first: it finds the library

# isort: split
import numpy as np
from drawn_regions import drawn_batch, net_on_inputs, options_of
from in_caffe import clocks
from machine import described
from neighbours import memory

from caffe_files.prototxt import message_text
from skinmtl.engines.caffe_engine import pycaffe

MOST = 0.2
SMALL = 128  # side at which BatchNorm's statistics are taken


def parse_args() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--side", type=positive, default=512, help="of the input (default %(default)s)")
    parser.add_argument("--batch-size", type=positive, default=2, help="default %(default)s")
    parser.add_argument("--repeats", type=positive, default=3, help="counted passes (default %(default)s)")
    parser.add_argument("--seed", type=seed, default=1, help="of weights and batch (default %(default)s)")
    return parser.parse_args()


def fill(net: Any, batch: Dict[str, np.ndarray]) -> None:
    for name, values in batch.items():
        net.blobs[name].data[...] = values


def write_weights(options: Any, folder: Path, seed: int) -> Path:
    """A caffemodel whose BatchNorm has the statistics of its input, of smaller images."""
    batch = drawn_batch(SMALL, options.batch_size, seed)
    small = net_on_inputs(replace(options, side=SMALL, frozen_batch_norm=False), batch)
    (folder / "small.prototxt").write_text(message_text(small))
    pycaffe().set_random_seed(seed)
    net = pycaffe().Net(str(folder / "small.prototxt"), pycaffe().TRAIN)
    fill(net, batch)
    net.forward()
    net.save(str(folder / "drawn.caffemodel"))
    return folder / "drawn.caffemodel"


def solver_of(options: Any, batch: Dict[str, np.ndarray], folder: Path, seed: int) -> Any:
    weights = write_weights(options, folder, seed)
    (folder / "train.prototxt").write_text(message_text(net_on_inputs(options, batch)))
    (folder / "solver.prototxt").write_text(
        f'train_net: "{folder}/train.prototxt" base_lr: 1e-5 lr_policy: "fixed" momentum: 0.9 weight_decay: 1e-4 '
        f'clip_gradients: 5 random_seed: {seed} solver_mode: CPU snapshot_prefix: "{folder}/none"'
    )
    solver = pycaffe().SGDSolver(str(folder / "solver.prototxt"))
    solver.net.copy_from(str(weights))
    fill(solver.net, batch)
    return solver


def timed_pass(net: Any) -> Dict[str, np.ndarray]:
    """Seconds of each layer by its name: forward and backward, each by the clock and of cores."""
    names = list(net._layer_names)
    seconds = {name: np.zeros((2, 2)) for name in names}
    for way, step, numbers in ((0, net._forward, range(len(names))), (1, net._backward, reversed(range(len(names))))):
        for number in numbers:
            started = clocks()
            step(number, number)
            seconds[names[number]][way] = clocks() - started
    return seconds


def losses(net: Any) -> Dict[str, float]:
    return {name: float(net.blobs[name].data) for name in net.outputs}


def report(passes: List[Dict[str, np.ndarray]], net: Any) -> np.ndarray:
    """Prints the medians of our layers, and of what takes most beside them; returns our share by the clock and of
    cores."""
    kinds = dict(zip(net._layer_names, (layer.type for layer in net.layers)))
    medians = {name: np.median([each[name] for each in passes], axis=0) for name in kinds}
    whole = sum(medians.values()).sum(axis=0)
    print(f"forward and backward: {whole[0]:.2f} s, of cores {whole[1]:.2f} s; our layers, forward and backward:")
    for name, values in medians.items():
        if kinds[name] == "Python":
            print(
                f"  {name:16} {values[0, 0]:7.3f} {values[1, 0]:7.3f}; of cores {values[0, 1]:7.3f} {values[1, 1]:7.3f}"
            )
    shares = {kind: sum(medians[name].sum(axis=0) for name in kinds if kinds[name] == kind) for kind in kinds.values()}
    most = sorted(shares.items(), key=lambda each: -each[1][0])[:6]
    print("shares by type: " + ", ".join(f"{kind} {seconds[0] / whole[0]:.1%}" for kind, seconds in most))
    return shares["Python"] / whole


def main() -> int:
    args = parse_args()
    pycaffe().set_mode_cpu()
    options = options_of(args.side, args.batch_size)
    batch = drawn_batch(args.side, args.batch_size, args.seed)
    print(f"{described()}, Caffe {pycaffe().__version__}")
    with tempfile.TemporaryDirectory() as name:
        solver = solver_of(options, batch, Path(name), args.seed)
        net = solver.net
        timed_pass(net)
        passes = [timed_pass(net) for _ in range(args.repeats)]
        found = losses(net)
        share, of_cores = report(passes, net)
        started = clocks()
        solver.step(1)
        step = clocks() - started
        same = losses(net) == found  # of before the update
        print("losses: " + ", ".join(f"{name} {value:.4g}" for name, value in found.items()))
        print(f"the same layer by layer and in the solver's step: {'yes' if same else 'NO'}")
    print(
        f"at {args.side}, batch {args.batch_size}: our layers take {share:.1%} of forward and backward, of cores "
        f"{of_cores:.1%}; a step of the solver {step[0]:.1f} s, of cores {step[1]:.1f} s; "
        f"peak {memory('VmHWM') / 1e9:.2f} GB"
    )
    return 0 if same and (share <= MOST or args.side != 512) else 1


if __name__ == "__main__":
    run(main)
