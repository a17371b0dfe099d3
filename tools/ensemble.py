#!/usr/bin/env python3
"""Combines the scores of several models on the same images: for each image and class the best, or the mean.

example: tools/ensemble.py resnet50_lesion/scores.npz resnet50_mtl/scores.npz --out ensemble/scores.npz

Rows are matched by image name. Files whose images, labels or label names differ are refused, with the first difference;
nets, weights and crops may differ. A head (lesion, location) that not all files have is left out, and that is said.
"""

import argparse
from pathlib import Path

from cli import new_parser, run
from skinmtl.scores.ensemble import RULES, combine_files


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument("scores", type=Path, nargs="+", metavar="S.npz", help="two or more files of tools/score.py")
    parser.add_output_argument("--out", required=True, help="the scores file to write")
    parser.add_argument(
        "--rule",
        choices=sorted(RULES),
        default="maximum",
        help="of the scores of an image and class; maximum is the paper's (default: %(default)s)",
    )
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    if len(args.scores) < 2:
        parser.error("name two or more scores files")
    if len({path.resolve() for path in args.scores}) < len(args.scores):
        parser.error("a scores file is named twice; name each once")
    if args.out.suffix != ".npz":
        parser.error(f"--out {args.out}: must end in .npz")
    return args


def main() -> None:
    args = parse_args()
    print(combine_files(args.scores, args.rule, args.out, vars(args)))


if __name__ == "__main__":
    run(main)
