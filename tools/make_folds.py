#!/usr/bin/env python3
"""Splits a manifest's images into folds for cross-validation, and says how evenly they hold every label.

example: tools/make_folds.py --manifest manifest.csv --out folds.csv

folds.csv                  image,fold
folds.json                 the balance of every label, what made the folds, and what near-duplicates were found
folds_near_duplicates.csv  with --near-duplicates: image_a,image_b,distance,group_a,group_b,correlation,mirrored
"""

import argparse
from pathlib import Path
from typing import List

from arguments import add_manifest_argument, add_near_duplicate_arguments, check_near_duplicate_arguments, manifest_of
from cli import new_parser, positive, run, seed
from parsing import renamed
from skinmtl.data.folds import read_folds
from skinmtl.data.manifest import Manifest
from skinmtl.data.same_bytes import notes_on_same_bytes
from skinmtl.splits.near_duplicates import USUAL_CORRELATION, USUAL_DISTANCE, Search
from skinmtl.splits.official import write_official
from skinmtl.splits.splitting import Split, pairs_path, report_path, write_split

N_FOLDS = 5


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    add_manifest_argument(parser)
    parser.add_output_argument("--out", beside=beside, required=True, help="the CSV to write: image,fold")
    parser.add_argument("--n-folds", type=positive, metavar="N", help=f"default {N_FOLDS}, the paper's")
    parser.add_argument(
        "--split-column",
        metavar="NAME",
        help="make the folds of the data set's own split instead, by this column of the manifest: test is fold 0, "
        "validation fold 1, train the last one",
    )
    renamed(parser, "--k", "--n-folds")
    parser.add_argument("--seed", metavar="S", type=seed, default=1, help="of the random order (default %(default)s)")
    parser.add_argument(
        "--by",
        choices=("group", "image"),
        help="what stays whole: a group, so that no patient is in training and test (default), or only the image",
    )
    parser.add_argument(
        "--balance",
        choices=("labels", "none"),
        help="what is spread evenly besides the number of images: lesions and locations, or nothing, as in plain "
        "random folds (default: labels by group, none by image, which is the paper's protocol)",
    )
    add_near_duplicate_arguments(parser, USUAL_DISTANCE, USUAL_CORRELATION)
    parser.add_output_argument(
        "--merge-near-duplicates",
        folder=True,
        help="keep groups that near-duplicates link in one fold, and make DIR with the manifest of these groups, for "
        "the tools that come after; its column original_group keeps the groups that were",
    )
    return parser


def beside(out: Path, args: argparse.Namespace) -> List[Path]:
    """What is written beside the folds."""
    return [report_path(out)] if args.near_duplicates is None else [report_path(out), pairs_path(out)]


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    check_near_duplicate_arguments(parser, args, images_alone=True)
    dealing = ("n_folds", "by", "balance", "near_duplicates")
    given = [name for name in dealing if getattr(args, name) is not None]
    if args.split_column and given:
        parser.error(f"--split-column: the folds are the data set's own; leave --{given[0].replace('_', '-')} out")
    args.n_folds, args.by = args.n_folds or N_FOLDS, args.by or "group"
    if args.n_folds == 1:
        parser.error("--n-folds: one fold leaves nothing to train on; make two or more")
    if args.near_duplicates is not None and args.by == "image":
        parser.error("--near-duplicates are sought across groups: it goes with --by group")
    if args.merge_near_duplicates and args.near_duplicates is None:
        parser.error("--merge-near-duplicates needs --near-duplicates")
    if args.balance is None:
        args.balance = "labels" if args.by == "group" else "none"
    labels = (args.manifest.with_name("lesions.txt"), args.manifest.with_name("locations.txt"))
    for path in (args.out, report_path(args.out), pairs_path(args.out)):
        parser.refuse_inputs(path, *labels)
    out = args.out.resolve()
    if args.merge_near_duplicates and args.merge_near_duplicates.resolve() in (out, *out.parents):
        parser.error(f"{args.merge_near_duplicates}: is made whole by this command; put --out beside it, not into it")
    if args.out == report_path(args.out):
        parser.error(f"{args.out}: is where the report goes; name the folds .csv")
    return args


def main() -> None:
    args = parse_args()
    manifest = manifest_of(args)
    if args.split_column:
        for line in write_official(manifest, args.out, report_path(args.out), args.split_column, vars(args)):
            print(line)
        tell_same_bytes(args, manifest)
        return
    search = None
    if args.near_duplicates is not None:
        search = Search(args.images, args.near_duplicates, args.least_correlation, args.workers)
    split = Split(args.n_folds, args.seed, args.by, args.balance, search, args.merge_near_duplicates)
    for line in write_split(manifest, args.out, split, vars(args)):
        print(line)
    tell_same_bytes(args, manifest)


def tell_same_bytes(args: argparse.Namespace, manifest: Manifest) -> None:
    """With --images: which files are there under several names, in several folds or with several labels."""
    if args.images:
        for line in notes_on_same_bytes(manifest, args.images, read_folds(args.out, manifest)):
            print(f"note: {line}")


if __name__ == "__main__":
    run(main)
