#!/usr/bin/env python3
"""Shows where in an image a net finds its evidence for the lesions and for the body location.

For images of a manifest the maps are those of the true labels, for files without one (--query) those of the likeliest
lesion and location. Writes a new folder: an overlay IMAGE.lesion.png and IMAGE.location.png for each image,
attention.npz with the maps as the net gives them, and attention.json, which says what made them. Where an image has
several lesions, attention.npz has a map for each and the overlay shows their mean. An overlay goes from its map's
lowest value (under a dark blue veil) to its highest (in the photograph's own colours): two overlays have no common
scale.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from arguments import (
    add_fold_arguments,
    add_group_column_argument,
    check_engine_arguments,
    check_fold_arguments,
    manifest_of,
)
from cli import new_parser, positive, program, run, seed
from net_arguments import (
    add_net_arguments,
    add_protocol_arguments,
    check_net_arguments,
    net_of,
    protocol_of,
    seen_by,
    tell_seen,
)
from skinmtl.common.counting import counted
from skinmtl.data.folds import select
from skinmtl.data.seen import Image, images_of
from skinmtl.explanation.attending import NOTHING, Looks, attend_files, attend_manifest
from skinmtl.explanation.attention_passes import MOST_PIXELS
from skinmtl.explanation.attention_tasks import NO_MORE, chosen, read_listed
from skinmtl.explanation.attention_ways import METHODS, OVER, Ways
from skinmtl.figures.overlay import DRAWN, VEIL


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    add_net_arguments(parser.add_argument_group("the net"), "the model's deploy.prototxt")
    parser.add_output_argument("--out", folder=True, required=True, help="the folder to make")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--manifest", metavar="CSV", type=Path, help="the CSV: image,lesions,location and group")
    which.add_argument(
        "--query", type=Path, action="append", metavar="FILE", help="an image file without labels; may be repeated"
    )
    add_group_column_argument(parser)
    parser.add_argument("--images", metavar="DIR", type=Path, help="the folder that the manifest's images are in")
    add_fold_arguments(parser)
    some = parser.add_mutually_exclusive_group()
    some.add_argument(
        "--image", action="append", metavar="NAME", help="an image of the manifest; may be repeated (default: all)"
    )
    some.add_argument(
        "--listed",
        type=Path,
        metavar="CSV",
        help="the images of a list, as list_errors.py writes it, with the maps of the lesions that it names with them "
        "beside those of their true labels",
    )
    some.add_argument("--sample", type=positive, metavar="N", help="this many images of the manifest, at random")
    parser.add_argument("--seed", metavar="S", type=seed, default=1, help="of --sample (default %(default)s)")
    parser.add_argument(
        "--labels",
        choices=("true", "predicted"),
        help="whose maps to make: the manifest's lesions and location, or the likeliest one of each (default: true)",
    )
    add_ways_arguments(parser)
    add_protocol_arguments(parser)
    return parser


def add_ways_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how maps are made and shown")
    group.add_argument(
        "--method",
        choices=METHODS,
        help="class activation maps, Grad-CAM, or what the net loses where a square is covered (default: cam where the "
        "net's heads stand on an average of its maps, as a ResNet's do, else grad-cam)",
    )
    group.add_argument(
        "--over",
        choices=OVER,
        help="class activation maps of crops that are blended into each other (default, and what the other methods "
        "take), of the whole photograph in one pass, or the plain mean of the ten-crop test's crops",
    )
    group.add_argument(
        "--sides",
        type=positive,
        nargs="+",
        metavar="PIXELS",
        help="shorter sides at which a photograph is seen, whose maps are averaged (default: --short-side, 1.44 "
        "and 1.88 times that, which of the paper's 256 are 368 and 480); --over photograph sees a photograph with at "
        f"most {MOST_PIXELS:,} pixels",
    )
    group.add_argument("--no-mirror", action="store_true", help="leave the mirror images out of the average")
    group.add_argument(
        "--overlay",
        choices=(*DRAWN, NOTHING),
        default=VEIL,
        help="how a map is drawn over its photograph: a veil, drawn aside where the map is high, lines, or not at all "
        "(default %(default)s)",
    )


def looks_of(args: argparse.Namespace) -> Looks:
    sides = tuple(dict.fromkeys(args.sides or ()))
    return Looks(Ways(args.method or "", args.over or "", sides, not args.no_mirror), args.overlay)


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    check_net_arguments(parser, args)
    check_fold_arguments(parser, args)
    check_engine_arguments(parser, args)
    if (args.images is None) != (args.manifest is None):
        parser.error("--manifest and --images go together")
    if args.listed and args.labels == "predicted":
        parser.error("--listed has maps of its own lesions; leave --labels out")
    if args.query:
        for flag in ("folds", "image", "listed", "sample", "labels"):
            if getattr(args, flag) is not None:
                parser.error(f"--{flag} goes with --manifest; the labels of a --query are predicted")
    return args


def main() -> None:
    args = parse_args()
    net = net_of(args)
    protocol, looks = protocol_of(args, net.deploy), looks_of(args)
    if args.query:
        seen = seen_by(net, [Image(path) for path in args.query])
        done = attend_files(net.deploy, net.weights, args.query, protocol, args.out, vars(args), seen, looks)
    else:
        whole = manifest_of(args)
        listed = read_listed(args.listed, whole) if args.listed else NO_MORE
        manifest = select(whole, args.folds, args.fold, args.subset, args.validation, args.validation_fold)
        if args.listed:  # some folds may have none of them
            manifest = replace(manifest, rows=tuple(row for row in manifest.rows if row.image in listed))
        else:
            manifest = chosen(manifest, args.image or (), args.sample, args.seed)
        true = args.labels != "predicted"
        seen = seen_by(net, images_of(manifest, args.images))
        done = attend_manifest(
            net.deploy, net.weights, manifest, args.images, true, protocol, args.out, vars(args), seen, looks, listed
        )
    tell_seen(net, seen)
    print(f"{args.out}: attention on {counted(done.images, 'image')}")
    if done.smaller:
        print(
            f"{program()}: note: {counted(done.smaller, 'photograph')} seen smaller than asked, so that a pass has at "
            f"most {MOST_PIXELS:,} pixels; attention.json has the sides of each",
            file=sys.stderr,
        )


if __name__ == "__main__":
    run(main)
