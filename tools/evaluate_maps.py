#!/usr/bin/env python3
"""Holds saved maps against the masks of lesions: do they lie on the lesion more than looking at the middle would?

Four figures, each the mean over the images: the share of a map's evidence (its positive part) that is inside the mask;
the same of the map as it is drawn, from its lowest to its highest value; how often its highest pixel is inside; and the
intersection over union with the mask of what is above a threshold, the best one for all images. Beside each stands what
needs no net: a Gaussian in the middle of the picture (standard deviation: a quarter of each side), the pixel in the
middle, and chance, the mask's share of the picture. Where an image has several lesions, the figures are of the mean of
their maps, and the table by label has each. 95 % intervals are of the groups, drawn with replacement, in pairs; fewer
than ten groups are too few to tell. Images without a mask, or whose mask is all lesion or all skin, are left out and
counted.
"""

import argparse
from pathlib import Path

from arguments import add_manifest_argument, manifest_of
from caffe_files.outputs import new_file
from cli import new_parser, positive, run, seed
from skinmtl.common.json_file import write_json
from skinmtl.common.provenance import made_by, sha256
from skinmtl.data.seen import marks
from skinmtl.explanation.attending import ATTENTION_FILE
from skinmtl.explanation.attention_file import AttentionFile
from skinmtl.explanation.map_evaluation import evaluate_maps
from skinmtl.explanation.map_words import table


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument(
        "attention",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="a folder that attend.py wrote; several of them for the folds of one model",
    )
    add_manifest_argument(parser)
    parser.add_argument(
        "--masks", type=Path, required=True, metavar="DIR", help="the folder that the manifest's masks are in"
    )
    parser.add_argument(
        "--bootstrap", type=positive, default=2000, metavar="N", help="resamples of the groups (default %(default)s)"
    )
    parser.add_argument("--seed", type=seed, default=1, metavar="S", help="of the resamples (default %(default)s)")
    parser.add_output_argument("--json", help="also write every figure as JSON (default: screen only)")
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    if args.json is not None:
        for folder in args.attention:
            parser.refuse_inputs(args.json, folder / ATTENTION_FILE)
    return args


def main() -> None:
    args = parse_args()
    files = [AttentionFile(folder / ATTENTION_FILE) for folder in args.attention]
    manifest = manifest_of(args, "where patients have several images, the intervals are too narrow")
    found = evaluate_maps(files, manifest, args.masks, args.bootstrap, args.seed)
    seen = [f"{file.path}: {mark}" for file in files for mark in marks(file.protocol)]
    if args.json is not None:
        sources = [{"file": str(file.path), "sha256": sha256(file.path), "protocol": file.protocol} for file in files]
        record = {**found, "seen": seen, "attention": sources, "manifest_sha256": sha256(args.manifest)}
        with new_file(args.json) as partial:
            write_json(partial, {**record, **made_by(vars(args))}, allow_nan=False)
    print("\n".join([table(found), *(f"note: {mark}" for mark in seen)]))


if __name__ == "__main__":
    run(main)
