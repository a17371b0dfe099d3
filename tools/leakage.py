#!/usr/bin/env python3
"""Says how many test images of given folds have a sibling in training: an image of the same group in another fold.

example: tools/leakage.py --manifest manifest.csv --folds folds.csv
"""

import argparse
from pathlib import Path

from cli import finite, new_parser, not_negative, positive, refuse_overwriting, run, usable_cores
from skinmtl.common.errors import InputError
from skinmtl.data.manifest import read_manifest
from skinmtl.splits.leakage_report import judge_folds
from skinmtl.splits.near_duplicates import USUAL_CORRELATION, USUAL_DISTANCE, Search


def parse_args() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="the CSV: image,lesions,location and group")
    parser.add_argument("--folds", type=Path, required=True, help="the CSV of its folds: image,fold")
    parser.add_argument(
        "--group-column",
        default="group",
        metavar="NAME",
        help="the manifest's column that says which images are siblings (default %(default)s)",
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="where the images are; for --near-duplicates")
    parser.add_argument(
        "--near-duplicates",
        type=not_negative,
        nargs="?",
        const=USUAL_DISTANCE,
        metavar="DISTANCE",
        help="count near-duplicates in training too: images of other groups whose 64-bit hashes differ in at most "
        "DISTANCE bits (%(const)s where none is given), mirrored or not",
    )
    parser.add_argument(
        "--least-correlation",
        type=finite,
        default=USUAL_CORRELATION,
        metavar="R",
        help="of the grey images, shrunk to 32 x 32, for them to be near-duplicates (default %(default)s; less finds "
        "more crops, -1 believes the hashes alone)",
    )
    parser.add_argument("--json", type=Path, help="write the counts, the groups and the pairs that leak to this file")
    parser.add_argument("--fail-on-leak", action="store_true", help="exit with status 1 where an image leaks")
    parser.add_argument(
        "--workers", type=positive, default=usable_cores(), help="processes that read images (default: one a core)"
    )
    args = parser.parse_args()
    if (args.images is None) != (args.near_duplicates is None):
        parser.error("--images and --near-duplicates go together")
    if args.json:
        refuse_overwriting(parser, args.json, args.manifest, args.folds)
    return args


def main() -> None:
    args = parse_args()
    manifest = read_manifest(args.manifest)
    search = Search(args.images, args.near_duplicates, args.least_correlation, args.workers) if args.images else None
    leaking, lines = judge_folds(manifest, args.folds, args.group_column, search, args.json, vars(args))
    for line in lines:
        print(line)
    if leaking and args.fail_on_leak:
        raise InputError(f"{args.folds}: {leaking} test images leak; deal whole groups (make_folds.py --by group)")


if __name__ == "__main__":
    run(main)
