#!/usr/bin/env python3
"""Says which of a net's layers a caffemodel fills, and exits 1 unless it fills everything but the new heads."""

import argparse
from pathlib import Path
from typing import Sequence

from arguments import add_allow_layer_argument
from caffe_files.errors import InputError
from cli import new_parser, run
from net_arguments import add_run_arguments, check_net_arguments, net_of
from skinmtl.common.counting import first_of
from skinmtl.engines.engine import NAMES, Engine
from skinmtl.nets.weights import compare_weights

HEADS = ["fc_lesion", "fc_location"]


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    add_run_arguments(parser, "in place of --net and --weights")
    parser.add_argument(
        "--net",
        metavar="NET",
        type=Path,
        help="a folder of make_prototxt.py, or one train, test or deploy prototxt; no LMDB is read",
    )
    parser.add_argument("--weights", metavar="W", type=Path, help="a caffemodel; with --run in place of its final one")
    parser.add_argument(
        "--new",
        nargs="*",
        default=HEADS,
        metavar="LAYER",
        help="layers that may stay at their initial values (default: %(default)s)",
    )
    parser.add_argument(
        "--names", action="store_true", help="list all layers (default: the first five of each kind, and how many more)"
    )
    parser.add_argument(
        "--engine", choices=NAMES, default="caffe", help="which builds the net to know its shapes (default %(default)s)"
    )
    add_allow_layer_argument(parser)
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    check_net_arguments(parser, args, "net")
    return args


def main() -> int:
    args = parse_args()
    if args.run is None:
        net = args.net / "train.prototxt" if args.net.is_dir() else args.net
        weights = args.weights
    else:
        trained = net_of(args)
        net, weights = trained.deploy, trained.weights
    shapes = Engine(args.engine, allowed=tuple(args.allow_layer)).shapes(net)
    unknown = sorted(set(args.new) - set(shapes.params) - set(HEADS))
    if unknown:
        raise InputError(f"{net}: has no layer {', '.join(unknown)}; correct --new")
    report = compare_weights(shapes, weights)
    unfilled = [name for name in report.initial if name not in args.new]
    sound = not (unfilled or report.disagreeing)
    print(f"{weights}: {'fits' if sound else 'DOES NOT FIT'} {net}")
    for title, names in (
        ("filled", report.filled),
        ("left at their initial values", report.initial),
        ("in the caffemodel only", report.unused),
        ("disagree", report.disagreeing),
    ):
        if title != "disagree" or names:
            few = title == "filled" and not args.names
            print(f"{len(names):4} {title}{f': {listed(names, args.names)}' if names and not few else ''}")
    for line in report.passed_over:
        print(f"     note: {line}")
    return 0 if sound else 1


def listed(names: Sequence[str], whole: bool) -> str:
    """All names, or the first ones and how many more there are."""
    return ", ".join(names) if whole else first_of(names)


if __name__ == "__main__":
    run(main)
