#!/usr/bin/env python3
"""Turns an experiment's folder into its report: Table 1, the comparisons, the figures, one page to read or print.

example: tools/report.py --experiment experiment --manifest demo/manifest.csv

Reads EXP/fold*/MODEL/scores.npz, and where they are EXP/folds.csv, EXP/figure3.png and each MODEL/run. Works without
Caffe. A model or fold that is missing is named in the report; comparisons take the folds that both models have.
"""

import argparse
from pathlib import Path

from arguments import add_group_column_argument, manifest_of
from cli import new_parser, positive, run, seed
from parsing import renamed
from skinmtl.report.paper import BUNDLED
from skinmtl.report.write import Settings, write_report


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument("--experiment", type=Path, required=True, metavar="EXP", help="the folder of the experiment")
    parser.add_argument("--manifest", metavar="CSV", type=Path, required=True, help="the CSV that it was made from")
    add_group_column_argument(parser)
    parser.add_output_argument("--out", folder=True, help="the folder to make (default: EXP/report)")
    parser.add_argument(
        "--bootstrap",
        type=positive,
        default=10000,
        metavar="N",
        help="resamples of the groups, for the intervals (default %(default)s)",
    )
    renamed(parser, "--resamples", "--bootstrap")
    parser.add_argument("--seed", metavar="S", type=seed, default=1, help="of the resamples (default %(default)s)")
    parser.add_argument(
        "--paper-table",
        type=Path,
        default=BUNDLED,
        metavar="CSV",
        help="lesion,alexnet,resnet,mtl,ensemble to show beside (default: the paper's Table 1)",
    )
    parser.add_argument(
        "--fail-if-incomplete",
        action="store_true",
        help="make no report but exit with status 1 where scores of a model on a fold are missing",
    )
    renamed(parser, "--require-complete", "--fail-if-incomplete")
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    if args.out is None:
        args.out = args.experiment / "report"
    return args


def main() -> None:
    args = parse_args()
    settings = Settings(args.bootstrap, args.seed, args.paper_table, args.fail_if_incomplete)
    print(write_report(args.experiment, manifest_of(args), args.out, settings, vars(args)))
    print(f"\nreport: {args.out / 'index.html'}")


if __name__ == "__main__":
    run(main)
