#!/usr/bin/env python3
"""What class weights, the focal loss and repeated images do for a lesion that 1 % of the training images have.

Against the same net without any of them, by the same commands and seeds: the average precision (AP) of the rare lesion
on test images that have it as often as it is drawn, and both mAPs. The data are drawn; training images of the lesion
are taken out until 1 % is left. The net is the tiny one for lesions, from scratch, with the scales of the demo. Each
seed is of the order of the records, of all that is drawn in training and of the initial weights. A difference is the
mean over the seeds of those of equal seeds, with the lowest and the highest.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from cli import new_parser, positive, run, seed  # first: it finds the library

# isort: split
import numpy as np
from machine import described

from skinmtl.scores.tables import columns

ROOT = Path(__file__).resolve().parents[1]
RARE, SHARE, TEST_SHARE = "pearly papule", 0.01, 1 / 3
FIGURES = ("AP of the rare one", "mAP-class", "mAP-image")
# name -> flags of make_lmdb.py and of make_prototxt.py
VARIANTS: Dict[str, Any] = {
    "as it is": ((), ()),
    "--class-weights effective": ((), ("--class-weights", "effective")),
    "--class-weights inverse": ((), ("--class-weights", "inverse")),
    "--lesion-loss focal": ((), ("--lesion-loss", "focal")),
    "--balance 0.1": (("--balance", 0.1), ()),
    "--balance 0.1, weights effective": (("--balance", 0.1), ("--class-weights", "effective")),
}


def parse_args() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--count", type=positive, default=2100, help="images to draw (default %(default)s)")
    parser.add_argument("--iterations", type=positive, default=2000, help="of each training (default %(default)s)")
    parser.add_argument("--seeds", type=positive, default=3, help="trainings of each kind (default %(default)s)")
    parser.add_argument("--seed", type=seed, default=1, help="of the drawn images (default %(default)s)")
    parser.add_argument("--engine", choices=("caffe", "torch"), default="torch", help="default %(default)s")
    parser.add_argument("--variants", type=positive, default=len(VARIANTS), help="the first ones (default: all)")
    parser.add_argument("--folder", type=Path, help="to work in, and to keep (default: one that is removed)")
    return parser.parse_args()


def tool(name: str, *words: Any) -> None:
    """Runs tools/NAME; where it fails, its error is shown and this ends."""
    command = [sys.executable, str(ROOT / "tools" / name), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")


def make_data(folder: Path, count: int, seed: int) -> List[int]:
    """Draws images, and deals a third of the patients to the test; returns how many images train and test have, and
    how many of each have the rare lesion."""
    tool("make_demo_data.py", "--out", folder / "data", "--count", count, "--seed", seed)
    with open(str(folder / "data" / "manifest.csv"), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    random = np.random.RandomState(seed)
    groups = sorted({row["group"] for row in rows})
    in_test = set(random.permutation(groups)[: round(TEST_SHARE * len(groups))].tolist())
    is_rare = {row["image"]: RARE in row["lesions"].split(";") for row in rows}
    test = [row for row in rows if row["group"] in in_test]
    usual = [row for row in rows if row["group"] not in in_test and not is_rare[row["image"]]]
    rare = [row for row in rows if row["group"] not in in_test and is_rare[row["image"]]]
    kept = rare[: max(1, round(SHARE / (1 - SHARE) * len(usual)))]
    with open(str(folder / "manifest.csv"), "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted([*usual, *kept, *test], key=lambda row: row["image"]))
    lines = [f"{row['image']},{0 if row['group'] in in_test else 1}" for row in (*usual, *kept, *test)]
    (folder / "folds.csv").write_text("\n".join(["image,fold", *sorted(lines)]) + "\n", encoding="utf-8")
    for name in ("lesions.txt", "locations.txt"):
        (folder / name).write_bytes((folder / "data" / name).read_bytes())
    return [len(usual) + len(kept), len(kept), len(test), sum(is_rare[row["image"]] for row in test)]


def figures_of(folder: Path, name: str, number: int, args: argparse.Namespace) -> List[float]:
    """FIGURES of one training."""
    of_data, of_net = VARIANTS[name]
    work = folder / f"{list(VARIANTS).index(name)}_{number}"
    data = ("--manifest", folder / "manifest.csv", "--images", folder / "data" / "images")
    fold = (*data, "--folds", folder / "folds.csv", "--fold", 0)
    if not (work / "metrics.json").exists():
        tool(
            "make_lmdb.py",
            *fold,
            "--subset",
            "train",
            "--short-side",
            96,
            "--seed",
            number,
            *of_data,
            "--out",
            work / "fit",
        )
        watched = folder / "watched"
        if not watched.exists():
            tool("make_lmdb.py", *fold, "--subset", "test", "--short-side", 73, "--out", watched)
        net = ("--model", "resnet50_lesion", "--trunk", "tiny", "--crop", 64, "--batch-size", 32)
        jitter = ("--online-jitter", "--scales", 73, 96)
        data_of_net = ("--train-data", work / "fit", "--test-data", watched)
        tool("make_prototxt.py", *net, *jitter, *of_net, *data_of_net, "--out", work / "net")
        how = ("--engine", args.engine, "--seed", number, "--max-iter", args.iterations, "--watch-test-fold")
        solver = ROOT / "solvers" / "tiny_lesion.prototxt"
        tool(
            "train.py",
            *(
                "--solver",
                solver,
                "--net",
                work / "net",
                *how,
                "--test-interval",
                args.iterations,
                "--out",
                work / "run",
            ),
        )
        scored = ("--run", work / "run", *fold, "--subset", "test", "--engine", args.engine)
        tool("score.py", *scored, "--out", work / "scores.npz")
        tool("evaluate.py", work / "scores.npz", "--json", work / "metrics.json")
    found = json.loads((work / "metrics.json").read_text(encoding="utf-8"))
    return [found["average_precision"][RARE], found["map_class"], found["map_image"]]


def table(found: Dict[str, np.ndarray]) -> List[str]:
    """A row a variant: its means over the seeds, and its differences from the first."""
    first = next(iter(found.values()))
    rows = [["", *(each for figure in FIGURES for each in (figure, "difference"))]]
    for name, values in found.items():
        cells = []
        for column, base in zip(values.T, first.T):
            gain = column - base
            cells += [
                f"{column.mean():.3f}",
                "" if values is first else f"{gain.mean():+.3f} [{gain.min():+.3f}, {gain.max():+.3f}]",
            ]
        rows.append([name, *cells])
    return columns(rows)


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        counts = folder / "counts.json"
        if not counts.exists():
            counts.write_text(json.dumps(make_data(folder, args.count, args.seed)), encoding="utf-8")
        train, rare, test, in_test = json.loads(counts.read_text(encoding="utf-8"))
        print(f"{RARE}: {rare} of {train} training images, {in_test} of {test} test images; {described()}")
        found: Dict[str, np.ndarray] = {}
        for name in list(VARIANTS)[: args.variants]:
            found[name] = np.array([figures_of(folder, name, number, args) for number in range(1, args.seeds + 1)])
            print(f"{name}: AP {' '.join(f'{ap:.3f}' for ap in found[name][:, 0])}", flush=True)
        print("\n".join(table(found)))


if __name__ == "__main__":
    run(main)
