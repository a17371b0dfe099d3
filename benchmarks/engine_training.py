#!/usr/bin/env python3
"""A training step of the multi-task ResNet-50 on a CPU: caffe_torch against BVLC Caffe and against PyTorch by hand.

The paper's net (frozen BatchNorm, crop 224, batch 20) on one batch that lies ready, so that no reading of data counts.
The same drawn weights and the same batch go into three programs: caffe_torch's solver, in fp32 and in bf16; BVLC
Caffe's solver in pycaffe, a process of its own with as many threads; and a loop written by hand in PyTorch for this net
alone (plain_resnet.py), in fp32 and in bf16. They take two steps each, in turn, of which the second counts: a program
that has waited for the others has lost its caches. Medians are compared; before that the losses of the first step are.

The claim: at least 1.7 times as fast as BVLC Caffe in fp32, 3.3 times in bf16, and 0.95 of the loop written by hand in
the same precision. bf16 is left out on a CPU that has no instructions for it. Exits 1 where the losses differ by more
than 1e-4 in fp32 or 5e-2 in bf16, or where the claim does not hold. Run it with .venv/bin/python.
"""

import argparse
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
from drawn_nets import drawn_batch, net_on_inputs, options_of, write_weights
from google.protobuf.message import Message
from in_caffe import CaffeProcess, clocks
from machine import described
from plain_resnet import BLOCKS, PlainResNet, plain_step

from caffe_files.prototxt import message_text, read_net
from caffe_files.schema import caffe_messages
from caffe_torch.layers.convolution import Convolution
from caffe_torch.model_files import copy_weights
from caffe_torch.net import Net
from caffe_torch.solver import Solver

FASTER = {"fp32": 1.7, "bf16": 3.3}  # times Caffe
BY_HAND = 0.95
CAFFE = "BVLC Caffe"
LOSSES = ("lesion_loss", "location_loss")
DIFFERENCES = {"fp32": 1e-4, "bf16": 5e-2}  # of losses, relative
RATE = 1e-5


def parse_args() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--batch-size", type=positive, default=20, help="default %(default)s: the paper's")
    parser.add_argument("--repeats", type=positive, default=5, help="counted steps of each (default %(default)s)")
    parser.add_argument("--threads", type=positive, default=usable_cores(), help="of each (default: one a core)")
    parser.add_argument("--seed", type=seed, default=1, help="of weights and batch (default %(default)s)")
    return parser.parse_args()


def has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 itself."""
    flags = Path("/proc/cpuinfo").read_text().split()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def engine_step(folder: Path, inputs: Dict[str, torch.Tensor], precision: str) -> Callable[[], float]:
    """A step of caffe_torch; returns the loss."""
    net = Net(read_net(folder / "train.prototxt", strict=True), "TRAIN")
    for name, values in inputs.items():
        net.layer(name).values = [values]
    solver = Solver(settings(folder), net, "cpu", precision)
    solver.copy_from(folder / "drawn.caffemodel")

    def step() -> float:
        solver.step()
        return solver.smoothed_loss

    return step


def hand_step(net: Net, inputs: Dict[str, torch.Tensor], precision: str) -> Callable[[], float]:
    """A step of the loop written by hand, from the weights of a net of caffe_torch."""
    lesions = inputs["lesion_label"].flatten(1)
    locations = inputs["location_label"].flatten().long()
    plain = PlainResNet(lesions.shape[1], 23)
    take_weights(plain, net)
    images = inputs["data"].contiguous(memory_format=torch.channels_last)
    step = plain_step(plain, images, lesions, locations, RATE, precision)
    return lambda: float(step())


@torch.no_grad()
def take_weights(plain: PlainResNet, net: Net) -> None:
    """From caffe_torch's layers, by their published names."""
    parts = [("conv1", "bn_conv1", "scale_conv1", plain.conv1, plain.bn1)]
    blocks = iter(plain.trunk)
    for stage, count in zip("2345", BLOCKS):
        for letter in "abcdef"[:count]:
            block = next(blocks)
            pairs = [
                ("branch2a", block.conv1, block.bn1),
                ("branch2b", block.conv2, block.bn2),
                ("branch2c", block.conv3, block.bn3),
            ]
            if block.shortcut is not None:
                pairs.append(("branch1", block.shortcut[0], block.shortcut[1]))
            for branch, convolution, normalisation in pairs:
                name = f"{stage}{letter}_{branch}"
                parts.append((f"res{name}", f"bn{name}", f"scale{name}", convolution, normalisation))
    for convolution, statistics, scale, theirs, normalisation in parts:
        copies = list(zip((theirs.weight, theirs.bias), net.layer(convolution).blobs))
        copies += zip((normalisation.running_mean, normalisation.running_var), net.layer(statistics).statistics())
        copies += zip((normalisation.weight, normalisation.bias), net.layer(scale).blobs)
        for to, values in copies:
            to.copy_(values)
    for name, head in (("fc_lesion", plain.lesion), ("fc_location", plain.location)):
        for to, values in zip((head.weight, head.bias), net.layer(name).blobs):
            to.copy_(values)


def settings(folder: Path) -> Message:
    """The solver's."""
    return caffe_messages().SolverParameter(
        train_net=str(folder / "train.prototxt"),
        base_lr=RATE,
        lr_policy="fixed",
        momentum=0.9,
        weight_decay=1e-4,
        random_seed=1,
        max_iter=1000,
        snapshot_prefix=str(folder / "none"),
        snapshot_after_train=False,
    )


def multiplications(net: Net, batch: int) -> float:
    """GFLOP of a step: each convolution forward, and backward to its weights and, but for the first, to its bottom."""
    total = 0.0
    for layer in net.layers:
        if isinstance(layer, Convolution):
            top = net.shapes[layer.param.top[0]]
            passes = 2 if layer.param.bottom[0] == "data" else 3
            total += passes * 2.0 * batch * top[1] * top[2] * top[3] * layer.blob0[0].numel()
    return total / 1e9


def matrix_speed(precision: str, side: int = 4096) -> float:
    """GFLOP a second of PyTorch's product of two large matrices, the best of four: what a convolution can come near."""
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    a, b = torch.ones(side, side, dtype=kind), torch.ones(side, side, dtype=kind)
    seconds = min(by_clock(lambda: a @ b)[0] for _ in range(4))
    return 2.0 * side**3 / seconds / 1e9


def main() -> int:
    args = parse_args()
    torch.set_num_threads(args.threads)
    precisions = ["fp32", *["bf16"] * has_bf16()]
    options = options_of("resnet50", args.batch_size)
    inputs = drawn_batch(options, args.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "train.prototxt").write_text(message_text(net_on_inputs(options)))
        (folder / "solver.prototxt").write_text(message_text(settings(folder)) + "solver_mode: CPU\n")
        write_weights(options, folder / "drawn.caffemodel", args.seed)
        steps = {}
        for precision in precisions:
            steps[f"caffe_torch {precision}"] = engine_step(folder, inputs, precision)
            net = Net(net_on_inputs(options), "TRAIN")
            copy_weights(net, folder / "drawn.caffemodel")
            steps[f"by hand {precision}"] = hand_step(net, inputs, precision)
        arrays = {name: values.numpy() for name, values in inputs.items()}
        process = CaffeProcess(
            "step", folder / "solver.prototxt", folder / "drawn.caffemodel", arrays, list(LOSSES), args.threads
        )
        try:
            print(f"{described()}, PyTorch {torch.__version__}, {process.version}; {args.threads} threads each")
            process.seconds()
            expected = float(sum(values.sum() for values in process.seen().values()))
            wrong = compare_losses({name: step() for name, step in steps.items()}, expected)
            seconds = timed(
                {**{name: partial(by_clock, step) for name, step in steps.items()}, CAFFE: process.seconds},
                args.repeats,
            )
        finally:
            process.close()
    failed = report(seconds, precisions, args.batch_size) or wrong
    work = multiplications(net, args.batch_size)
    least = ", ".join(f"{work / matrix_speed(each):.2f} s in {each}" for each in precisions)
    print(f"a step's convolutions are {work:.0f} GFLOP: at the speed of a large matrix product here, {least}")
    return 1 if failed else 0


def compare_losses(losses: Dict[str, float], expected: float) -> bool:
    """Prints them; whether one is too far from Caffe's."""
    print(f"loss of the first step: BVLC Caffe {expected:.6g}")
    wrong = False
    for name, loss in losses.items():
        apart = abs(loss - expected) / abs(expected)
        wrong |= not apart <= DIFFERENCES[name.split()[-1]]
        print(f"  {name:18} {loss:.6g}, {apart:.1e} from it")
    return wrong


def by_clock(step: Callable[[], object]) -> np.ndarray:
    """Seconds of a step, and of cores."""
    started = clocks()
    step()
    return clocks() - started


def timed(ways: Dict[str, Callable[[], np.ndarray]], repeats: int) -> Dict[str, np.ndarray]:
    """The seconds of each way, which take turns of two: (repeats, 2), of the second, by the clock and of cores."""
    seconds: Dict[str, List[np.ndarray]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            way()
            seconds[name].append(way())
    return {name: np.stack(values) for name, values in seconds.items()}


def show(seconds: Dict[str, np.ndarray], what: str) -> Dict[str, float]:
    """Prints and returns the medians."""
    print(f"seconds {what}, medians of {len(next(iter(seconds.values())))} (lowest to highest); seconds of cores:")
    for name, values in seconds.items():
        clock, cores = np.median(values, axis=0)
        print(f"  {name:18} {clock:7.3f}  ({values[:, 0].min():.3f} to {values[:, 0].max():.3f}); {cores:.3f}")
    return {name: float(np.median(values[:, 0])) for name, values in seconds.items()}


def report(seconds: Dict[str, np.ndarray], precisions: List[str], batch: int) -> bool:
    """Prints times and ratios; whether the claim does not hold."""
    medians = show(seconds, "a step")
    said, missed = [], False
    for precision in precisions:
        ours = medians[f"caffe_torch {precision}"]
        caffe, hand = medians[CAFFE] / ours, medians[f"by hand {precision}"] / ours
        missed |= caffe < FASTER[precision] or hand < BY_HAND
        said.append(f"{precision}: {caffe:.1f} times BVLC Caffe, {hand:.2f} of by hand")
    said += ["bf16: not measured, this CPU has no instructions for it"] * ("bf16" not in precisions)
    print(f"training step, batch {batch}: " + "; ".join(said))
    return missed


if __name__ == "__main__":
    run(main)
