#!/usr/bin/env python3
"""Scores images with a snapshot: ten crops an image, probabilities averaged."""

import argparse
from pathlib import Path

from arguments import (
    add_data_arguments,
    add_fold_arguments,
    add_protocol_arguments,
    check_engine_arguments,
    check_fold_arguments,
    engine_of,
)
from cli import new_parser, refuse_overwriting, run
from skinmtl.data.folds import select
from skinmtl.data.manifest import read_manifest
from skinmtl.engines.snapshot import mean_of
from skinmtl.scores.forward import Protocol
from skinmtl.scores.metrics import evaluate
from skinmtl.scores.scoring import score
from skinmtl.scores.tables import summary


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument("--deploy", metavar="FILE", type=Path, required=True, help="the model's deploy.prototxt")
    parser.add_argument("--weights", metavar="W", type=Path, required=True, help="a snapshot's caffemodel")
    add_data_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="the .npz to write")
    add_fold_arguments(parser)
    add_protocol_arguments(parser)
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    check_fold_arguments(parser, args)
    check_engine_arguments(parser, args)
    if args.out.suffix != ".npz":
        parser.error(f"--out {args.out}: must end in .npz")
    refuse_overwriting(parser, args.out, args.manifest, args.folds, args.weights, args.deploy)
    return args


def main() -> None:
    args = parse_args()
    manifest = select(read_manifest(args.manifest), args.folds, args.fold, args.subset, args.validation)
    mean = tuple(args.mean) if args.mean else mean_of(args.deploy)
    protocol = Protocol(args.short_side, mean, args.batch_size, engine_of(args), args.workers)
    scores = score(args.deploy, args.weights, manifest, args.images, protocol, args.out, vars(args))
    print(f"{args.out}: {len(manifest.rows)} images scored: {summary(evaluate(scores))}")


if __name__ == "__main__":
    run(main)
