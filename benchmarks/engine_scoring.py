#!/usr/bin/env python3
"""Ten-crop scores by the multi-task ResNet-50 on a CPU: the tools' engines torch (caffe_torch's Inference) and onnx
against pycaffe and, where this Python has them, onnxruntime and OpenVINO on the ONNX file of export.py, all on the same
crops.

The forward passes alone, ten crops of one image a pass, as score.py makes them: pycaffe in a process of its own, all
with as many threads; Inference in fp32 and in bf16, the others in fp32. The net, its drawn weights and the crops are
the same. They take two passes each, in turn, of which the second counts, and medians are compared: first as the machine
is, then with another program that keeps one core busy. Against onnxruntime and OpenVINO it is the median of each
round's ratio, by the clock. How much a score differs is that of the mean over an image's crops, over several images.

The claim, of the machine as it is: caffe_torch at least 1.7 times as many images a second as pycaffe in fp32, 3.3 times
in bf16 (left out on a CPU without instructions for it); the engine onnx at least 0.95 of the better of onnxruntime and
OpenVINO, on the machine as it is and with one core busy; scores within 1e-4 of pycaffe's in fp32, and within 1e-5 of
each other. Exits 1 where it does not hold. Run it with .venv/bin/python.
"""

import argparse
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Dict, Iterable, List, Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from cli import new_parser, positive, run, seed, usable_cores  # first: it finds the library

# isort: split
import numpy as np
import torch
from drawn_nets import drawn_batch, options_of, write_weights
from engine_training import CAFFE, by_clock, has_bf16, show, timed
from in_caffe import CaffeProcess
from machine import described
from onnx_peers import Forward, one_core_busy, onnx_peers

from caffe_files.prototxt import message_text
from caffe_torch.inference import Inference
from skinmtl.engines.engine import Engine
from skinmtl.nets.multi_task import make_net
from skinmtl.scores.crops import CROPS

FASTER, WITHIN, OF_PEERS = {"fp32": 1.7, "bf16": 3.3}, 1e-4, 1e-5
OF_BETTER = 0.95  # of 1.0, less what two runs of one program differ
OURS, OF_ONNX, QUIET = "caffe_torch", "--engine onnx", "as the machine is"
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
        peers = onnx_peers(deploy, weights, SCORES, args.threads)
        ways = {**{f"{OURS} {each}": by_inference(deploy, weights, each) for each in precisions}, **peers}
        ways[OF_ONNX] = by_engine(deploy, weights)
        expected = []
        for crops in images:
            process = CaffeProcess("forward", deploy, weights, {"data": crops}, SCORES, args.threads)
            try:
                process.seconds()
                expected.append(means(process.seen()[blob] for blob in SCORES))
                if len(expected) == len(images):
                    print(f"{described()}, PyTorch {torch.__version__}, {process.version}; {args.threads} threads each")
                    same = compared(ways, images, np.stack(expected))
                    timers = {name: partial(by_clock, partial(way, crops)) for name, way in ways.items()}
                    medians, of_peers = {}, {}
                    for state, block in ((QUIET, nullcontext()), ("with one core busy", one_core_busy())):
                        with block:
                            seconds = timed({**timers, CAFFE: process.seconds}, args.repeats)
                        medians[state] = show(seconds, f"for an image, {state}")
                        of_peers[state] = paired(seconds, list(peers))
            finally:
                process.close()
    for state, of_state in medians.items():
        said = [f"{each} {of_state[CAFFE] / of_state[f'{OURS} {each}']:.1f} times pycaffe" for each in precisions]
        print(f"ten-crop scores, {state}: {OURS} in {', '.join(said)}")
        for name, (clock, cores) in of_peers[state].items():
            print(f"  {OF_ONNX} {clock:.2f} of {name} by the clock, {cores:.2f} by seconds of cores")
    faster = all(medians[QUIET][CAFFE] / medians[QUIET][f"{OURS} {each}"] >= FASTER[each] for each in precisions)
    better = all(clock >= OF_BETTER for of_state in of_peers.values() for clock, _ in of_state.values())
    return None if faster and better and same else 1


def by_inference(deploy: Path, weights: Path, precision: str) -> Forward:
    """The forward pass of caffe_torch."""
    net = Inference(deploy, weights, precision=precision)
    return lambda crops: net.forward({"data": crops}, SCORES)


def by_engine(deploy: Path, weights: Path) -> Forward:
    """The forward pass of --engine onnx."""
    net = Engine("onnx").open(deploy, weights)
    return lambda crops: net.forward({"data": crops}, SCORES)


def means(blobs: Iterable[np.ndarray]) -> np.ndarray:
    """Over the crops, of both heads one after the other."""
    return np.concatenate([blob.mean(axis=0) for blob in blobs])


def compared(ways: Dict[str, Forward], images: "list[np.ndarray]", expected: np.ndarray) -> bool:
    """Prints the largest differences of a score; whether those in fp32 are small enough."""
    found = {name: np.stack([means(way(crops)) for crops in images]) for name, way in ways.items()}
    ours, right = found[f"{OURS} fp32"], True
    print(f"over {len(images)} images a score varies by up to {np.ptp(expected, axis=0).max():.3f}")
    for name, scores in found.items():
        is_ours = name.startswith(OURS)
        apart = float(np.abs(scores - (expected if is_ours else ours)).max())
        print(f"  {name:18} scores within {apart:.1e} of {CAFFE if is_ours else f'{OURS} fp32'}'s")
        right &= name == f"{OURS} bf16" or apart <= (WITHIN if is_ours else OF_PEERS)
    return right


def paired(seconds: Dict[str, np.ndarray], peers: List[str]) -> Dict[str, np.ndarray]:
    """By peer, how many times as fast as it the engine onnx is, by the clock and by seconds of cores: (2,), the median
    over the rounds, in each of which both saw the same machine."""
    return {peer: np.median(seconds[peer] / seconds[OF_ONNX], axis=0) for peer in peers}


if __name__ == "__main__":
    run(main)
