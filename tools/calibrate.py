#!/usr/bin/env python3
"""Fits a calibration of a net's probabilities on scores of validation images: a temperature, or Platt's scaling.

example: tools/calibrate.py work/mtl/validation.npz --out work/mtl/calibration.json

A head of lesions that may hold at once has one temperature, or with --scaling platt a slope and an offset for each
lesion. A head whose probabilities add up to 1 always has a temperature. `evaluate.py --calibration` tells what it does
to other images, `export.py --calibration` puts it into the model folder, and `predict.py` then tells calibrated
probabilities. Fewer than 100 images are refused, for platt fewer than 10 with or without a lesion too.
"""

import argparse
from pathlib import Path

from cli import new_parser, run
from skinmtl.scores.calibrating import calibrate
from skinmtl.scores.calibration import METHODS, TEMPERATURE


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument("scores", type=Path, metavar="S.npz", help="a file of tools/score.py, of validation images")
    parser.add_argument(
        "--scaling", choices=METHODS, default=TEMPERATURE, help="what is fitted, see above (default: %(default)s)"
    )
    parser.add_output_argument("--out", required=True, help="the JSON to write")
    return parser


def parse_args() -> argparse.Namespace:
    return make_parser().parse_args()


def main() -> None:
    args = parse_args()
    print(calibrate(args.scores, args.scaling, args.out, vars(args)))


if __name__ == "__main__":
    run(main)
