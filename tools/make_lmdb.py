#!/usr/bin/env python3
"""Turns a manifest and its images, and masks where there are some, into the LMDBs that Caffe trains on."""

import argparse
import sys
from typing import Any, Dict, List, Optional, Sequence, Tuple

from arguments import (
    add_data_arguments,
    add_fold_arguments,
    add_masks_argument,
    add_workers_argument,
    check_fold_arguments,
    manifest_of,
)
from cli import finite, new_parser, positive, program, run, seed
from skinmtl.common.counting import counted
from skinmtl.data.folds import read_folds, select
from skinmtl.data.lmdb_write import Sizes, at_most, write_lmdbs
from skinmtl.data.manifest import Manifest
from skinmtl.data.masks_for import check_classes, for_masks
from skinmtl.data.repeats import Balance
from skinmtl.data.same_bytes import notes_on_same_bytes
from skinmtl.data.stored_mask import COMPONENTS, KEEP, MaskRules
from skinmtl.images.told import counted_lines

SHORT_SIDE, LONG_SIDE = 256, 1024  # the paper's with jitter 256 to 480; Song et al.'s net takes 1024 x 1024


# the kinds of masks that dataset.json lists, and what is said of them; grey, several and lost ones are told on stderr
SAID_OF_MASKS = {
    "empty": "without a lesion",
    "full": "all white",
    "touching_border": "touching the border",
}


def part(text: str) -> float:
    """An argparse type: a number above 0 and below 1."""
    value = finite(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and below 1")
    return value


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    add_data_arguments(parser)
    parser.add_output_argument("--out", folder=True, required=True, help="the folder to make")
    add_fold_arguments(parser)
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument(
        "--short-side",
        type=positive,
        metavar="PIXELS",
        help=f"of the stored images (default where the manifest has no masks: {SHORT_SIDE})",
    )
    sizes.add_argument(
        "--long-side",
        type=positive,
        metavar="PIXELS",
        help="of the stored images, at most: none is enlarged. Masks are stored with it alone (default where the "
        f"manifest has masks: {LONG_SIDE})",
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
    parser.add_argument(
        "--balance",
        type=part,
        metavar="SHARE",
        help="repeat images of a lesion that less than this share of the images has, the square root of SHARE / its "
        "share times (LVIS's repeat factors; default: every image once; example: --balance 0.1)",
    )
    add_workers_argument(parser)
    masks = parser.add_argument_group("masks, the manifest's column mask")
    add_masks_argument(masks)
    masks.add_argument("--drop-unmasked", action="store_true", help="leave images without a mask out, and count them")
    masks.add_argument(
        "--components",
        choices=COMPONENTS,
        default=KEEP,
        help="of a mask with several lesions: keep all, or the largest alone (default %(default)s)",
    )
    masks.add_argument(
        "--allow-empty-masks", action="store_true", help="an all-black mask is an image without a lesion"
    )
    masks.add_argument(
        "--allow-full-masks", action="store_true", help="an all-white mask is a lesion that fills a close-up"
    )
    return parser


def parse_args(words: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args(words)
    check_fold_arguments(parser, args)
    if args.copies > 1 and not args.jitter:
        parser.error("--copies needs --jitter: without it all copies would be equal")
    if args.jitter and args.jitter[0] > args.jitter[1]:
        parser.error("--jitter: MIN is larger than MAX")
    if args.balance and args.subset not in (None, "train"):
        parser.error("--balance is of training images: what is watched or tested is seen once each")
    of_masks = ("masks", "drop_unmasked", "allow_empty_masks", "allow_full_masks")
    given = [f"--{name.replace('_', '-')}" for name in of_masks if getattr(args, name)]
    given += ["--components"] if args.components != KEEP else []
    if given and (args.short_side or args.jitter):
        parser.error(f"{given[0]} goes with --long-side: masks are not stored with --short-side and --jitter")
    return args


def masks_of(args: argparse.Namespace, whole: Manifest, manifest: Manifest) -> Tuple[Manifest, Optional[MaskRules]]:
    """The images to store, and their masks' rules; None where no masks are to be stored. What that means is told."""
    of_masks = (args.masks, args.drop_unmasked, args.allow_empty_masks, args.allow_full_masks, args.components != KEEP)
    if not whole.has_masks and not any(of_masks):
        return manifest, None
    if args.short_side or args.jitter:
        print("the manifest's masks are not stored: they go with --long-side", file=sys.stderr)
        return manifest, None
    manifest, n_dropped = for_masks(manifest, args.drop_unmasked)
    if args.subset in (None, "train"):
        check_classes(manifest)
    if n_dropped:
        print(f"{counted(n_dropped, 'image')} without a mask left out")
    rules = MaskRules(args.masks or args.images, args.components, args.allow_empty_masks, args.allow_full_masks)
    return manifest, rules


def lines_of_balance(summary: Dict[str, Any]) -> List[str]:
    """Which lesions are repeated, and how often; nothing without --balance."""
    if "balance" not in summary:
        return []
    counts = zip(summary["lesion_names"], summary["images_per_lesion"], summary["balance"]["records_per_lesion"])
    lines = [
        f"  {name}: {counted(images, 'image')}, in {counted(records, 'record')}"
        for name, images, records in counts
        if records > images
    ]
    share = f"{100 * summary['balance']['threshold']:g} %"
    if not lines:
        return [f"no lesion is below {share}: nothing is repeated"]
    return [f"images of lesions below {share} are repeated; all that are seen more often:", *lines]


def main() -> None:
    args = parse_args()
    so = "where patients have several images, some are trained on and others watched" if args.validation else ""
    whole = manifest_of(args, so)
    manifest = select(whole, args.folds, args.fold, args.subset, args.validation, args.validation_fold)
    manifest, masks = masks_of(args, whole, manifest)
    if args.long_side or masks:
        sizes = at_most(args.long_side or LONG_SIDE)
    else:
        smallest, largest = args.jitter or [args.short_side or SHORT_SIDE] * 2
        sizes = Sizes(smallest, largest, args.copies)
    balance = Balance(args.balance, args.seed) if args.balance else None
    summary = write_lmdbs(manifest, args.images, args.out, sizes, args.seed, args.workers, vars(args), masks, balance)
    folds = None if args.folds is None else read_folds(args.folds, whole)
    for line in notes_on_same_bytes(whole, args.images, folds, [row.image for row in manifest.rows]):
        print(f"{program()}: note: {line}", file=sys.stderr)
    print(
        f"{args.out}: {counted(summary['n_records'], 'record')} of {counted(summary['n_images'], 'image')}"
        f"{', with masks' if masks else ''}, "
        f"{counted(len(manifest.lesion_names), 'lesion')}, {counted(len(manifest.location_names), 'location')}"
    )
    for line in lines_of_balance(summary):
        print(line)
    for kind, words in SAID_OF_MASKS.items():
        if summary.get("masks", {}).get(kind):
            print(f"{counted(len(summary['masks'][kind]), 'mask')} {words}; dataset.json lists the images")
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
