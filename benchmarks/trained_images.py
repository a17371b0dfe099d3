#!/usr/bin/env python3
"""Holding images against those that a net was trained on, against scoring them: what score.py does before the net runs.

The images are drawn JPEGs, the list has as many others as a large training set. Timed a image are the comparison where
none was trained on, and where all were, so that each file is read; and the ten-crop test of them by the multi-task
ResNet-50 with drawn weights, on PyTorch, with reading and resizing, as score.py does it.

The claim: less than 1 % of the scoring, in both cases. Exits 1 where it does not hold. Run it with .venv/bin/python.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import List, Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from cli import new_parser, positive, run, usable_cores  # first: it finds the library

# isort: split
import cv2
import numpy as np
from drawn_nets import options_of, write_weights
from machine import described

from caffe_files.prototxt import message_text
from skinmtl.data.seen import Image, seen
from skinmtl.data.trained_on import Known, TrainedOn, digest
from skinmtl.engines.engine import Engine
from skinmtl.engines.snapshot import checked_snapshot
from skinmtl.nets.multi_task import make_net
from skinmtl.scores.crops import CROPS
from skinmtl.scores.forward import Protocol, averaged_outputs

LARGEST_SHARE = 0.01
MEAN = (103.0626, 115.9029, 123.1516)


def parse_args() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--images", type=positive, default=20, help="to be scored (default %(default)s)")
    parser.add_argument("--trained", type=positive, default=20000, help="images in the list (default %(default)s)")
    return parser.parse_args()


def main() -> Optional[int]:
    args = parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = draw(folder, args.images)
        images = [Image(path, name=path.name) for path in paths]
        others = drawn_list(args.trained)
        same = [Known("", path.stat().st_size, digest(path.read_bytes())) for path in paths]
        comparing = {
            "none was trained on": seconds_of(others, images),
            "all were": seconds_of(others + same, images),
        }
        scoring = seconds_of_scoring(folder, paths)
    print(f"{described()}; {args.images} images, a list of {args.trained}")
    for what, seconds in comparing.items():
        print(f"comparing, {what}: {1000 * seconds:.3f} ms an image, {seconds / scoring:.2%} of scoring")
    print(f"scoring: {1000 * scoring:.1f} ms an image")
    return None if max(comparing.values()) < LARGEST_SHARE * scoring else 1


def draw(folder: Path, count: int) -> List[Path]:
    """JPEGs of 600 x 450 pixels."""
    random = np.random.RandomState(1)
    paths = [folder / f"{number}.jpg" for number in range(count)]
    for path in paths:
        noise = random.randint(0, 256, (45, 60, 3)).astype(np.uint8)
        cv2.imwrite(str(path), cv2.resize(noise, (600, 450), interpolation=cv2.INTER_CUBIC))
    return paths


def drawn_list(count: int) -> List[Known]:
    """Images of other contents, with sizes as photographs of 600 x 450 have them: some are those of ours."""
    sizes = np.random.RandomState(2).randint(30000, 130000, count)
    return [Known(f"{number:032x}", int(size), f"{number:032x}") for number, size in enumerate(sizes)]


def seconds_of(training: List[Known], images: List[Image]) -> float:
    """Of the comparison, an image."""
    trained_on = TrainedOn({"training": training, "validation": [], "earlier": []}, [], "none")
    started = time.perf_counter()
    seen(trained_on, images)
    return (time.perf_counter() - started) / len(images)


def seconds_of_scoring(folder: Path, paths: List[Path]) -> float:
    """Of the ten-crop test, an image."""
    options = options_of("resnet50", CROPS)
    deploy, weights = folder / "deploy.prototxt", folder / "drawn.caffemodel"
    deploy.write_text(message_text(make_net(options, "deploy")))
    write_weights(options, weights, 1)
    engine = Engine("torch")
    snapshot = checked_snapshot(deploy, weights, engine)
    protocol = Protocol(256, MEAN, CROPS, engine, min(2, usable_cores()))
    started = time.perf_counter()
    for _ in averaged_outputs(snapshot, ["lesion_prob"], paths, protocol, print, "scoring"):
        pass
    return (time.perf_counter() - started) / len(paths)


if __name__ == "__main__":
    run(main)
