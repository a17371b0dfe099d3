#!/usr/bin/env python3
"""Eight images learned by heart by the mask net, at 256 pixels: by BVLC Caffe and by caffe_torch, in the same run.

The tiny trunk from scratch, without augmentation, trained by `caffe train` and by `caffe-torch train` with one solver,
then scored with the same engine on the images that it was trained on, against their masks in the original size. A net
whose gradients, targets and way back to the original image are right must come near to these masks, and the two engines
must come as near. All images are one batch: in batches of four each image would always be normalised with the same
three others, and the statistics of all, which the test takes, would be those of none.

The images are drawn; --manifest takes others, of which the same number a lesion is used. Exits 1 where the mean over
the images of their Jaccard index is not above 0.9, or one is not detected. Run it with .venv/bin/python.
"""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Dict, List

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from cli import new_parser, positive, run, seed  # first: it finds the library

# isort: split
from machine import described

from caffe_files.errors import InputError
from skinmtl.data.manifest import read_manifest
from skinmtl.data.table import read_csv, write_csv
from skinmtl.scores.region_metrics import evaluate_regions
from skinmtl.scores.scores_file import read_scores

ROOT = Path(__file__).resolve().parents[1]
# engine -> the folder of its programs, and the flags that tools take for it
ENGINES = {"caffe": (".caffe/bin", []), "torch": (".venv/bin", ["--engine", "torch"])}
TRAIN = {"caffe": ".caffe/bin/caffe", "torch": ".venv/bin/caffe-torch"}
JA = 0.9
NET = (
    "--model resnet50_mask_rcnn --trunk tiny --side 256 --anchor-scales 32 64 96 128 192 --rho 1 --rpn-sample 32 "
    "--proposals 100 50 --rois 24 --channels 48 --rpn-channels 48 --full 128 --mask-channels 32 "
    "--detections 1 --augment 0"
)
SOLVER = """\
train_net: "{net}/train.prototxt"
type: "SGD"
base_lr: 0.005  # at 0.01 the ReLU of the proposals die
momentum: 0.9
weight_decay: 0.0001
clip_gradients: 5
max_iter: {iterations}
lr_policy: "multistep"
gamma: 0.1
stepvalue: {fall}
display: 100
snapshot_prefix: "{prefix}"
random_seed: {seed}
solver_mode: CPU
"""


def parse_args() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--engines", nargs="+", choices=sorted(ENGINES), default=sorted(ENGINES), help="default: both")
    parser.add_argument("--count", type=positive, default=8, help="images (default %(default)s)")
    parser.add_argument("--iterations", type=positive, default=250, help="of all images (default %(default)s)")
    parser.add_argument("--seed", type=seed, default=1, help="of images and weights (default %(default)s)")
    parser.add_argument("--manifest", type=Path, metavar="CSV", help="of images with masks (default: drawn ones)")
    parser.add_argument("--images", type=Path, metavar="DIR", help="goes with --manifest; its masks are below it too")
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new folder that keeps all of it (default: none)")
    args = parser.parse_args()
    if (args.manifest is None) != (args.images is None):
        parser.error("--manifest and --images go together")
    return args


def step(engine: str, name: str, *words: object) -> None:
    """Runs a tool of the project by the engine's Python; InputError with the end of what it said where it fails."""
    folder, _ = ENGINES[engine]
    command([str(ROOT / folder / "python3"), str(ROOT / "tools" / name), *map(str, words)])


def command(words: List[str]) -> str:
    done = subprocess.run(words, cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment())
    said = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        raise InputError(f"{' '.join(words[:3])} ended with {done.returncode}:\n{said[-3000:].rstrip()}")
    return said


def environment() -> Dict[str, str]:
    """One thread each, unless the caller says otherwise, since processes that read images run beside the net."""
    return {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", **os.environ}


def drawn(folder: Path, args: argparse.Namespace) -> Path:
    words = ("--masks", "--count", args.count, "--patients", args.count, "--seed", args.seed, "--out", folder)
    step(args.engines[0], "make_demo_data.py", *words)
    return folder / "manifest.csv"


def chosen(manifest: Path, count: int, to: Path) -> Path:
    """A manifest of the first images with a mask, as many of each lesion as can be, in `to`."""
    of_lesion = defaultdict(list)
    for row in read_manifest(manifest).rows:
        if row.mask:
            of_lesion[row.lesions].append(row.image)
    ranked = sorted((at, image) for images in of_lesion.values() for at, image in enumerate(images))
    names = {image for _, image in ranked[:count]}
    if len(names) < count:
        raise InputError(f"{manifest}: has {len(names)} images with masks, where {count} are wanted; see --count")
    rows = [row for _, row in read_csv(manifest, ("image",)) if row["image"] in names]
    write_csv(to, list(rows[0]), [list(row.values()) for row in rows])
    return to


def trained(engine: str, folder: Path, args: argparse.Namespace) -> Path:
    """The weights; prints the time of the training and the last loss that it told."""
    solver, prefix = folder / f"{engine}.prototxt", folder / engine
    settings = {"iterations": args.iterations, "fall": args.iterations * 4 // 5, "seed": args.seed}
    solver.write_text(SOLVER.format(net=folder / "net", prefix=prefix, **settings))
    started = time.monotonic()
    said = command([str(ROOT / TRAIN[engine]), "train", "-solver", str(solver)])
    seconds = time.monotonic() - started
    (folder / f"{engine}.log").write_text(said)
    print(f"{engine}: {args.iterations} iterations in {seconds:.0f} s")
    return folder / f"{engine}_iter_{args.iterations}.caffemodel"


def learned(engine: str, folder: Path, data: List[object], args: argparse.Namespace) -> bool:
    """Trains, scores, and prints the figures; whether they hold."""
    weights = trained(engine, folder, args)
    out = folder / f"{engine}.npz"
    net = ("--deploy", folder / "net" / "deploy.prototxt", "--weights", weights, *ENGINES[engine][1])
    step(engine, "score.py", *net, *data, "--allow-trained", "--out", out)
    scores = read_scores(out)
    figures = evaluate_regions(scores, None)
    right = (scores.class_scores.argmax(axis=1) == scores.class_labels).sum()
    tp, fp, fn, _ = scores.mask_counts.T
    each = ", ".join(f"{value:.3f}" for value in tp / (tp + fp + fn))
    print(
        f"{engine}: mean JA {figures['mask_ja']:.3f} ({each}); detected {scores.detected.sum()} of "
        f"{len(scores.image)}; class right of {right}; box AP at IoU 0.75 {figures['box_ap75']:.3f}"
    )
    return figures["mask_ja"] > JA and bool(scores.detected.all())


def main() -> int:
    args = parse_args()
    print(described())
    with tempfile.TemporaryDirectory() as name:
        folder = args.out or Path(name)
        folder.mkdir(parents=True, exist_ok=not args.out)
        folder = folder.resolve()
        images = args.images or folder / "data"
        manifest = chosen(args.manifest or drawn(images, args), args.count, folder / "chosen.csv")
        data: List[object] = ["--manifest", manifest.resolve(), "--images", images.resolve()]
        step(args.engines[0], "make_lmdb.py", *data, "--long-side", 320, "--out", folder / "lmdbs")
        both = ("--train-data", folder / "lmdbs", "--test-data", folder / "lmdbs", "--out", folder / "net")
        step(
            args.engines[0],
            "make_prototxt.py",
            *shlex.split(NET),
            "--batch-size",
            args.count,
            "--seed",
            args.seed,
            *both,
        )
        held = [learned(engine, folder, data, args) for engine in args.engines]
    return 0 if all(held) else 1


if __name__ == "__main__":
    run(main)
