#!/usr/bin/env python3
"""Looks at a data set before training: labels, groups, image files, and a contact sheet per label.

example: tools/describe.py --manifest demo/manifest.csv --images demo/images --out description

DIR/index.html        all of it as a page; DIR/description.txt: the same as text
DIR/description.json  all numbers
DIR/*.csv             labels, pairs, and one line per image, mask, unusable file and repeated file
DIR/sheets            one picture per label with some of its images, their names, groups, and outlines of masks

Every image file is read whole and decoded: one that is missing or damaged is listed, and the others are described.
"""

import argparse
from pathlib import Path

from arguments import add_manifest_argument, add_masks_argument, add_workers_argument
from caffe_files.errors import InputError
from cli import new_parser, not_negative, run, seed
from parsing import renamed, renamed_positional
from skinmtl.description.page import short_text
from skinmtl.description.sheets import MOST_TILES
from skinmtl.description.write import Request, describe


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    renamed_positional(parser, add_manifest_argument(parser))
    parser.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="the folder that the manifest's images are in (default: look at the labels only)",
    )
    add_masks_argument(parser)
    parser.add_output_argument("--out", folder=True, required=True, help="the folder to make")
    parser.add_argument("--folds", type=Path, metavar="CSV", help="the CSV that make_folds.py wrote: count by fold too")
    parser.add_argument(
        "--sheet",
        type=not_negative,
        default=24,
        metavar="N",
        help="images on a contact sheet, 0 for no sheets (default %(default)s)",
    )
    parser.add_argument(
        "--seed", metavar="S", type=seed, default=1, help="of the choice of these images (default %(default)s)"
    )
    add_workers_argument(parser)
    parser.add_argument(
        "--fail-if-unusable",
        action="store_true",
        help="exit with status 1, the description made, where an image file or a mask cannot be used",
    )
    renamed(parser, "--strict", "--fail-if-unusable")
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    if args.sheet > MOST_TILES:
        parser.error(f"--sheet: at most {MOST_TILES} images fit on a contact sheet")
    if args.fail_if_unusable and args.images is None:
        parser.error("--fail-if-unusable needs --images")
    if args.masks is not None and args.images is None:
        parser.error("--masks needs --images")
    return args


def main() -> None:
    args = parse_args()
    request = Request(
        args.manifest, args.images, args.folds, args.sheet, args.seed, args.workers, args.group_column, args.masks
    )
    description = describe(request, args.out, vars(args))
    for line in short_text(description):
        print(line)
    print(f"{args.out / 'index.html'} has it all")
    if args.fail_if_unusable and description.files.problems:
        raise InputError(
            f"{args.out / 'problems.csv'}: {len(description.files.problems)} of {len(description.files.facts)} images "
            "cannot be used; mend them or take their lines out of the manifest"
        )
    if args.fail_if_unusable and description.masks and description.masks.problems:
        raise InputError(
            f"{args.out / 'masks.csv'}: {len(description.masks.problems)} of {len(description.masks.facts)} masks "
            "cannot be used; mend them or take their lines out of the manifest"
        )


if __name__ == "__main__":
    run(main)
