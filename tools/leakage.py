#!/usr/bin/env python3
"""Says how many test images of given folds have a sibling in training: an image of the same group in another fold.

example: tools/leakage.py --manifest manifest.csv --folds folds.csv
"""

import argparse
import sys
from pathlib import Path

from arguments import add_manifest_argument, add_near_duplicate_arguments, check_near_duplicate_arguments, manifest_of
from caffe_files.errors import InputError
from cli import new_parser, program, run
from parsing import renamed
from skinmtl.splits.leakage_report import judge_folds
from skinmtl.splits.near_duplicates import USUAL_CORRELATION, USUAL_DISTANCE, Search

NOT_SHOWN = 3  # the exit status where nothing is found, and nothing could be


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    add_manifest_argument(parser)
    parser.add_argument("--folds", metavar="CSV", type=Path, required=True, help="the CSV of its folds: image,fold")
    add_near_duplicate_arguments(parser, USUAL_DISTANCE, USUAL_CORRELATION)
    parser.add_output_argument("--json", help="write the counts, the groups and the pairs that leak to this file")
    parser.add_argument(
        "--fail-if-leak",
        action="store_true",
        help="exit with status 1 where an image leaks, with 3 where none is known to leak but some have no group",
    )
    renamed(parser, "--fail-on-leak", "--fail-if-leak")
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    check_near_duplicate_arguments(parser, args)
    return args


def main() -> int:
    args = parse_args()
    manifest = manifest_of(args)
    search = Search(args.images, args.near_duplicates, args.least_correlation, args.workers) if args.images else None
    leaking, without_group, lines = judge_folds(manifest, args.folds, search, args.json, vars(args))
    for line in lines:
        print(line)
    if leaking and args.fail_if_leak:
        raise InputError(
            f"{args.folds}: {leaking} test images leak; keep groups in one fold (make_folds.py --by group)"
        )
    if without_group and args.fail_if_leak:
        print(
            f"{program()}: {args.manifest}: {without_group} images have no group, so nothing shows that these folds do "
            "not leak; give them one, or another --group-column",
            file=sys.stderr,
        )
        return NOT_SHOWN
    return 0


if __name__ == "__main__":
    run(main)
