#!/usr/bin/env python3
"""Scores images with a snapshot: ten crops per image, probabilities averaged."""

import argparse

from arguments import add_data_arguments, add_fold_arguments, check_engine_arguments, check_fold_arguments, manifest_of
from cli import new_parser, run
from net_arguments import (
    add_allow_trained_argument,
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
from skinmtl.scores.metrics import evaluate
from skinmtl.scores.scoring import score
from skinmtl.scores.tables import summary


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    add_net_arguments(parser.add_argument_group("the net"))
    add_data_arguments(parser)
    parser.add_output_argument("--out", required=True, help="the .npz to write")
    add_fold_arguments(parser)
    add_allow_trained_argument(parser)
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
    protocol = protocol_of(args, net.deploy)
    seen = seen_by(net, images_of(manifest, args.images), args.allow_trained)
    scores = score(net.deploy, net.weights, manifest, args.images, protocol, args.out, vars(args), seen)
    tell_seen(net, seen)
    print(f"{args.out}: {len(manifest.rows)} images scored: {summary(evaluate(scores))}")


if __name__ == "__main__":
    run(main)
