#!/usr/bin/env python3
"""Refines the labels of a manifest by the paper's rules: merges, families of sublesions, no label with few images.

example: tools/refine_labels.py --manifest imported/manifest.csv --map dermacon-in --out refined

A map is a CSV `from,to,kind`, a rule a line. In this order, counting images anew before each step:

  1  site-merge     the location `from` becomes `to`         site-drop    images at `from` leave (`to` is empty)
  2  lesion-merge   the lesion `from` becomes `to`           lesion-drop  `from` is taken off its images
  3  lesion-family  the sublesion `from` becomes `to`, unless it has more than --keep-over images
  4  labels with fewer than --min-images images are dropped, again and again until each that is left has enough

An image that loses its location or its last lesion leaves the manifest. Several maps are taken together; for a label
with a rule in two of them the later map's counts.

DIR/manifest.csv, DIR/lesions.txt, DIR/locations.txt  as before, with the new labels; other columns are kept
DIR/refinement.json, DIR/refinement.md                the counts after each step, and what became of each label and why
DIR/dropped_images.csv                                the images that left, as they stood, and why
"""

import argparse
from pathlib import Path

from arguments import add_group_column_argument, manifest_of
from cli import new_parser, not_negative, positive, run
from skinmtl.refinement.example import write_example
from skinmtl.refinement.refine import Limits, refine
from skinmtl.refinement.rules import READY_MAPS, kinds_of, read_label_map, ready_maps
from skinmtl.refinement.write import summary, write_refinement


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument("--manifest", metavar="CSV", type=Path, help="the CSV: image,lesions,location and group")
    add_group_column_argument(parser)
    parser.add_output_argument("--out", folder=True, help="the folder to make")
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="FILE|NAME",
        help="a map, or the name of a ready one; may be given several times (default: no map, only step 4)",
    )
    parser.add_argument(
        "--min-images",
        type=positive,
        default=10,
        metavar="N",
        help="drop a lesion or a location with fewer images (default %(default)s; 1: only those with none)",
    )
    parser.add_argument(
        "--min-site-images", type=positive, metavar="N", help="another limit for locations (default: as --min-images)"
    )
    parser.add_argument(
        "--keep-over",
        type=not_negative,
        default=1000,
        metavar="N",
        help="a sublesion with more images stays a class of its own (default %(default)s)",
    )
    parser.add_argument("--list-maps", action="store_true", help="list the ready maps and end")
    parser.add_output_argument(
        "--make-example",
        folder=True,
        help="make a folder with a made-up table of 180 lesions and a map for it, to try this tool on, and end",
    )
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    if not args.list_maps and args.make_example is None:
        missing = [flag for flag, value in (("--manifest", args.manifest), ("--out", args.out)) if value is None]
        if missing:
            parser.error(f"the following arguments are required: {', '.join(missing)}")
    if args.keep_over + 1 < args.min_images:
        parser.error("--keep-over is below --min-images: a sublesion would stay out of its family, then be dropped")
    return args


def main() -> None:
    args = parse_args()
    if args.list_maps:
        for name in ready_maps():
            print(f"{name:14} {kinds_of(read_label_map(name))}")
        print(f"\nThe maps, and where their names were seen and which choices are ours (README.md): {READY_MAPS}")
        return
    if args.make_example is not None:
        write_example(args.make_example)
        print(f"{args.make_example}: manifest.csv and families.csv; now, in one line:")
        print(f"tools/refine_labels.py --manifest {args.make_example}/manifest.csv --map paper-rules ", end="")
        print(f"--map {args.make_example}/families.csv --out DIR")
        return
    limits = Limits(args.min_images, args.min_site_images or args.min_images, args.keep_over)
    maps = [read_label_map(name) for name in args.map]
    refinement = refine(manifest_of(args), maps, limits)
    write_refinement(args.out, refinement, maps, vars(args))
    print(summary(refinement))
    print(f"{args.out}: what became of each label is in refinement.md, images that left in dropped_images.csv")


if __name__ == "__main__":
    run(main)
