#!/usr/bin/env python3
"""Finds the nearest training images of each query image, by the Euclidean distance of their features."""

import argparse
from pathlib import Path

from arguments import add_engine_arguments, check_engine_arguments, engine_of
from caffe_files.outputs import all_or_none, new_file
from cli import new_parser, positive, run
from net_arguments import (
    add_allow_trained_argument,
    add_net_arguments,
    check_net_arguments,
    net_of,
    seen_by,
    tell_seen,
)
from skinmtl.common.json_file import write_json
from skinmtl.common.provenance import made_by, sha256
from skinmtl.data.seen import Image
from skinmtl.engines.engine import Engine
from skinmtl.explanation.features_file import read_features
from skinmtl.explanation.retrieving import (
    query_table,
    retrieve,
    retrieve_images,
    summary,
    summary_table,
    write_neighbours,
)


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument(
        "--features", type=Path, required=True, metavar="FILE", help="the training images, by extract_features.py"
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--queries", type=Path, metavar="FILE", help="the query images, by extract_features.py")
    what.add_argument(
        "--query",
        type=Path,
        action="append",
        metavar="FILE",
        help="an image file without labels; may be repeated",
    )
    of_query = parser.add_argument_group("with --query: the net that made the features")
    add_net_arguments(of_query)
    add_engine_arguments(of_query)
    add_allow_trained_argument(parser)
    parser.add_argument("--k", metavar="N", type=positive, default=5, help="neighbours per query (default %(default)s)")
    parser.add_output_argument("--out", help="the table to write; with --query it may be left out")
    parser.add_output_argument("--json", help="with --queries: the summary, what made it and from what")
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    if args.query:
        check_net_arguments(parser, args)
    if args.queries and not args.out:
        parser.error("--queries needs --out")
    net = (args.run, args.snapshot, args.deploy, args.weights)
    if args.queries and (any(net) or engine_of(args) != Engine()):
        parser.error("--run, --deploy, --weights, --engine, --precision and --gpu go with --query")
    check_engine_arguments(parser, args)
    if args.query and (args.json or args.allow_trained):
        parser.error("--json and --allow-trained go with --queries")
    return args


def main() -> None:
    args = parse_args()
    training = read_features(args.features)
    if args.query:
        net = net_of(args)
        seen = seen_by(net, [Image(path) for path in args.query])
        found = retrieve_images(training, args.query, net.deploy, net.weights, engine_of(args), args.k, args.features)
        tell_seen(net, seen)
        said = query_table(training, found)
    else:
        queries = read_features(args.queries)
        found = retrieve(training, queries, args.k, args.features, args.queries, args.allow_trained)
        figures = summary(training, queries, found)
        said = summary_table(figures)
    with all_or_none():
        if args.out:
            write_neighbours(args.out, training, found)
            said += f"\n{args.out}: {found.neighbour.shape[1]} neighbours of each of {len(found.query)} queries"
        if args.json:
            figures["sha256"] = {str(path): sha256(path) for path in (args.features, args.queries)}
            with new_file(args.json) as partial:
                write_json(partial, {**figures, **made_by(vars(args))})
    print(said)


if __name__ == "__main__":
    run(main)
