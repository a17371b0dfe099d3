#!/usr/bin/env python3
"""Proves that the LMDBs of a folder are aligned, whole, and equal to what the manifest says."""

import argparse
from pathlib import Path

from cli import new_parser, not_negative, positive, run
from skinmtl.data.lmdb_check import USUAL_CROP, check_lmdbs


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument("out", type=Path, help="the folder that make_lmdb.py made")
    parser.add_argument(
        "--crop",
        metavar="PIXELS",
        type=positive,
        help=f"what the net crops (default {USUAL_CROP}; where there are masks nothing is cropped)",
    )
    parser.add_argument(
        "--manifest", metavar="CSV", type=Path, help="where it is now (default: where dataset.json says)"
    )
    parser.add_argument(
        "--images", metavar="DIR", type=Path, help="where they are now (default: where dataset.json says)"
    )
    parser.add_argument(
        "--masks", metavar="DIR", type=Path, help="where they are now (default: where dataset.json says)"
    )
    parser.add_argument(
        "--compare",
        type=not_negative,
        default=200,
        metavar="N",
        help="records to hold against their source files, evenly spread (default %(default)s; 0 needs no images)",
    )
    return parser


def parse_args() -> argparse.Namespace:
    return make_parser().parse_args()


def main() -> None:
    args = parse_args()
    checked = check_lmdbs(args.out, args.crop, args.manifest, args.images, args.compare, args.masks)
    print(
        f"{args.out}: {checked.n_records} records of {checked.n_images} images aligned, labels equal to the manifest, "
        f"{checked.n_compared} images{' and masks' if checked.has_masks else ''} equal to their sources"
    )
    if not checked.has_digests:
        older = "dataset.json was written by an older make_lmdb.py, without digests"
        print(f"{args.out}: {older}: the records were not checked against them")


if __name__ == "__main__":
    run(main)
