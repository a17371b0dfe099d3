#!/usr/bin/env python3
"""Reads what `caffe train` logged, to CSV and a plot; a log that was interrupted and resumed is read as one."""

import argparse
from pathlib import Path

from caffe_files.caffe_log import read_caffe_log, write_csv
from caffe_files.outputs import all_or_none
from cli import new_parser, run
from skinmtl.figures.curves import draw_caffe_log


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument("log", type=Path, metavar="LOG", help="what `caffe train` wrote to stderr")
    parser.add_output_argument("--csv", help="the table to write: one row per logged iteration")
    parser.add_output_argument("--out", help="the plot to write, .png or .svg")
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    if not (args.csv or args.out):
        parser.error("give --csv, --out or both")
    if args.out and args.out.suffix not in (".png", ".svg"):
        parser.error(f"--out {args.out}: must end in .png or .svg")
    return args


def main() -> None:
    args = parse_args()
    log = read_caffe_log(args.log)
    with all_or_none():
        if args.csv:
            write_csv(log, args.csv)
        if args.out:
            draw_caffe_log(log, args.out)
    tests = sum(any(column.startswith("test") for column in values) for _, values in log.rows)
    print(f"{args.log}: iterations {log.rows[0][0]} to {log.rows[-1][0]}, {len(log.rows)} rows, {tests} with tests")
    if log.superseded:
        print(f"{log.superseded} rows were made again by a resumed training; the later are kept")
    if log.cut_short:
        print("the last line is cut short and left out")


if __name__ == "__main__":
    run(main)
