#!/usr/bin/env python3
"""Says which test images a training has seen: siblings in other folds, or images that stand in two sets.

example: tools/leakage.py --manifest manifest.csv --folds folds.csv
         tools/leakage.py --manifest isic2017/manifest.csv --against isic2016/manifest.csv --images ISIC2017 \\
             --against-images ISIC2016 --near-duplicates --out-without isic2017_without_2016

--folds: how many test images have an image of the same group in another fold.
--against: which images of the manifest stand in another manifest too, by id, bytes and near-duplicates.
"""

import argparse
import sys
from pathlib import Path

from arguments import add_manifest_argument, add_near_duplicate_arguments, check_near_duplicate_arguments, manifest_of
from caffe_files.errors import InputError
from cli import new_parser, program, run
from parsing import renamed
from skinmtl.data.manifest import Manifest, read_manifest
from skinmtl.splits.against_report import Comparison, compare_sets
from skinmtl.splits.leakage_report import judge_folds
from skinmtl.splits.near_duplicates import USUAL_CORRELATION, USUAL_DISTANCE, Search

NOT_SHOWN = 3  # the exit status where nothing is found, and nothing could be


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    add_manifest_argument(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--folds", metavar="CSV", type=Path, help="the CSV of its folds: image,fold")
    what.add_argument("--against", metavar="CSV", type=Path, help="another manifest, such as that of a test set")
    add_near_duplicate_arguments(parser, USUAL_DISTANCE, USUAL_CORRELATION)
    parser.add_output_argument("--json", help="write the counts, the groups and the pairs that leak to this file")
    parser.add_argument(
        "--fail-if-leak",
        action="store_true",
        help="exit with status 1 where an image leaks, with 3 where none is known to leak but some have no group",
    )
    renamed(parser, "--fail-on-leak", "--fail-if-leak")
    other = parser.add_argument_group("with --against")
    other.add_argument(
        "--against-images",
        type=Path,
        metavar="DIR",
        help="the folder of the other manifest's images (default: --images)",
    )
    other.add_argument(
        "--ignore-names",
        action="store_true",
        help="images of one name may be different ones: compare their files alone (default: the same id, one image)",
    )
    parser.add_output_argument(
        "--out-without",
        folder=True,
        help="with --against: make DIR with the manifest without the images that are in both, and left_out.csv",
    )
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    check_near_duplicate_arguments(parser, args, images_alone=args.against is not None)
    for flag in ("against_images", "ignore_names", "out_without"):
        if getattr(args, flag) and not args.against:
            parser.error(f"--{flag.replace('_', '-')} goes with --against")
    if (args.against_images or args.ignore_names) and not args.images:
        parser.error("--against-images and --ignore-names need --images")
    return args


def main() -> int:
    args = parse_args()
    manifest = manifest_of(args)
    search = None
    if args.near_duplicates is not None:
        search = Search(args.images, args.near_duplicates, args.least_correlation, args.workers)
    return of_sets(args, manifest, search) if args.against else of_folds(args, manifest, search)


def of_folds(args: argparse.Namespace, manifest: Manifest, search: "Search | None") -> int:
    leaking, without_group, lines = judge_folds(manifest, args.folds, search, args.json, vars(args))
    print("\n".join(lines))
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


def of_sets(args: argparse.Namespace, manifest: Manifest, search: "Search | None") -> int:
    other = read_manifest(args.against, "image")  # its groups play no part
    how = Comparison(other, args.images, args.against_images or args.images, not args.ignore_names, search)
    leaking, lines = compare_sets(manifest, how, args.json, args.out_without, vars(args))
    print("\n".join(lines))
    if leaking and args.fail_if_leak:
        remedy = f"{args.out_without} has the rest" if args.out_without else "--out-without DIR makes one without them"
        raise InputError(f"{args.manifest}: {leaking} of its images stand in {args.against} too; {remedy}")
    return 0


if __name__ == "__main__":
    run(main)
