#!/usr/bin/env python3
"""Extracts images' features, what a net's heads stand on (pool5 of a ResNet), for tools/retrieve.py."""

import argparse

from arguments import add_data_arguments, add_fold_arguments, check_engine_arguments, check_fold_arguments, manifest_of
from cli import new_parser, run
from net_arguments import (
    add_net_arguments,
    add_protocol_arguments,
    check_net_arguments,
    net_of,
    protocol_of,
    seen_by,
    tell_seen,
)
from skinmtl.data.folds import select
from skinmtl.data.seen import images_of
from skinmtl.explanation.extracting import extract


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    add_net_arguments(parser.add_argument_group("the net"))
    add_data_arguments(parser)
    parser.add_output_argument("--out", required=True, help="the .npz to write")
    add_fold_arguments(parser)
    parser.add_argument(
        "--crops",
        type=int,
        choices=(1, 10),
        default=1,
        help="1: of the centre crop; 10: the mean over the ten crops, ten times the work (default %(default)s)",
    )
    add_protocol_arguments(parser)
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    check_net_arguments(parser, args)
    check_fold_arguments(parser, args)
    check_engine_arguments(parser, args)
    if args.out.suffix != ".npz":
        parser.error(f"--out {args.out}: must end in .npz")
    return args


def main() -> None:
    args = parse_args()
    manifest = select(manifest_of(args), args.folds, args.fold, args.subset, args.validation, args.validation_fold)
    net = net_of(args)
    protocol = protocol_of(args, net.deploy, args.crops)
    seen = seen_by(net, images_of(manifest, args.images))
    features = extract(net.deploy, net.weights, manifest, args.images, protocol, args.out, vars(args), seen)
    tell_seen(net, seen, marked=False)
    print(f"{args.out}: {features.features.shape[1]} features of each of {len(features.image)} images")


if __name__ == "__main__":
    run(main)
