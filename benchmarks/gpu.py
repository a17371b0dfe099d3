#!/usr/bin/env python3
"""caffe_torch on a GPU, all of it in one command: some minutes on one NVIDIA GPU.

The training step of the paper's multi-task ResNet-50 (batch 20, crop 224, frozen BatchNorm) in fp32, TF32 and bf16 on a
batch that lies ready on the GPU, in images a second and peak memory, against the same net and step written by hand in
PyTorch (plain_resnet.py), in turn. Then the same training from data: from an LMDB of photographs of 256 pixels that
the Data layer crops, and with online jitter from 480 pixels; how long it waits for data is what a step takes more
than on the ready batch. Then how far the GPU's numbers are from the CPU's, of this engine and of BVLC Caffe where
.caffe is there. Last, what the paper's schedule of 120,000 such iterations would take, and what limits it.

--device cpu --quick is a trial of this program on any machine, of a small net: its figures mean nothing.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable, Dict, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from cli import new_parser, not_negative, positive, run  # first: it finds the library

# isort: split
import cv2
import lmdb
import numpy as np
import torch
from gpu_parity import forward_parity, measured_weights, training_parity
from jitter import photograph, write_images
from machine import described
from plain_resnet import PlainResNet, plain_step

from caffe_files.errors import InputError
from caffe_files.schema import caffe_messages
from caffe_torch import PRECISIONS
from caffe_torch.net import Net
from caffe_torch.precision import numerics
from caffe_torch.solver import Solver
from caffe_torch.workers import share_workers, workers_here
from skinmtl.nets.multi_task import NetOptions, make_net

LESIONS, LOCATIONS, ITERATIONS, AIM_MINUTES = 25, 23, 120_000, 15
READY_PART = 1.02  # what a measurement's noise may make of no waiting


@dataclass(frozen=True)
class Sizes:
    """How large all is: the paper's, or of a trial."""

    trunk: str
    crop: int
    batch: int
    images: int
    warm: int
    steps: int
    parity_batch: int
    parity_steps: int
    blocks: Tuple[int, ...]
    widths: Tuple[int, ...]


PAPER = Sizes("resnet50", 224, 20, 300, 20, 150, 4, 20, (3, 4, 6, 3), (64, 128, 256, 512))
QUICK = Sizes("tiny", 64, 4, 12, 1, 3, 2, 2, (1, 1, 1, 1), (8, 16, 32, 32))


def parse_args() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="default %(default)s")
    parser.add_argument("--quick", action="store_true", help="a trial with a small net")
    parser.add_argument("--workers", type=not_negative, help="that read data (default: one a core, less one)")
    parser.add_argument("--steps", type=positive, help="timed each time (default: 150; 3 with --quick)")
    args = parser.parse_args()
    if args.device == "cpu" and not args.quick:
        parser.error("--device cpu goes with --quick; engine_training.py measures the CPU")
    return args


def square(random: np.random.RandomState, side: int) -> bytes:
    """A small photograph: it need not be cropped."""
    pixels = cv2.resize(random.randint(0, 256, (9, 9, 3)).astype(np.uint8), (side, side), interpolation=cv2.INTER_CUBIC)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def write_data(folder: Path, images: int, side: int, draw: Callable = photograph) -> Path:
    """Three LMDBs as make_lmdb.py lays them out."""
    folder.mkdir()
    random = np.random.RandomState(side)
    write_images(folder / "image_lmdb", [draw(random, side) for _ in range(images)])
    for name, labels in (
        ("lesion_lmdb", (random.rand(images, LESIONS) < 0.1).astype(float)),
        ("location_lmdb", random.randint(0, LOCATIONS, (images, 1)).astype(float)),
    ):
        with lmdb.open(str(folder / name), map_size=1 << 28) as environment, environment.begin(write=True) as records:
            for number, values in enumerate(labels):
                datum = caffe_messages().Datum(channels=len(values), height=1, width=1, float_data=values)
                records.put(b"%08d" % number, datum.SerializeToString())
    return folder


def solver_of(net: Net, device: str, precision: str) -> Solver:
    """A rate of 0 changes no weight, so that every step has numbers of one size; the work is the same."""
    param = caffe_messages().SolverParameter(
        base_lr=0, lr_policy="fixed", momentum=0.9, weight_decay=1e-4, random_seed=1, max_iter=1
    )
    with torch.no_grad():
        for layer in net.layers:
            if layer.param.type == "BatchNorm":
                for blob, value in zip(layer.blobs, (0, 1, 1)):
                    blob.fill_(value)
    return Solver(param, net, device, precision)


def ready_net(options: NetOptions, device: str) -> Tuple[Net, Tuple[torch.Tensor, ...]]:
    """The training net on one batch that lies on the device, and that batch."""
    random = torch.Generator().manual_seed(1)
    batch, crop = options.batch_size, options.crop
    images = (torch.randn(batch, 3, crop, crop, generator=random) * 50).contiguous(memory_format=torch.channels_last)
    lesions = (torch.rand(batch, LESIONS, 1, 1, generator=random) < 0.1).float()
    locations = torch.randint(0, LOCATIONS, (batch, 1, 1, 1), generator=random).float()
    tensors = tuple(each.to(device) for each in (images, lesions, locations))
    net = make_net(options, "train")
    for layer, name, values in zip(net.layer, ("data", "lesion_label", "location_label"), tensors):
        layer.Clear()
        layer.name, layer.type = name, "Input"
        layer.top.append(name)
        layer.input_param.shape.add(dim=values.shape)
    opened = Net(net, "TRAIN")
    for name, values in zip(("data", "lesion_label", "location_label"), tensors):
        opened.layer(name).values = [values]
    return opened, tensors


def seconds_a_step(step: Callable[[], object], device: str, warm: int, steps: int) -> float:
    for _ in range(warm):
        step()
    wait_for(device)
    started = time.perf_counter()
    for _ in range(steps):
        step()
    wait_for(device)
    return (time.perf_counter() - started) / steps


def wait_for(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def compare_steps(options: NetOptions, sizes: Sizes, device: str, precision: str) -> Tuple[float, float, float, float]:
    """Seconds a step of the engine and of the plain loop, each the better of two in turn; peak GB of memory of both."""
    net, (images, lesions, locations) = ready_net(options, device)
    plain = plain_step(
        PlainResNet(LESIONS, LOCATIONS, sizes.blocks, sizes.widths),
        images,
        lesions.flatten(1),
        locations.flatten().long(),
        0.0,
        precision,
    )
    steps: Dict[str, Callable[[], object]] = {"engine": solver_of(net, device, precision).step, "plain": plain}
    seconds = {name: float("inf") for name in steps}
    memory = {name: float("nan") for name in steps}
    with numerics(precision):
        for _ in range(2):
            for name, step in steps.items():
                if device != "cpu":
                    torch.cuda.reset_peak_memory_stats()
                    before = torch.cuda.memory_allocated()
                seconds[name] = min(seconds[name], seconds_a_step(step, device, sizes.warm, sizes.steps))
                if device != "cpu":
                    memory[name] = (torch.cuda.max_memory_allocated() - before) / 1e9
    return seconds["engine"], seconds["plain"], memory["engine"], memory["plain"]


def from_data(options: NetOptions, sizes: Sizes, device: str, precision: str, workers: int) -> Tuple[float, float]:
    """Seconds a step of the training from data, and seconds that its data alone takes a batch."""
    net = Net(make_net(options, "train"), "TRAIN")
    sources = list(net.sources())
    share_workers(sources, workers)
    solver = solver_of(net, device, precision)
    try:
        with numerics(precision):
            step = seconds_a_step(solver.step, device, sizes.warm, sizes.steps)
            alone = seconds_a_step(lambda: [source() for source in sources], device, sizes.warm, sizes.steps)
    finally:
        for source in sources:
            source.close()
    return step, alone


def main() -> int:
    args = parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "no GPU that PyTorch can use is here; try --device cpu --quick, which is of no use but a trial"
        )
    sizes = QUICK if args.quick else PAPER
    sizes = replace(sizes, steps=args.steps or sizes.steps)
    workers = workers_here() if args.workers is None else args.workers
    gpu = torch.cuda.get_device_name() if args.device == "cuda" else "no GPU: a trial, its figures mean nothing"
    print(f"{gpu}; PyTorch {torch.__version__}; {described()}; {workers} workers")
    batch, scales = sizes.batch, ((256, 480) if sizes.crop == 224 else (72, 96))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stored = {side: write_data(folder / str(side), sizes.images, side) for side in scales}
        squares = write_data(folder / "squares", sizes.images, sizes.crop, square)
        plain = str(stored[scales[0]])
        options = NetOptions(
            "resnet50_mtl", sizes.trunk, sizes.crop, LESIONS, LOCATIONS, plain, plain, batch, batch, True
        )
        print(f"training step, batch {batch}, on a batch that lies ready:  images/s (written by hand)", end="")
        print("" if args.device == "cpu" else "; peak GB beside what lay there before (by hand)")
        ready = {}
        for precision in PRECISIONS:
            ours, theirs, memory, their_memory = compare_steps(options, sizes, args.device, precision)
            ready[precision] = ours
            print(
                f"  {precision:5} {batch / ours:8.0f} ({batch / theirs:.0f}): {theirs / ours:.2f} of its speed"
                + ("" if args.device == "cpu" else f"; {memory:.2f} ({their_memory:.2f})")
            )
        online = replace(options, train_data=str(stored[scales[1]]), scales=scales)
        print("training from data:  images/s; of the time, waiting for data; images/s of the data alone")
        steps = {}
        for precision in ("fp32", "bf16"):
            for way, given in (("LMDB", options), ("online jitter", online)):
                step, alone = from_data(given, sizes, args.device, precision, workers)
                steps[precision, way] = (step, alone)
                waiting = max(0.0, 1 - ready[precision] / step)
                print(f"  {precision} {way:13} {batch / step:8.0f}  {waiting:4.0%}  {batch / alone:8.0f}")
        small = replace(options, train_data=str(squares), batch_size=sizes.parity_batch)
        measured_weights(small, folder / "weights.caffemodel")
        with numerics("fp32"):
            weights = folder / "weights.caffemodel"
            parity = forward_parity(small, weights, folder, args.device)
            trained = training_parity(small, weights, folder, args.device, sizes.parity_steps)
        print("fp32, largest difference in a blob, relative to its largest number:  forward, weights after", end=" ")
        print(f"{sizes.parity_steps} iterations")
        for other in ("this engine on the CPU", "BVLC Caffe on the CPU"):
            shown = f"{parity[other]:.1e}, {trained[other]:.1e}" if other in parity else "not compared: no .caffe here"
            print(f"  {other}: {shown}")
    project(batch, ready, steps)
    return 0


def project(batch: int, ready: Dict[str, float], steps: Dict[Tuple[str, str], Tuple[float, float]]) -> None:
    """What the paper's schedule takes at this pace, without its tests and snapshots."""
    for precision in ("fp32", "bf16"):
        step, alone = steps[precision, "online jitter"]
        if step <= ready[precision] * READY_PART:
            limit = "the training step itself"
        elif alone > ready[precision]:
            limit = f"data: {batch / alone:.0f} images/s with these cores; give more, or store smaller images"
        else:
            limit = "handing data over: data and step are each fast enough alone"
        minutes = ITERATIONS * step / 60
        print(
            f"{ITERATIONS} iterations of batch {batch} with online jitter in {precision}: {minutes:.1f} minutes "
            f"(aim: {AIM_MINUTES}); the limit is {limit}"
        )


if __name__ == "__main__":
    run(main)
