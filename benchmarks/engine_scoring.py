#!/usr/bin/env python3
"""Ten-crop scores by the multi-task ResNet-50 on a CPU: caffe_torch's Inference against pycaffe, on the same crops.

The forward passes alone, ten crops of one image a pass, as score.py makes them: pycaffe in a process of its own, with
as many threads; Inference in fp32 and in bf16. The net, its drawn weights and the crops are the same. They take two
passes each, in turn, of which the second counts, and medians are compared. How much a score differs is that of the
mean over an image's crops, over several images.

The claim: at least 1.7 times as many images a second as pycaffe in fp32, 3.3 times in bf16 (left out on a CPU without
instructions for it); scores within 1e-4 in fp32. Exits 1 where it does not hold. Run it with .venv/bin/python.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Dict, Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from cli import new_parser, positive, run, seed, usable_cores  # first: it finds the library

# isort: split
import numpy as np
import torch
from drawn_nets import drawn_batch, options_of, write_weights
from engine_training import CAFFE, by_clock, has_bf16, show, timed
from in_caffe import CaffeProcess
from machine import described

from caffe_files.prototxt import message_text
from caffe_torch.inference import Inference
from skinmtl.nets.multi_task import make_net
from skinmtl.scores.crops import CROPS

FASTER, WITHIN = {"fp32": 1.7, "bf16": 3.3}, 1e-4
SCORES = ["lesion_prob", "location_prob"]


def parse_args() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--images", type=positive, default=4, help="whose scores are compared (default %(default)s)")
    parser.add_argument("--repeats", type=positive, default=9, help="passes of each, in turn (default %(default)s)")
    parser.add_argument("--threads", type=positive, default=usable_cores(), help="of each (default: one a core)")
    parser.add_argument("--seed", type=seed, default=1, help="of weights and crops (default %(default)s)")
    return parser.parse_args()


def main() -> Optional[int]:
    args = parse_args()
    torch.set_num_threads(args.threads)
    precisions = ["fp32", *["bf16"] * has_bf16()]
    options = options_of("resnet50", CROPS)
    drawn = drawn_batch(replace(options, batch_size=args.images), args.seed + 1)["data"].numpy()
    images = [np.stack([np.roll(image, 8 * crop, axis=2) for crop in range(CROPS)]) for image in drawn]
    with tempfile.TemporaryDirectory() as name:
        deploy, weights = Path(name) / "deploy.prototxt", Path(name) / "drawn.caffemodel"
        deploy.write_text(message_text(make_net(options, "deploy")))
        write_weights(options, weights, args.seed)
        nets = {f"caffe_torch {each}": Inference(deploy, weights, precision=each) for each in precisions}
        expected = []
        for crops in images:
            process = CaffeProcess("forward", deploy, weights, {"data": crops}, SCORES, args.threads)
            try:
                process.seconds()
                expected.append(np.concatenate([process.seen()[blob].mean(axis=0) for blob in SCORES]))
                if len(expected) == len(images):
                    print(f"{described()}, PyTorch {torch.__version__}, {process.version}; {args.threads} threads each")
                    apart = compared(nets, images, np.stack(expected))
                    ways = {name: partial(by_clock, partial(scores, net, crops)) for name, net in nets.items()}
                    seconds = timed({**ways, CAFFE: process.seconds}, args.repeats)
            finally:
                process.close()
    medians = show(seconds, "for an image")
    times = {each: medians[CAFFE] / medians[f"caffe_torch {each}"] for each in precisions}
    said = [f"{each}: {times[each]:.1f} times pycaffe, scores within {apart[each]:.1e}" for each in precisions]
    print("ten-crop scores: " + "; ".join(said))
    faster = all(times[each] >= FASTER[each] for each in precisions)
    return None if faster and apart["fp32"] <= WITHIN else 1


def scores(net: Inference, crops: np.ndarray) -> np.ndarray:
    """The mean over the crops, of both heads one after the other."""
    return np.concatenate([blob.mean(axis=0) for blob in net.forward({"data": crops}, SCORES)])


def compared(nets: Dict[str, Inference], images: "list[np.ndarray]", expected: np.ndarray) -> Dict[str, float]:
    """The largest difference of a score, by precision."""
    print(f"over {len(images)} images a score varies by up to {np.ptp(expected, axis=0).max():.3f}")
    apart = {}
    for name, net in nets.items():
        found = np.stack([scores(net, crops) for crops in images])
        apart[name.split()[-1]] = float(np.abs(found - expected).max())
    return apart


if __name__ == "__main__":
    run(main)
