#!/usr/bin/env python3
"""Draws the paper's Figure 3: rows of a query, lesion attention, location attention, and its nearest training images.

A neighbour's frame is green and solid where it shares a lesion with the query, red and dotted where it does not. Below
each picture stand its lesions and [its location]; below the attention, the labels whose maps it shows, with their
probabilities. Where there are several, the picture shows the mean of their maps. Beside the first figure a .json file
says what made it and which images are in it.
"""

import argparse
import sys
from pathlib import Path

from arguments import add_data_arguments, manifest_of
from cli import new_parser, positive, program, run
from parsing import renamed
from skinmtl.explanation.attending import ATTENTION_FILE
from skinmtl.explanation.attention_file import AttentionFile
from skinmtl.explanation.retrieval_figure import FigureInputs, draw

MOST_ROWS = 50  # a longer figure is more than a renderer takes


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument("--attention", type=Path, required=True, metavar="DIR", help="the folder that attend.py wrote")
    parser.add_argument("--neighbours", metavar="CSV", type=Path, required=True, help="the CSV that retrieve.py wrote")
    add_data_arguments(parser)
    parser.add_output_argument(
        "--out",
        beside=lambda out, args: [out.with_suffix(".json")],
        required=True,
        action="append",
        help="the .png or .svg to write; may be repeated",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--rows",
        type=positive,
        default=4,
        metavar="N",
        help="the first images of the attention that have neighbours (default %(default)s)",
    )
    which.add_argument(
        "--image", action="append", metavar="NAME", help="an image of the manifest to show; may be repeated"
    )
    renamed(parser, "--query", "--image")
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    for out in args.out:
        if out.suffix not in (".png", ".svg"):
            parser.error(f"--out {out}: must end in .png or .svg")
    for out in (*args.out, args.out[0].with_suffix(".json")):
        parser.refuse_inputs(out, args.attention / ATTENTION_FILE)
    if max(args.rows, len(args.image or ())) > MOST_ROWS:
        parser.error(f"at most {MOST_ROWS} rows fit into a figure")
    return args


def main() -> None:
    args = parse_args()
    attention = AttentionFile(args.attention / ATTENTION_FILE)
    inputs = FigureInputs(attention, args.neighbours, manifest_of(args), args.images)
    both = inputs.queries()
    queries = args.image or both[: args.rows]
    draw(inputs, queries, args.out, vars(args))
    for line in inputs.seen():
        print(f"{program()}: {attention.path}: {line}", file=sys.stderr)
    files = " and ".join(map(str, args.out))
    print(f"{files}: {len(queries)} of the {len(both)} images that have both attention and neighbours")


if __name__ == "__main__":
    run(main)
