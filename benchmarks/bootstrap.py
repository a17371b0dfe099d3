#!/usr/bin/env python3
"""tools/evaluate.py --bootstrap against scikit-learn's figures in a loop over the same resamples.

Ours is the whole command: Python's start, reading, drawing, five figures of every class, both mAPs, the tables.
scikit-learn's time is that of its calls alone, for AP, AUROC, partial AUC, Brier score and the points of the
reliability diagram of every class: drawing and copying rows are not counted. It is measured on a few resamples and
multiplied, and its numbers are compared with ours. Labels and scores are random, groups have 1 to 12 images, 3 on
average. Exits 1 where the numbers differ, the ratio is below 50 or memory reaches 2 GB.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from cli import (
    new_parser,
    positive,
    run,
    seed,
    usable_cores,
)  # first: from here on, what this Python lacks is said in a line

# isort: split
import numpy as np
import scipy
import sklearn
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from caffe_files.errors import InputError
from skinmtl.scores.label_figures import LEAST_SENSITIVITY, head_of
from skinmtl.scores.label_resamples import resampled_head
from skinmtl.scores.reliability import BINS
from skinmtl.scores.scores_file import Scores, write_scores

EVALUATE = Path(__file__).resolve().parents[1] / "tools" / "evaluate.py"
AT_LEAST = 50  # times as fast as scikit-learn
BELOW = 2.0  # GB of memory
FIGURES = ("average_precision", "auroc", "partial_auc", "brier")  # that are compared
IMAGE_CALLS = 500  # images whose AP scikit-learn is timed on


def parse_args() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--bootstrap", metavar="N", type=positive, default=10000, help="default: %(default)s")
    parser.add_argument("--images", type=positive, default=21657, help="default: the paper's %(default)s")
    parser.add_argument("--classes", type=positive, default=25, help="default: the paper's %(default)s")
    parser.add_argument("--peer-resamples", type=positive, default=4, help="for scikit-learn (default: %(default)s)")
    parser.add_argument("--seed", type=seed, default=1, help="of the data and the resamples (default: %(default)s)")
    return parser.parse_args()


def make_data(images: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Labels (N, P), scores (N, P), groups (N). Few frequent and many rare classes, 1.3 labels an image on average."""
    random = np.random.RandomState(seed)
    share = 1 / np.arange(2.0, classes + 2)
    labels = random.random_sample((images, classes)) < 1.3 * share / share.sum()
    scores = 1 / (1 + np.exp(2 - 2 * labels - random.standard_normal((images, classes))))
    sizes = np.minimum(random.geometric(0.33, images), 12)
    groups = np.repeat(np.arange(images), sizes)[:images]
    return labels.astype(np.uint8), scores.astype(np.float32), [f"patient {number}" for number in groups]


def scores_of(image: list[str], names: list[str], labels: np.ndarray, scores: np.ndarray) -> Scores:
    return Scores(image, {}, lesion_scores=scores, lesion_labels=labels, lesion_names=names)


def write_data(folder: Path, labels: np.ndarray, scores: np.ndarray, groups: list[str]) -> None:
    """scores.npz and manifest.csv, as evaluate.py takes them."""
    image = [f"{row}.jpg" for row in range(len(labels))]
    names = [f"lesion {p}" for p in range(labels.shape[1])]
    write_scores(folder / "scores.npz", scores_of(image, names, labels, scores))
    lines = [f"{name},lesion 0,face,{group}" for name, group in zip(image, groups)]
    (folder / "manifest.csv").write_text("\n".join(["image,lesions,location,group", *lines]) + "\n")


def run_evaluate(folder: Path, resamples: int, seed: int) -> tuple[float, float]:
    """Seconds and peak memory in GB of the whole command."""
    command = [sys.executable, str(EVALUATE), str(folder / "scores.npz"), "--bootstrap"]
    command += [str(resamples), "--seed", str(seed), "--manifest", str(folder / "manifest.csv")]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = status
    if status:
        raise InputError(f"evaluate.py ended with status {status}; see above")
    return seconds, usage.ru_maxrss * 1024 / 1e9


def time_peer(
    labels: np.ndarray, scores: np.ndarray, groups: list[str], resamples: int, seed: int
) -> tuple[float, float, np.ndarray]:
    """scikit-learn's seconds a resample, those for AP alone, and its FIGURES of each class in each, (4, resamples, P).

    Its partial area is that of the curve read from the other end, standardised, which is undone.
    """
    names, index = np.unique(groups, return_inverse=True)
    rows_of = np.split(np.argsort(index, kind="stable"), np.cumsum(np.bincount(index))[:-1])
    found = np.full((len(FIGURES), resamples, labels.shape[1]), np.nan)
    seconds = np.zeros(5)
    most = 1 - LEAST_SENSITIVITY
    for number in range(resamples):
        draws = np.random.RandomState([seed, number]).randint(0, len(names), len(names))
        rows = np.concatenate([rows_of[draw] for draw in draws])
        for p in range(labels.shape[1]):
            true, score = labels[rows, p], scores[rows, p].astype(np.float64)
            if true.any():
                starts = [time.perf_counter()]
                for which, figure in enumerate(
                    (
                        lambda: average_precision_score(true, score),  # noqa: B023 - called at once
                        lambda: roc_auc_score(true, score),  # noqa: B023
                        lambda: roc_auc_score(1 - true, -score, max_fpr=most),  # noqa: B023
                        lambda: brier_score_loss(true, score),  # noqa: B023
                        lambda: calibration_curve(true, score, n_bins=BINS),  # noqa: B023
                    )
                ):
                    value = figure()
                    starts.append(time.perf_counter())
                    if which < len(FIGURES):
                        found[which, number, p] = value
                seconds += np.diff(starts)
    found[2] = (2 * found[2] - 1) * (most - most**2 / 2) + most**2 / 2
    return seconds.sum() / resamples, seconds[0] / resamples, found


def time_peer_image(labels: np.ndarray, scores: np.ndarray) -> float:
    """scikit-learn's seconds for the AP of every image, from the first ones that have a lesion."""
    rows = np.flatnonzero(labels.any(axis=1))
    start = time.perf_counter()
    for row in rows[:IMAGE_CALLS]:
        average_precision_score(labels[row], scores[row])
    return (time.perf_counter() - start) / len(rows[:IMAGE_CALLS]) * len(rows)


def processor() -> str:
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return f"{names[0] if names else platform.machine()}, {usable_cores()} cores"


def main() -> int:
    args = parse_args()
    labels, scores, groups = make_data(args.images, args.classes, args.seed)
    print(f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, {processor()}")
    print(
        f"{args.images} images x {args.classes} classes in {len(set(groups))} groups, {labels.sum()} labels, "
        f"{args.bootstrap} resamples"
    )
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder), labels, scores, groups)
        ours, memory = run_evaluate(Path(folder), args.bootstrap, args.seed)
    print(f"evaluate.py --bootstrap, all of it: {ours:.1f} s, {memory:.2f} GB at most")
    each, of_precision, found = time_peer(labels, scores, groups, args.peer_resamples, args.seed)
    peer = each * args.bootstrap
    ratio = peer / ours
    print(
        f"scikit-learn {sklearn.__version__}, five figures of every class: {each:.3f} s a resample (AP alone "
        f"{of_precision:.3f} s), measured on {args.peer_resamples}, so {peer:.0f} s"
    )
    image = time_peer_image(labels, scores)
    print(
        f"scikit-learn, AP of every image: {image:.1f} s, measured on {min(IMAGE_CALLS, args.images)} images: once, or "
        f"{image * args.bootstrap:.0f} s where each resample computes it anew"
    )
    head = head_of(scores_of([], [f"lesion {p}" for p in range(args.classes)], labels, scores), "lesion")
    figures, _ = resampled_head(head, groups, args.peer_resamples, args.seed, "lesions")
    wanted = np.stack([figures[name] for name in FIGURES])
    wanted[:, np.isnan(figures["auroc"])] = np.nan
    difference = float(np.nanmax(np.abs(wanted - found)))
    same = difference < 1e-11 and (np.isnan(wanted) == np.isnan(found)).all()
    print(f"largest difference of a figure from scikit-learn's: {difference:.1e}")
    both = (peer + image * args.bootstrap) / ours
    print(
        f"evaluate.py with both mAPs and five figures of every class is {ratio:.0f} times as fast as scikit-learn with "
        f"the five ({ours:.1f} s, {peer:.0f} s), {both:.0f} times as fast as with each image's AP in every resample too"
    )
    return 0 if same and ratio >= AT_LEAST and memory < BELOW else 1


if __name__ == "__main__":
    run(main)
