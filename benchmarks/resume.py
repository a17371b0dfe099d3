#!/usr/bin/env python3
"""What train.py --resume spends to find its place in the data, against a training iteration of the same net.

Both with the same solver, in turn and in this process: forwarding the Data layers alone, batch after batch, and whole
iterations (forward, backward, update). The reading threads fetch ahead, so that each side is measured over many batches
after some that do not count; an iteration waits for its batch too where reading is the slower. Before and after, the
batch must be the one that records.csv says. The data set is drawn: noisy photographs, in LMDBs as make_lmdb.py writes
them. Exits 1 where another batch is found, or where reading costs more than training.
"""

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, List

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from cli import new_parser, positive, run, seed, usable_cores  # first: it finds the library

# isort: split
import cv2
import numpy as np
from machine import described

from caffe_files.errors import InputError
from caffe_files.schema import caffe_messages
from skinmtl.data.lmdb_write import Sizes, write_lmdbs
from skinmtl.data.manifest import read_manifest
from skinmtl.engines.caffe_engine import pycaffe
from skinmtl.nets.multi_task import NetOptions
from skinmtl.nets.net_files import net_files, write_net_files
from skinmtl.training.caffe_solver import REPLAYED
from skinmtl.training.solver_file import effective_solver, solver_text

# crop, batch, stored sizes and iterations of each trunk: the paper's, and the demo's
SETTINGS = {"resnet50": (224, 20, Sizes(256, 480, 1), 3), "tiny": (64, 32, Sizes(73, 96, 1), 60)}
LOCATIONS = 7
PAPER_RECORDS = 10 * 17326  # training images of one fold in ten sizes
PAPER_ITERATIONS = 120000
AHEAD = 8  # batches that the reading threads may have ready


def parse_args() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--trunk", choices=sorted(SETTINGS), default="tiny", help="default %(default)s")
    parser.add_argument("--images", type=positive, default=200, help="of the data set (default %(default)s)")
    parser.add_argument("--batches", type=positive, default=60, help="read alone (default %(default)s)")
    parser.add_argument("--repeats", type=positive, default=3, help="of each, in turn (default %(default)s)")
    parser.add_argument("--seed", type=seed, default=1, help="of images and weights (default %(default)s)")
    return parser.parse_args()


def make_data(folder: Path, images: int, sizes: Sizes, seed: int) -> None:
    random = np.random.RandomState(seed)
    (folder / "images").mkdir()
    lines = ["image,lesions,location"]
    for number in range(images):
        small = random.randint(0, 256, (24, 32, 3)).astype(np.uint8)
        photograph = cv2.resize(small, (800, 600), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        photograph += random.randint(-8, 9, photograph.shape).astype(np.int16)
        cv2.imwrite(str(folder / "images" / f"{number}.jpg"), np.clip(photograph, 0, 255).astype(np.uint8))
        lines.append(f"{number}.jpg,lesion {number % 10},place {number % LOCATIONS}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    manifest = read_manifest(folder / "manifest.csv")
    write_lmdbs(manifest, folder / "images", folder / "data", sizes, seed, usable_cores(), {})


def make_solver(folder: Path, trunk: str, seed: int) -> Any:
    crop, batch, _, _ = SETTINGS[trunk]
    data = str(folder / "data")
    options = NetOptions("resnet50_mtl", trunk, crop, 10, LOCATIONS, data, data, batch, 1, frozen_batch_norm=False)
    write_net_files(net_files(options, "a benchmark"), folder)
    given = caffe_messages().SolverParameter(momentum=0.9, weight_decay=0.0001)
    solver = effective_solver(given, folder / "train.prototxt", 1e-4, 10**6, folder / "snapshot", seed)
    (folder / "solver.prototxt").write_text(solver_text(solver), encoding="utf-8")
    caffe = pycaffe()
    caffe.set_mode_cpu()
    return caffe.get_solver(str(folder / "solver.prototxt"))


def seconds_each(action: Callable[[], Any], warm_up: int, times: int) -> float:
    for _ in range(warm_up):
        action()
    started = time.perf_counter()
    for _ in range(times):
        action()
    return (time.perf_counter() - started) / times


def check_place(solver: Any, folder: Path, batch: int, passes: int) -> None:
    """InputError unless the next batch is the one after `passes` batches of records.csv's order."""
    lines = (folder / "data" / "records.csv").read_text(encoding="utf-8").splitlines()[1:]
    expected = [int(lines[(passes * batch + at) % len(lines)].split(",")[1][:-4]) % LOCATIONS for at in range(batch)]
    read(solver)
    found = solver.net.blobs["location_label"].data.reshape(-1).astype(int).tolist()
    if found != expected:
        raise InputError(f"after {passes} batches the locations are {found}, not {expected}")


def read(solver: Any) -> None:
    """Forwards the Data layers alone, as a resumed training does."""
    for number, layer in enumerate(solver.net.layers):
        if layer.type in REPLAYED:
            solver.net._forward(number, number)


def main() -> int:
    args = parse_args()
    _, batch, sizes, iterations = SETTINGS[args.trunk]
    print(described())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_data(folder, args.images, sizes, args.seed)
        solver = make_solver(folder, args.trunk, args.seed)
        check_place(solver, folder, batch, 0)
        reading: List[float] = []
        training: List[float] = []
        for _ in range(args.repeats):
            reading.append(seconds_each(lambda: read(solver), AHEAD, args.batches))
            training.append(seconds_each(lambda: solver.step(1), 1, iterations))
        check_place(solver, folder, batch, 1 + args.repeats * (AHEAD + args.batches + 1 + iterations))
    alone, iteration = float(np.median(reading)), float(np.median(training))
    print(f"{args.trunk}, batches of {batch}, medians of {args.repeats}; every batch was the expected one")
    print(f"reading alone: {1000 * alone:.1f} ms a batch, {batch / alone:.0f} records/s {spread(reading)}")
    print(f"a training iteration: {1000 * iteration:.1f} ms, {batch / iteration:.1f} images/s {spread(training)}")
    if args.trunk == "resnet50":
        cycle = PAPER_RECORDS // math.gcd(PAPER_RECORDS, batch)
        print(
            f"the paper's {PAPER_ITERATIONS} iterations on {PAPER_RECORDS} records, multiplied: reading at most "
            f"{PAPER_ITERATIONS * alone / 60:.0f} minutes (exact) or {cycle * alone / 60:.0f} minutes (cycle)"
        )
    print(f"to pass over a batch takes {alone / iteration:.2%} of the time of training on it")
    return 0 if alone < iteration else 1


def spread(values: List[float]) -> str:
    return f"({1000 * min(values):.2f} to {1000 * max(values):.2f} ms)"


if __name__ == "__main__":
    run(main)
