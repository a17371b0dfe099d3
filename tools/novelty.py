#!/usr/bin/env python3
"""Fits how unlike the training images a photograph may be for predict.py to name something in it.

example: tools/novelty.py --features train.npz --validation-features validation.npz --manifest manifest.csv \\
             --out novelty.npz

Both files are of extract_features.py, of the same net and made alike. A photograph is measured by the distance of its
features to the k-th nearest training image; the threshold is chosen so that a share of images like the validation
images is below it (--keep). `export.py --novelty` puts the result into the model folder, and with it features of
training images go to whoever gets the folder: numbers from which no photograph can be read as it was, though a rough
likeness may be made. Names of images are not in it.
"""

import argparse
from pathlib import Path

from arguments import add_group_column_argument, manifest_of
from cli import new_parser, positive, run, seed, share
from skinmtl.explanation.novelty import least_images
from skinmtl.explanation.novelty_making import Wish, make_novelty

K, KEEP, REFERENCE = 5, 0.99, 5000


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument(
        "--features", type=Path, required=True, metavar="FILE", help="the training images, by extract_features.py"
    )
    parser.add_argument(
        "--validation-features",
        type=Path,
        required=True,
        metavar="FILE",
        help="validation images, by extract_features.py: to choose the threshold on",
    )
    parser.add_argument(
        "--manifest",
        metavar="CSV",
        type=Path,
        help="says which images are of one patient: an image is held against those of others alone (default: each is "
        "of another)",
    )
    add_group_column_argument(parser)
    parser.add_argument(
        "--k",
        metavar="N",
        type=positive,
        default=K,
        help="which nearest training image's distance is taken (default %(default)s, our choice: one odd training "
        "image lets nothing through)",
    )
    parser.add_argument(
        "--keep",
        type=share,
        default=KEEP,
        metavar="SHARE",
        help="of images like the validation images, to be named (default %(default)s, our choice; that takes "
        f"{least_images(KEEP)} validation images, 0.95 takes {least_images(0.95)})",
    )
    parser.add_argument(
        "--reference",
        type=positive,
        default=REFERENCE,
        metavar="N",
        help="training images to keep at most, drawn by --seed (default %(default)s, our choice: 20 MB of a ResNet-50)",
    )
    parser.add_argument("--seed", type=seed, default=1, metavar="S", help="default: 1")
    parser.add_output_argument("--out", required=True, help="the .npz to write")
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    if args.out.suffix != ".npz":
        parser.error(f"--out {args.out}: must end in .npz")
    if not args.keep:
        parser.error("--keep 0: would name nothing; give a share above 0")
    if args.group_column and args.manifest is None:
        parser.error("--group-column is of a --manifest")
    return args


def main() -> None:
    args = parse_args()
    manifest = None if args.manifest is None else manifest_of(args)
    parts = (args.features, args.validation_features)
    print(make_novelty(Wish(*parts, manifest, args.k, args.keep, args.reference, args.seed), args.out, vars(args)))


if __name__ == "__main__":
    run(main)
