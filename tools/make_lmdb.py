#!/usr/bin/env python3
"""Turns a manifest and its images into the three LMDBs that Caffe trains on."""

import argparse
import sys

from arguments import add_data_arguments, add_fold_arguments, add_workers_argument, check_fold_arguments, manifest_of
from cli import new_parser, positive, run, seed
from skinmtl.common.counting import counted
from skinmtl.data.folds import select
from skinmtl.data.lmdb_write import Sizes, write_lmdbs
from skinmtl.images.told import counted_lines


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    add_data_arguments(parser)
    parser.add_output_argument("--out", folder=True, required=True, help="the folder to make")
    add_fold_arguments(parser)
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument(
        "--short-side", type=positive, default=256, metavar="PIXELS", help="of the stored images (default %(default)s)"
    )
    sizes.add_argument(
        "--jitter",
        type=positive,
        nargs=2,
        metavar=("MIN", "MAX"),
        help="draw each copy's shorter side from this range instead, both ends included (the paper: 256 480)",
    )
    parser.add_argument(
        "--copies", metavar="N", type=positive, default=1, help="records per image, with --jitter (default 1)"
    )
    parser.add_argument("--seed", metavar="S", type=seed, default=1, help="of order and jitter (default %(default)s)")
    add_workers_argument(parser)
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    check_fold_arguments(parser, args)
    if args.copies > 1 and not args.jitter:
        parser.error("--copies needs --jitter: without it all copies would be equal")
    if args.jitter and args.jitter[0] > args.jitter[1]:
        parser.error("--jitter: MIN is larger than MAX")
    return args


def main() -> None:
    args = parse_args()
    so = "where patients have several images, some are trained on and others watched" if args.validation else ""
    manifest = select(manifest_of(args, so), args.folds, args.fold, args.subset, args.validation)
    smallest, largest = args.jitter or (args.short_side, args.short_side)
    sizes = Sizes(smallest, largest, args.copies)
    summary = write_lmdbs(manifest, args.images, args.out, sizes, args.seed, args.workers, vars(args))
    print(
        f"{args.out}: {counted(summary['n_records'], 'record')} of {counted(summary['n_images'], 'image')}, "
        f"{counted(len(manifest.lesion_names), 'lesion')}, {counted(len(manifest.location_names), 'location')}"
    )
    if summary["upscaled"]:
        were = "image was smaller and is" if len(summary["upscaled"]) == 1 else "images were smaller and are"
        print(f"{len(summary['upscaled'])} {were} enlarged; dataset.json lists them")
    for profile, count in summary["converted_to_srgb"].items():
        were = "record was" if count == 1 else "records were"
        print(f"{count} {were} converted to sRGB from the colour profile {profile}")
    for line in counted_lines(summary["told"]):
        print(f"{line}; dataset.json lists all", file=sys.stderr)


if __name__ == "__main__":
    run(main)
