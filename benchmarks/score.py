#!/usr/bin/env python3
"""tools/score.py against caffe.Classifier(...).predict([image], oversample=True), image by image, with the same net.

Both do the ten-crop test from image files to averaged probabilities, each reading its files its own way, in turn and
in this process. The same pixels: square PNGs that have the tested size already, so that neither changes them; there the
scores must agree to 1e-5. Photographs: large JPEGs, which both decode and resize; only the time is compared, since
Classifier stretches an image to a square. Classifier's net takes ten crops a pass, as ours does. The forward passes
alone: the same net on crops that lie ready.

Each is timed on few images, one a worker, and on all of them: the start is what the few take beyond the others (for
score.py the checks of net and weights, their sha256 and the workers' start; for both, opening the net). The ratio is
that of the time an image takes after it. The weights are drawn, with each BatchNorm's statistics set to those of its
input. Exits 1 where scores differ or ours takes longer an image on either set.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from cli import new_parser, positive, run, seed, usable_cores  # first: it says in a line what this Python lacks

# isort: split
import cv2
import numpy as np
import skimage
import skimage.io
from machine import described

from skinmtl.data.manifest import read_manifest
from skinmtl.engines.caffe_engine import pycaffe
from skinmtl.engines.engine import Engine
from skinmtl.engines.snapshot import mean_of
from skinmtl.nets.multi_task import NetOptions
from skinmtl.nets.net_files import net_files, write_net_files
from skinmtl.scores.crops import CROPS
from skinmtl.scores.forward import Protocol
from skinmtl.scores.scoring import score

SIDES = {"resnet50": (224, 256), "tiny": (64, 73)}  # of the net's input, of the resized image
LESIONS, LOCATIONS = 25, 23
PHOTOGRAPH = (1536, 2048)


def parse_args() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--trunk", choices=sorted(SIDES), default="resnet50", help="default %(default)s")
    parser.add_argument("--images", type=positive, default=24, help="with the same pixels (default %(default)s)")
    parser.add_argument("--photographs", type=positive, default=12, help="default %(default)s")
    parser.add_argument("--repeats", type=positive, default=3, help="of each, in turn (default %(default)s)")
    parser.add_argument("--workers", type=positive, default=usable_cores(), help="of score.py (default: one a core)")
    parser.add_argument("--seed", type=seed, default=1, help="of weights and images (default %(default)s)")
    args = parser.parse_args()
    if min(args.images, args.photographs) <= args.workers:
        parser.error("--images and --photographs must be more than the workers")
    return args


def make_net(folder: Path, trunk: str, random: np.random.RandomState) -> Tuple[Path, Path]:
    """A deploy.prototxt and a caffemodel with drawn weights, each layer's values of a sensible size."""
    options = NetOptions("resnet50_mtl", trunk, SIDES[trunk][0], LESIONS, LOCATIONS, "none", "none", 2, 2, True)
    write_net_files(net_files(options, "a benchmark"), folder)
    caffe = pycaffe()
    caffe.set_mode_cpu()
    deploy = folder / "deploy.prototxt"
    net = caffe.Net(str(deploy), caffe.TEST)
    net.blobs["data"].data[...] = 60 * random.standard_normal(net.blobs["data"].data.shape)
    done = 0
    for number, (name, layer) in enumerate(zip(net._layer_names, net.layers)):
        if layer.type in ("Convolution", "InnerProduct"):
            weights = layer.blobs[0].data
            scale = 1 if layer.type == "InnerProduct" else np.sqrt(2)
            weights[...] = random.standard_normal(weights.shape) * scale / np.sqrt(weights[0].size)
        elif layer.type == "BatchNorm":
            net._forward(done, number - 1)
            done = number
            values = net.blobs[net.bottom_names[name][0]].data
            for blob, statistic in zip(layer.blobs, (values.mean(axis=(0, 2, 3)), values.var(axis=(0, 2, 3)), 1)):
                blob.data[...] = statistic
        elif layer.type == "Scale":
            layer.blobs[0].data[...], layer.blobs[1].data[...] = 1, 0
    weights = folder / "drawn.caffemodel"
    net.save(str(weights))
    return deploy, weights


def make_images(folder: Path, count: int, shape: Tuple[int, int], kind: str, random: np.random.RandomState) -> Path:
    """Images of coloured blobs with noise, and their manifest."""
    folder.mkdir()
    lines = ["image,lesions,location"]
    for number in range(count):
        blobs = random.randint(0, 256, (6, 8, 3)).astype(np.uint8)
        image = cv2.resize(blobs, shape[::-1], interpolation=cv2.INTER_CUBIC)
        image = cv2.add(image, random.randint(0, 25, image.shape).astype(np.uint8))
        cv2.imwrite(str(folder / f"{number}.{kind}"), image)
        lines.append(f"{number}.{kind},lesion {number % LESIONS},location {number % LOCATIONS}")
    (folder / "lesions.txt").write_text("".join(f"lesion {number}\n" for number in range(LESIONS)))
    (folder / "locations.txt").write_text("".join(f"location {number}\n" for number in range(LOCATIONS)))
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder / "manifest.csv"


def by_classifier(deploy: Path, weights: Path, manifest: Path, side: int) -> Dict[str, np.ndarray]:
    """Classifier's predictions: of the net's first output alone, which is what it gives.

    caffe.io.load_image is spelt out, since today's skimage does not know its argument `as_grey`.
    """
    caffe = pycaffe()
    classifier = caffe.Classifier(
        str(deploy),
        str(weights),
        image_dims=(side, side),
        mean=np.array(mean_of(deploy)),
        raw_scale=255,
        channel_swap=(2, 1, 0),
    )
    data = classifier.blobs["data"]
    data.reshape(CROPS, *data.shape[1:])
    rows = []
    for row in read_manifest(manifest).rows:
        image = skimage.img_as_float(skimage.io.imread(str(manifest.parent / row.image))).astype(np.float32)
        rows.append(classifier.predict([image], oversample=True)[0])
    return {classifier.outputs[0]: np.stack(rows)}


def by_score(deploy: Path, weights: Path, manifest: Path, side: int, workers: int) -> Dict[str, np.ndarray]:
    protocol = Protocol(side, mean_of(deploy), CROPS, Engine(), workers)
    with tempfile.TemporaryDirectory() as folder:
        found = score(
            deploy, weights, read_manifest(manifest), manifest.parent, protocol, Path(folder) / "scores.npz", {}
        )
    return {"lesion_prob": found.lesion_scores, "location_prob": found.location_scores}


def forward_alone(deploy: Path, weights: Path, manifest: Path, side: int) -> None:
    net = Engine().open(deploy, weights)
    crops = np.zeros((CROPS, 3, side, side), np.float32)
    for _ in read_manifest(manifest).rows:
        net.forward({"data": crops}, ["lesion_prob", "location_prob"])


def first_of(manifest: Path, count: int) -> Path:
    """A manifest of its first images."""
    few = manifest.with_name("few.csv")
    few.write_text("".join(manifest.read_text().splitlines(keepends=True)[: 1 + count]))
    return few


def measured(
    ways: Dict[str, Callable[[Path], Any]], manifest: Path, images: int, few: int, repeats: int
) -> Tuple[Dict[str, float], Dict[str, Any]]:
    """The seconds an image of each way, run in turn, and what it returned for all images."""
    results: Dict[str, Any] = {}
    first, every = ({name: [] for name in ways} for _ in range(2))
    for _ in range(repeats):
        for name, way in ways.items():
            for times, at in ((first, first_of(manifest, few)), (every, manifest)):
                before = clocks()
                results[name] = way(at)
                times[name].append(clocks() - before)
    an_image = {}
    for name in ways:
        start, total = np.median(first[name], axis=0), np.median(every[name], axis=0)
        rest = (total - start) / (images - few)
        an_image[name] = float(rest[0])
        print(
            f"  {name:16} {1000 * rest[0]:8.1f} ms an image ({1000 * rest[1]:.1f} ms of a core), "
            f"start {start[0] - few * rest[0]:.2f} s, in all {total[0]:.2f} s"
        )
    return an_image, results


def clocks() -> np.ndarray:
    """The time, and how long cores have worked for this process and its ended children: the second is steadier on a
    machine that does other things too, where OPENBLAS_NUM_THREADS is 1.
    """
    used = os.times()
    return np.array([time.perf_counter(), used.user + used.system + used.children_user + used.children_system])


def main() -> Optional[int]:
    args = parse_args()
    side = SIDES[args.trunk][1]
    random = np.random.RandomState(args.seed)
    print(described())
    print(f"{args.trunk}, medians of {args.repeats}")
    worst, slower, said = 0.0, False, []
    with tempfile.TemporaryDirectory() as name:
        deploy, weights = make_net(Path(name) / "net", args.trunk, random)
        ways = {
            "score.py": lambda at: by_score(deploy, weights, at, side, args.workers),
            "caffe.Classifier": lambda at: by_classifier(deploy, weights, at, side),
            "forward alone": lambda at: forward_alone(deploy, weights, at, SIDES[args.trunk][0]),
        }
        for title, kind, shape, count in (
            ("the same pixels", "png", (side, side), args.images),
            ("photographs", "jpg", PHOTOGRAPH, args.photographs),
        ):
            manifest = make_images(Path(name) / kind, count, shape, kind, random)
            print(f"{title}: {count} {kind}, {shape[1]} x {shape[0]}")
            seconds, results = measured(ways, manifest, count, args.workers, args.repeats)
            ratio = seconds["caffe.Classifier"] / seconds["score.py"]
            slower |= ratio < 1
            share = seconds["forward alone"] / seconds["score.py"]
            said.append(f"{title}: {ratio:.2f} times as fast, {share:.0%} of its time forward passes")
            if kind == "png":
                for output, rows in results["caffe.Classifier"].items():
                    ours = results["score.py"][output]
                    worst = max(worst, float(np.abs(rows - ours).max()))
                    print(f"  {output}: differs by at most {worst:.1e}; it varies by {np.ptp(ours, axis=0).max():.2f}")
    print("score.py against caffe.Classifier: " + "; ".join(said))
    return 1 if worst > 1e-5 or slower else None


if __name__ == "__main__":
    run(main)
