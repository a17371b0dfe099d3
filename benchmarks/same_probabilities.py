#!/usr/bin/env python3
"""One snapshot and one image through every program that runs it: are the probabilities the same?

BVLC Caffe by pycaffe, caffe_torch, onnxruntime on the file of `export.py --onnx`, and OpenCV's dnn module, which reads
deploy.prototxt and caffemodel where it is of version 4, and the ONNX file from 4.5 on. All get the same ten crops of a
drawn image; the table has the mean probabilities of the likeliest labels and, over all labels, crops and heads, the
largest difference from pycaffe. Two nets with drawn weights, each BatchNorm with the statistics of its input: the tiny
one of the demo, and the multi-task ResNet-50 with 25 lesions and 23 locations.

Runs with the Python that has torch, onnx and onnxruntime (make torch); pycaffe and OpenCV 4 run in a process of
.caffe/bin/python3 (make caffe). Exits 1 where a difference exceeds 1e-4.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from cli import new_parser, run, seed  # first: it says in a line what this Python lacks

# isort: split
import cv2
import numpy as np
from machine import described

from caffe_files.errors import InputError
from caffe_files.prototxt import read_net
from skinmtl.common.libraries import import_or_refuse
from skinmtl.engines.caffe_engine import pycaffe_on
from skinmtl.engines.engine import Engine
from skinmtl.engines.snapshot import checked_snapshot, mean_of
from skinmtl.onnx_graphs.model import onnx_graph, onnx_model, write_onnx
from skinmtl.scores.crops import ten_crops

ROOT = Path(__file__).resolve().parents[1]
CAFFE_PYTHON = ROOT / ".caffe/bin/python3"
HEADS = ("lesion_prob", "location_prob")
SHOWN = 3  # of each head, the likeliest
LARGEST = 1e-4
TRUNKS = ("tiny", "resnet50")
Answers = Dict[str, List[np.ndarray]]  # the program -> (10, P) and (10, Q)


def parse_args() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--trunk", choices=TRUNKS, help="this net alone (default: both)")
    parser.add_argument("--seed", type=seed, default=1, help="of weights and image (default %(default)s)")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def draw_net(folder: Path, trunk: str, first: int) -> None:
    """net/deploy.prototxt and net/drawn.caffemodel, as benchmarks/score.py draws them; needs pycaffe."""
    spec = importlib.util.spec_from_file_location("score_benchmark", str(ROOT / "benchmarks/score.py"))
    score_benchmark: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(score_benchmark)
    score_benchmark.make_net(folder / "net", trunk, np.random.RandomState(first))


def in_caffe(folder: Path, trunk: str, first: int) -> None:
    """What the child does: draws the net, cuts a drawn image into crops, and runs them in pycaffe and OpenCV."""
    draw_net(folder, trunk, first)
    deploy, weights = folder / "net/deploy.prototxt", folder / "net/drawn.caffemodel"
    snapshot = checked_snapshot(deploy, weights, Engine())
    noise = np.random.RandomState(first + 1).randint(0, 256, (8, 10, 3)).astype(np.uint8)
    short = snapshot.side * 8 // 7
    image = cv2.resize(noise, (short * 5 // 4, short), interpolation=cv2.INTER_CUBIC)
    crops = ten_crops(image, snapshot.side, np.array(mean_of(deploy)))
    scale_logits(deploy, weights, crops)
    by_caffe = [top.copy() for top in snapshot.open().forward({"data": crops}, HEADS)]
    np.savez(str(folder / "crops.npz"), crops=crops)
    answers = {f"pycaffe ({snapshot.engine.version})": by_caffe}
    if hasattr(cv2.dnn, "readNetFromCaffe"):
        answers[f"OpenCV {cv2.__version__} dnn, caffemodel"] = by_opencv(
            cv2.dnn.readNetFromCaffe(str(deploy), str(weights)), crops
        )
    for number, tops in enumerate(answers.values()):
        np.savez(str(folder / f"{number}.npz"), *tops)
    (folder / "answers.json").write_text(json.dumps(list(answers)))


def scale_logits(deploy: Path, weights: Path, crops: np.ndarray) -> None:
    """Scales the heads to logits with a deviation of 1: probabilities of 0 and 1 would hide differences."""
    caffe = pycaffe_on(None)
    net = caffe.Net(str(deploy), caffe.TEST, weights=str(weights))
    net.blobs["data"].reshape(*crops.shape)
    net.blobs["data"].data[...] = crops
    net.forward()
    for head in HEADS:
        layer = f"fc_{head.partition('_')[0]}"
        net.params[layer][0].data[...] /= net.blobs[layer].data.std()
    net.save(str(weights))


def by_opencv(net: Any, crops: np.ndarray) -> List[np.ndarray]:
    net.setInput(crops, "data")
    return list(net.forward(list(HEADS)))


def by_all(folder: Path, trunk: str, first: int) -> Answers:
    """The child's answers, and those of the programs that are here."""
    if not CAFFE_PYTHON.exists():
        raise InputError(f"{CAFFE_PYTHON}: missing; make caffe")
    request = [str(CAFFE_PYTHON), __file__, "--child", str(folder), "--trunk", trunk, "--seed", str(first)]
    done = subprocess.run(request, capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"{CAFFE_PYTHON}: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
    answers: Answers = {}
    for number, name in enumerate(json.loads((folder / "answers.json").read_text())):
        with np.load(str(folder / f"{number}.npz")) as tops:
            answers[name] = [tops[key] for key in tops.files]
    with np.load(str(folder / "crops.npz")) as stored:
        crops = stored["crops"]
    snapshot = checked_snapshot(folder / "net/deploy.prototxt", folder / "net/drawn.caffemodel", Engine("torch"))
    opened = snapshot.open()
    answers[f"caffe_torch (torch {snapshot.engine.version})"] = opened.forward({"data": crops}, HEADS)

    def parameters(layer: str) -> List[np.ndarray]:
        return opened.parameters(layer) if layer in snapshot.shapes.params else []

    tops = snapshot.shapes.tops
    graph = onnx_graph(read_net(snapshot.deploy), tops, parameters, HEADS)
    path = folder / "model.onnx"
    write_onnx(onnx_model(graph, snapshot.side, {head: tops[head][1:] for head in HEADS}, trunk, {}), path)
    runtime: Any = import_or_refuse("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    answers[f"onnxruntime {runtime.__version__}"] = session.run(list(HEADS), {"data": crops})
    answers[f"OpenCV {cv2.__version__} dnn, ONNX"] = by_opencv(cv2.dnn.readNetFromONNX(str(path)), crops)
    return answers


def print_table(answers: Answers) -> float:
    """Returns the largest difference from the first program's."""
    reference = next(iter(answers.values()))
    likeliest = [np.argsort(-top.mean(axis=0))[:SHOWN] for top in reference]
    titles = [f"{head.partition('_')[0]} {n}" for head, labels in zip(HEADS, likeliest) for n in labels]
    print(f"  {'':32}{''.join(f'{title:>12}' for title in titles)}  largest difference")
    worst = 0.0
    for name, tops in answers.items():
        values = [top.mean(axis=0)[n] for top, labels in zip(tops, likeliest) for n in labels]
        difference = max(float(np.abs(top - other).max()) for top, other in zip(tops, reference))
        worst = max(worst, difference)
        shown = f"{difference:20.1e}" if tops is not reference else f"{'-':>20}"
        print(f"  {name:32}{''.join(f'{value:12.6f}' for value in values)}{shown}")
    return worst


def main() -> int:
    args = parse_args()
    if args.child:
        in_caffe(args.child, args.trunk, args.seed)
        return 0
    print(described())
    worst = 0.0
    for trunk in [args.trunk] if args.trunk else TRUNKS:
        with tempfile.TemporaryDirectory() as name:
            print(f"\n{trunk}_mtl: mean probability over ten crops of one image")
            worst = max(worst, print_table(by_all(Path(name), trunk, args.seed)))
    print(f"\nlargest difference of any program from pycaffe: {worst:.1e}, at most {LARGEST:g} is allowed")
    return int(worst > LARGEST)


if __name__ == "__main__":
    run(main)
