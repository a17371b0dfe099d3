#!/usr/bin/env python3
"""Turns saved scores into the paper's figures: both mAPs, the AP of every lesion, location top-1 and top-3.

example: tools/evaluate.py runs/mtl/scores.npz --json runs/mtl/metrics.json

AP has no interpolation. Tied scores share one threshold, as in scikit-learn; a tie of the true location counts against
the model, as in Caffe. A lesion with no positive is left out of mAP-class, an image with no lesion out of mAP-image;
all of these are counted in the output. "without looking" is what a model gets that sees no image: a random order for
mAP-class, the most frequent lesions first for mAP-image, the most frequent locations for top-1 and top-3.

--bootstrap adds intervals: how far the figures would move with other patients. Groups of images are drawn with
replacement; a lesion that has no positive in a resample has no AP there and leaves that mAP-class, as above.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from arguments import add_group_column_argument, manifest_of
from caffe_files.errors import InputError
from caffe_files.outputs import new_file
from cli import finite, new_parser, positive, run, seed
from parsing import renamed
from skinmtl.common.json_file import write_json
from skinmtl.common.provenance import made_by, sha256
from skinmtl.data.manifest import Manifest
from skinmtl.data.seen import marks, n_trained
from skinmtl.scores.bootstrap import intervals
from skinmtl.scores.metrics import evaluate
from skinmtl.scores.pairing import groups_of
from skinmtl.scores.scores_file import Scores, read_scores
from skinmtl.scores.tables import evaluation_table

OF_BOOTSTRAP = {
    "seed": 1,
    "manifest": None,
    "group_column": None,
    "level": 0.95,
}  # flags that go with --bootstrap, and their defaults
FIGURES = ("map_class", "map_image", "location_top1", "location_top3")


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument("scores", type=Path, metavar="S.npz", help="a scores file of tools/score.py")
    parser.add_output_argument(
        "--json",
        help="also write every figure as JSON, with the protocol and the sha256 of the scores (default: screen only; "
        "example: --json metrics.json)",
    )
    parser.add_argument(
        "--fail-if-below",
        type=floor,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="exit with status 1 where a figure is below VALUE or missing, or of images that were trained on; NAME is "
        f"one of {', '.join(FIGURES)}, VALUE in [0, 1]; may repeat (default: no check; example: --fail-if-below "
        "map_class=0.6)",
    )
    renamed(parser, "--at-least", "--fail-if-below")
    parser.add_argument(
        "--bootstrap",
        type=positive,
        metavar="N",
        help="also give an interval for every figure, from N resamples (default: none; example: --bootstrap 10000)",
    )
    parser.add_argument("--seed", type=seed, metavar="S", help="of the resamples (default: 1)")
    parser.add_argument(
        "--manifest",
        type=Path,
        metavar="CSV",
        help="the manifest whose group column says which images are drawn together (default: each image by itself)",
    )
    add_group_column_argument(parser)
    parser.add_argument(
        "--level", type=level, metavar="SHARE", help="of the resamples, inside the interval (default: 0.95)"
    )
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    arguments = parser.parse_args()
    for name, default in OF_BOOTSTRAP.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, default if arguments.bootstrap else None)
        elif not arguments.bootstrap:
            parser.error(f"--{name.replace('_', '-')} goes with --bootstrap N")
    if arguments.group_column is not None and arguments.manifest is None:
        parser.error("--group-column goes with --manifest")
    return arguments


def level(text: str) -> float:
    """A share between 0 and 1, neither of them."""
    value = finite(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1")
    return value


def floor(text: str) -> tuple[str, float]:
    """NAME=VALUE as (name, value)."""
    name, equals, number = text.partition("=")
    if not equals or name not in FIGURES:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE with NAME one of {', '.join(FIGURES)}")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r}: the value is not a number in [0, 1]")
    return name, value


def too_low(figures: dict[str, Any], floors: list[tuple[str, float]]) -> list[str]:
    """One phrase for each figure that is missing or below its floor."""
    return [
        f"{name} is missing" if figures[name] is None else f"{name} is {figures[name]:.6g}, below {value:g}"
        for name, value in floors
        if figures[name] is None or figures[name] < value
    ]


def groups_to_draw(path: Path, scores: Scores, manifest: Manifest | None) -> list[str]:
    """Each image's group in the manifest, or without one its name."""
    groups = scores.image if manifest is None else groups_of(str(path), scores, manifest)
    if len(set(groups)) == 1:
        where = path if manifest is None else manifest.path
        raise InputError(f"{where}: all images are one group; an interval needs two or more to draw from")
    return groups


def main() -> None:
    arguments = parse_args()
    scores = read_scores(arguments.scores)
    figures = evaluate(scores)
    seen = marks(scores.protocol)
    if arguments.bootstrap:
        so = "where patients have several images, the intervals are too narrow"
        manifest = manifest_of(arguments, so) if arguments.manifest else None
        groups = groups_to_draw(arguments.scores, scores, manifest)
        figures.update(intervals(scores, groups, arguments.bootstrap, arguments.seed, arguments.level))
    if arguments.json is not None:
        source = {"seen": seen, "scores_sha256": sha256(arguments.scores), "protocol": scores.protocol}
        if arguments.manifest is not None:
            source["manifest_sha256"] = sha256(arguments.manifest)
        report = {**figures, **source, "made_by": made_by(vars(arguments))}
        with new_file(arguments.json) as partial:
            write_json(partial, report, allow_nan=False)
    print("\n".join([evaluation_table(figures), *(f"note: {mark}" for mark in seen)]))
    failures = too_low(figures, arguments.fail_if_below)
    if arguments.fail_if_below and n_trained(scores.protocol):
        failures.append("the figures are of images that were trained on")
    if failures:
        raise InputError(f"{arguments.scores}: {'; '.join(failures)}")


if __name__ == "__main__":
    run(main)
