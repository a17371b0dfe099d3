#!/usr/bin/env python3
"""Counts which lesions come at which body locations (equation 1): a CSV, a heat map, and a strength for each lesion.

example: tools/correlate.py --manifest demo/manifest.csv --out correlation

DIR/correlation.csv  R_ij: of the images with the lesion, the share at each location; a lesion with no image has empty
                     cells
DIR/strength.csv     how far each lesion's locations are from the locations of all images, in bits (Kullback-Leibler),
                     what chance alone would give, and the difference
DIR/heat_map.png, DIR/heat_map.svg
"""

import argparse

from arguments import add_manifest_argument, manifest_of
from cli import new_parser, run
from skinmtl.common.counting import counted
from skinmtl.report.correlation import write_correlation


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    add_manifest_argument(parser)
    parser.add_output_argument("--out", folder=True, required=True, help="the folder to make")
    parser.add_argument(
        "--cluster",
        action="store_true",
        help="put lesions with similar locations side by side (default: as listed in lesions.txt)",
    )
    return parser


def parse_args() -> argparse.Namespace:
    return make_parser().parse_args()


def main() -> None:
    args = parse_args()
    manifest = manifest_of(args)
    without_image = write_correlation(manifest, args.out, args.cluster, vars(args))
    print(
        f"{args.out}: {counted(len(manifest.lesion_names), 'lesion')} by "
        f"{counted(len(manifest.location_names), 'location')}, {counted(len(manifest.rows), 'image')}"
    )
    if without_image:
        have = "lesion has" if len(without_image) == 1 else "lesions have"
        print(f"{len(without_image)} {have} no image and an empty row: {', '.join(without_image)}")


if __name__ == "__main__":
    run(main)
