#!/usr/bin/env python3
"""Deals a manifest's images into folds for cross-validation."""

import argparse
from pathlib import Path

from cli import new_parser, positive, refuse_overwriting, run, seed
from skinmtl.data.folds import make_folds, write_folds
from skinmtl.data.manifest import read_manifest


def parse_args() -> argparse.Namespace:
    parser = new_parser(__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="the CSV: image,lesions,location and group")
    parser.add_argument("--out", type=Path, required=True, help="the CSV to write: image,fold")
    parser.add_argument("--k", type=positive, default=5, help="number of folds (default %(default)s, the paper's)")
    parser.add_argument("--seed", type=seed, default=1, help="of the random order (default %(default)s)")
    parser.add_argument(
        "--by",
        choices=("group", "image"),
        default="group",
        help="what stays whole: a group, so that no patient is in training and test (default), or only the image",
    )
    args = parser.parse_args()
    labels = (args.manifest.with_name("lesions.txt"), args.manifest.with_name("locations.txt"))
    refuse_overwriting(parser, args.out, args.manifest, *labels)
    return args


def main() -> None:
    args = parse_args()
    manifest = read_manifest(args.manifest)
    folds = make_folds(manifest, args.k, args.seed, args.by)
    write_folds(args.out, manifest, folds)
    for fold in range(args.k):
        print(f"fold {fold}: {(folds == fold).sum()} images")


if __name__ == "__main__":
    run(main)
