#!/usr/bin/env python3
"""What folds leak and how evenly they hold the labels, on the group sizes of HAM10000 and DermQuest; and how fast.

The manifests are drawn (tests/helpers/made_groups.py says how): the group sizes are what matters. Folds are dealt by
tools/make_folds.py (by group, by group at random, by image) and by scikit-learn's GroupKFold and StratifiedGroupKFold,
which takes one label an image: the first lesion. Leaks are counted by tools/leakage.py. The time is that of the whole
command on 100,000 images with 60 labels. Exits 1 where group folds leak, image folds do not leak what is expected (39 %
and 90 %), or the labels are less even than in the folds of a peer.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from cli import new_parser, run, seed  # first: from here on, what this Python lacks is said in a line

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))

# isort: split
import numpy as np
import sklearn
from machine import described
from made_groups import dermquest_like, expected_leak, ham_like, manifest_of
from sklearn import model_selection

from caffe_files.errors import InputError
from skinmtl.data.folds import write_folds
from skinmtl.data.manifest import Manifest, write_manifest
from skinmtl.splits.balance import balance

TOOLS = Path(__file__).resolve().parents[1] / "tools"
K = 5
OURS = {
    "by group": [],
    "by group, --balance none": ["--balance", "none"],
    "by image, the paper's": ["--by", "image"],
}


def parse_args() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--seed", type=seed, default=1, help="of the data and the folds (default: %(default)s)")
    return parser.parse_args()


def tool(name: str, *words: object) -> None:
    finished = subprocess.run([sys.executable, str(TOOLS / name), *map(str, words)], stdout=subprocess.DEVNULL)
    if finished.returncode:
        raise InputError(f"{name} ended with status {finished.returncode}; see above")


def leaking(folder: Path, folds: Path) -> float:
    """The share of the images that leak, as tools/leakage.py counts them."""
    tool("leakage.py", "--manifest", folder / "manifest.csv", "--folds", folds, "--json", folder / "leak.json")
    report = json.loads((folder / "leak.json").read_text(encoding="utf-8"))
    return report["leaking"] / report["images"]


def peer_folds(manifest: Manifest, seed: int) -> dict[str, np.ndarray]:
    """(N,) the folds of each of scikit-learn's splitters that this version has."""
    groups, lesions = [row.group for row in manifest.rows], [row.lesions[0] for row in manifest.rows]
    splitters = {"GroupKFold": model_selection.GroupKFold(K)}
    if hasattr(model_selection, "StratifiedGroupKFold"):
        splitters["StratifiedGroupKFold"] = model_selection.StratifiedGroupKFold(K, shuffle=True, random_state=seed)
    found = {}
    for name, splitter in splitters.items():
        folds = np.zeros(len(groups), np.int64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a lesion of fewer than K images is no concern here
            for fold, (_, test) in enumerate(splitter.split(groups, lesions, groups)):
                folds[test] = fold
        found[f"scikit-learn {name}"] = folds
    return found


def compare(title: str, manifest: Manifest, seed: int) -> bool:
    """Prints a line for each way to deal; False where a claim does not hold."""
    sizes = np.unique([row.group for row in manifest.rows], return_counts=True)[1]
    expected = expected_leak(sizes, K)
    print(f"{title}: {len(manifest.rows)} images in {len(sizes)} groups, {K} folds; image folds should leak", end=" ")
    print(f"{100 * expected:.1f} %")
    print(f"  {'':34}  fold sizes     leaking  labels from even: worst, mean  lacking")
    mean, leak = {}, {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_manifest(folder, manifest)
        for way, words in OURS.items():
            path = folder / f"{len(leak)}.csv"
            tool("make_folds.py", "--manifest", folder / "manifest.csv", "--seed", seed, *words, "--out", path)
            report = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            per_fold = np.array([label["images_by_fold"] for label in report["labels"].values()])
            leak[way], (worst, mean[way]) = leaking(folder, path), report["worst_and_mean_deviation"]
            say(way, report["fold_sizes"], leak[way], worst, mean[way], per_fold)
        for way, folds in peer_folds(manifest, seed).items():
            write_folds(folder / "peer.csv", manifest, folds)
            found = balance(manifest, folds, K, "group")
            leak[way], (worst, mean[way]) = leaking(folder, folder / "peer.csv"), found.summary
            say(way, found.sizes.tolist(), leak[way], worst, mean[way], found.per_fold)
    image = next(way for way in leak if way.startswith("by image"))
    others = [way for way in mean if way not in (image, "by group")]
    held = [leak[way] == 0 for way in leak if way != image]
    held += [abs(leak[image] - expected) < 0.01, *(mean["by group"] < mean[way] for way in others)]
    return all(held)


def say(way: str, sizes: list[int], leak: float, worst: float, mean: float, per_fold: np.ndarray) -> None:
    lacking = int((per_fold == 0).sum())
    print(f"  {way:34}  {min(sizes):5} to {max(sizes):5}  {100 * leak:5.1f} %", end="")
    print(f"{100 * worst:21.1f} % {100 * mean:6.1f} %{lacking:9}")


def time_large(seed: int) -> float:
    """Seconds of make_folds.py, all of it, on 100,000 images in 60,000 groups with 40 lesions and 20 locations."""
    random = np.random.RandomState(seed)
    often = 1 / np.arange(1.0, 41)
    lesions = random.choice(40, (100000, 2), p=often / often.sum())
    places, groups = random.randint(0, 20, 100000), random.randint(0, 60000, 100000)
    rows = [(tuple({f"l{a}", f"l{b}"}), f"s{s}", str(g)) for (a, b), s, g in zip(lesions, places, groups)]
    with tempfile.TemporaryDirectory() as name:
        write_manifest(Path(name), manifest_of(rows))
        start = time.perf_counter()
        tool("make_folds.py", "--manifest", Path(name) / "manifest.csv", "--out", Path(name) / "folds.csv")
        return time.perf_counter() - start


def main() -> int:
    args = parse_args()
    print(f"{described()}, scikit-learn {sklearn.__version__}")
    held = compare("HAM10000's sizes", ham_like(args.seed), args.seed)
    held &= compare("DermQuest's sizes", dermquest_like(args.seed), args.seed)
    print(f"100,000 images in 60,000 groups, 60 labels: {time_large(args.seed):.1f} s, the whole command")
    return 0 if held else 1


if __name__ == "__main__":
    run(main)
