#!/usr/bin/env python3
"""Renders a small skin-like data set, images and labels, for the demo and for trying the other tools."""

import argparse

from cli import new_parser, positive, run, seed, usable_cores
from parsing import renamed
from skinmtl.data.demo import data_set, mole_set


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_output_argument("--out", folder=True, required=True, help="the folder to make")
    parser.add_argument(
        "--count", type=positive, default=1200, metavar="N", help="images to draw (default %(default)s)"
    )
    renamed(parser, "--images", "--count")
    parser.add_argument("--patients", type=positive, metavar="N", help="default: a third of the images")
    parser.add_argument(
        "--masks",
        action="store_true",
        help="draw one mole an image instead, benign or malignant, and write its mask too: DIR is then the folder of "
        "both, images/ and masks/ are in it",
    )
    parser.add_argument("--seed", type=seed, default=1, metavar="S", help="default: 1")
    parser.add_argument("--workers", type=positive, default=usable_cores(), metavar="N", help="default: one per core")
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    if args.patients is None:
        args.patients = max(1, args.count // 3)
    if args.patients > args.count:
        parser.error(f"--patients {args.patients}: every patient needs an image, and there are {args.count}")
    return args


def main() -> None:
    args = parse_args()
    demo = mole_set if args.masks else data_set
    rows = demo.make(args.out, args.count, args.patients, args.seed, args.workers)
    print(f"{args.out}: {len(rows)} images of {args.patients} patients{', with masks' if args.masks else ''}")
    for kind, names in demo.counts(rows).items():
        print(f"{kind}:")
        for name, number in names.items():
            print(f"  {name:<20} {number:>6}")


if __name__ == "__main__":
    run(main)
