#!/usr/bin/env python3
"""How many odd pictures predict.py refuses to name anything in, against held-out ones of the kind that a net was
trained on, by the threshold.

Without flags the data are drawn, and the tiny multi-task net is trained on them from scratch; novelty.py fits on its
training and validation images. Held out is the test fold: other patients, seen by nothing before. The odd pictures are
drawn too: text, landscapes, other organs, patterns, noise, black, white. With --model-folder they are shown to a model
of one's own, beside --held-out and any --also; a folder is looked at whole. Printed are, for each kind, the share
refused at thresholds that keep 90 to 99 % of the validation images, and the AUROC of the distance against the held-out
ones; --figure draws the share by the threshold. Exits 1 where more than twice the share of held-out images is refused
that should be; of odd ones it claims nothing.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from cli import new_parser, positive, run, seed  # first: it finds the library

# isort: split
import numpy as np
from machine import described
from odd_pictures import draw_odd

from skinmtl.engines.engine import FORWARD_NAMES, NAMES
from skinmtl.explanation.novelty import Novelty, rank_of
from skinmtl.explanation.novelty_file import read_novelty
from skinmtl.scores.tables import columns

ROOT = Path(__file__).resolve().parents[1]
KEEPS = (0.9, 0.95, 0.99)
HELD_OUT = "held out"
MOST = 2.0  # times the share of held-out images that should be refused


def parse_args() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--count", type=positive, default=1200, help="images to draw (default %(default)s)")
    parser.add_argument("--iterations", type=positive, default=2000, help="of the training (default %(default)s)")
    parser.add_argument("--odd", type=positive, default=40, help="pictures of each odd kind (default %(default)s)")
    parser.add_argument("--seed", type=seed, default=1, help="of all that is drawn (default %(default)s)")
    parser.add_argument("--engine", choices=FORWARD_NAMES, default="torch", help="default %(default)s")
    parser.add_argument("--k", type=positive, help="of novelty.py (default: its own)")
    parser.add_argument("--model-folder", type=Path, help="a model of one's own, that has a novelty.npz")
    parser.add_argument("--held-out", type=Path, help="a folder of its photographs that were left out everywhere")
    parser.add_argument(
        "--also", action="append", default=[], metavar="NAME=DIR", help="other pictures; may be repeated"
    )
    parser.add_argument("--figure", type=Path, help="the .png to draw")
    parser.add_argument("--folder", type=Path, help="to work in, and to keep (default: one that is removed)")
    args = parser.parse_args()
    if (args.model_folder is None) != (args.held_out is None):
        parser.error("--model-folder and --held-out go together")
    if args.model_folder is None and args.engine not in NAMES:
        parser.error(f"--engine {args.engine}: trains no net; it goes with --model-folder")
    if any("=" not in each for each in args.also):
        parser.error("--also is NAME=DIR")
    return args


def tool(name: str, *words: Any) -> str:
    """Runs tools/NAME and returns what it printed; where it fails, its error is shown and this ends."""
    command = [sys.executable, str(ROOT / "tools" / name), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command[:4])} ...\n{done.stderr}")
    return done.stdout


def make_model(args: argparse.Namespace, folder: Path) -> Path:
    """Draws the data, trains on them and fits; returns the model folder. What is there already is kept."""
    data, engine = folder / "data", ("--engine", args.engine)
    if not data.exists():
        tool("make_demo_data.py", "--out", data, "--count", args.count, "--seed", args.seed)
    of_data = ("--manifest", data / "manifest.csv", "--images", data / "images")
    if not (folder / "folds.csv").exists():
        tool("make_folds.py", *of_data[:2], "--seed", args.seed, "--out", folder / "folds.csv")
    fold = (*of_data, "--folds", folder / "folds.csv", "--fold", 0)
    parts = {name: ("--subset", name, "--validation", 0.15) for name in ("train", "validation")}
    if not (folder / "run").exists():
        sides = {"train": ("--jitter", 73, 96, "--copies", 3), "validation": ("--short-side", 73)}
        for name, part in parts.items():
            tool("make_lmdb.py", *fold, *part, *sides[name], "--seed", args.seed, "--out", folder / name)
        net = ("--model", "resnet50_mtl", "--trunk", "tiny", "--crop", 64, "--batch-size", 32)
        of_net = ("--train-data", folder / "train", "--test-data", folder / "validation")
        tool("make_prototxt.py", *net, *of_net, "--out", folder / "net")
        how = ("--max-iter", args.iterations, "--test-interval", args.iterations, "--seed", args.seed)
        solver = ("--solver", ROOT / "solvers" / "tiny_mtl.prototxt", "--net", folder / "net")
        tool("train.py", *solver, *how, *engine, "--out", folder / "run")
    for name, part in parts.items():
        if not (folder / f"{name}.npz").exists():
            words = ("--run", folder / "run", *fold, *part, *engine)
            tool("extract_features.py", *words, "--out", folder / f"{name}.npz")
    files = ("--features", folder / "train.npz", "--validation-features", folder / "validation.npz")
    fitted = (
        *files,
        *of_data[:2],
        *(("--k", args.k) if args.k else ()),
        "--out",
        folder / "novelty.npz",
        "--overwrite",
    )
    print(tool("novelty.py", *fitted))
    novelty = ("--novelty", folder / "novelty.npz", "--engine", args.engine)
    tool("export.py", "--run", folder / "run", *novelty, "--out", folder / "model", "--overwrite")
    return folder / "model"


def test_images(folder: Path) -> List[Path]:
    """Those of test fold 0."""
    with open(str(folder / "folds.csv"), encoding="utf-8", newline="") as file:
        return [folder / "data" / "images" / row["image"] for row in csv.DictReader(file) if row["fold"] == "0"]


def distances_of(model: Path, crops: int, sets: Dict[str, Sequence[Path]], engine: str) -> Dict[str, np.ndarray]:
    """What predict.py tells of the images of each set, ascending."""
    how = ("--model-folder", model, "--engine", engine, "--crops", crops, "--json-lines", "-")
    out = tool("predict.py", *how, *(image for images in sets.values() for image in images))
    lines = map(json.loads, out.splitlines())
    told = {line["image"]: line["novelty"]["distance"] for line in lines}
    return {kind: np.sort([told[str(image)] for image in images]) for kind, images in sets.items()}


def files_of(folder: Path) -> List[Path]:
    """All files of a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def beyond(distances: np.ndarray, threshold: float) -> float:
    """The share of images that are refused."""
    return float((distances > threshold).mean())


def auroc(odd: np.ndarray, held_out: np.ndarray) -> float:
    """How often an odd picture is further away than a held-out one; ties are half."""
    below, up_to = (np.searchsorted(held_out, odd, side) for side in ("left", "right"))
    return float((below + up_to).mean() / 2 / len(held_out))


def table(found: Dict[str, np.ndarray], novelty: Novelty) -> List[str]:
    """A row a kind: how many, the median distance, the share refused at each threshold, the AUROC."""
    thresholds = [novelty.validation[rank_of(keep, len(novelty.validation)) - 1] for keep in keeps_of(novelty)]
    rows = [["refused, keeping", "pictures", "median", *(f"{100 * keep:g} %" for keep in keeps_of(novelty)), "AUROC"]]
    for kind, distances in found.items():
        shares = [f"{100 * beyond(distances, threshold):.1f} %" for threshold in thresholds]
        against = "" if kind == HELD_OUT else f"{auroc(distances, found[HELD_OUT]):.3f}"
        rows.append([kind, str(len(distances)), f"{np.median(distances):.3f}", *shares, against])
    rows.append(["threshold", "", "", *(f"{threshold:.3f}" for threshold in thresholds), ""])
    return columns(rows)


def keeps_of(novelty: Novelty) -> List[float]:
    """The KEEPS that there are validation images enough for."""
    return [keep for keep in KEEPS if rank_of(keep, len(novelty.validation)) <= len(novelty.validation)]


def draw_figure(found: Dict[str, np.ndarray], novelty: Novelty, path: Path) -> None:
    """The share refused by the threshold: a line a kind, the held-out ones in black."""
    from skinmtl.figures.style import CYCLE, new_figure, save_figure

    figure = new_figure(7.2, 4.4)
    axes = figure.add_axes((0.09, 0.13, 0.64, 0.8))
    largest = max(distances[-1] for distances in found.values()) * 1.02
    colours = [colour for colour in CYCLE if colour != "#000000"]
    for number, (kind, distances) in enumerate(found.items()):
        x = np.concatenate([[0], distances, [largest]])
        y = 1 - np.concatenate([[0], np.arange(1, len(distances) + 1), [len(distances)]]) / len(distances)
        held_out = kind == HELD_OUT
        axes.step(
            x,
            y,
            where="post",
            label=kind,
            color="black" if held_out else colours[(number - 1) % len(colours)],
            linewidth=2.4 if held_out else 1.3,
            linestyle="-" if number <= len(colours) else "--",
        )
    axes.axvline(novelty.threshold, color="0.4", linewidth=1, linestyle=":")
    axes.text(novelty.threshold, 1.02, f"keeps {100 * novelty.keep:g} %", ha="center", va="bottom", fontsize=9)
    axes.set(xlim=(0, largest), ylim=(0, 1.0), xlabel="threshold of the distance", ylabel="share refused")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=9)
    save_figure(figure, path)


def main() -> Optional[int]:
    args = parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        print(described())
        model = args.model_folder or make_model(args, folder)
        novelty = read_novelty(model / "novelty.npz")
        sets: Dict[str, Sequence[Path]] = {HELD_OUT: files_of(args.held_out) if args.held_out else test_images(folder)}
        for each in args.also:
            name, _, where = each.partition("=")
            sets[name] = files_of(Path(where))
        sets.update(draw_odd(folder / "odd", args.odd, args.seed))
        found = distances_of(model, novelty.crops, sets, args.engine)
        print("\n".join(table(found, novelty)))
        if args.figure:
            draw_figure(found, novelty, args.figure)
        refused = {kind: beyond(distances, novelty.threshold) for kind, distances in found.items()}
    held_out = refused.pop(HELD_OUT)
    least = min(refused, key=refused.__getitem__)
    print(
        f"at the threshold {novelty.threshold:.3f}, that keeps {100 * novelty.keep:g} %: {100 * held_out:.1f} % of the "
        f"held-out pictures refused, of the odd kinds {100 * refused[least]:.0f} % ({least}) or more"
    )
    return 1 if held_out > MOST * (1 - novelty.keep) else None


if __name__ == "__main__":
    run(main)
