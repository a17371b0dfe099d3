#!/usr/bin/env python3
"""Lists the images that an experiment's net gets most wrong, lesion by lesion, and those that it is least sure of.

For each lesion the highest scored test images without it, the lowest scored with it, and those whose probability is
nearest to 0.5; where EXP/fold*/MODEL/metrics.json has thresholds that were chosen on validation images, false positives
and false negatives at them, and those nearest to them. The test folds are pooled. Of the net with both heads where it
has scores, else of one with the lesions alone. The report shows these images; `attend.py --listed` makes their maps.
"""

import argparse
from pathlib import Path

from arguments import add_group_column_argument, manifest_of
from caffe_files.errors import InputError
from cli import new_parser, positive, run
from skinmtl.report.errors import EACH, find_errors, list_errors
from skinmtl.report.experiment import LESION_MODELS, read_experiment


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument("--experiment", type=Path, required=True, metavar="EXP", help="the folder of the experiment")
    parser.add_argument("--manifest", metavar="CSV", type=Path, required=True, help="the CSV that it was made from")
    add_group_column_argument(parser)
    parser.add_argument(
        "--errors",
        type=positive,
        default=EACH,
        metavar="N",
        help="images of each kind and lesion, at most (default %(default)s)",
    )
    parser.add_output_argument(
        "--out",
        beside=lambda out, args: [out.with_suffix(".json")],
        required=True,
        help="the list, image,fold,lesion,kind,rank,score,lesions; what made it stands beside it, as .json",
    )
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    if args.out.suffix == ".json":
        parser.error(f"--out {args.out}: is where what made the list is written; name a .csv")
    return args


def main() -> None:
    args = parse_args()
    experiment = read_experiment(args.experiment, manifest_of(args))
    errors = find_errors(experiment, args.errors)
    if errors is None:
        raise InputError(f"{args.experiment}: has no scores of {', '.join(LESION_MODELS[:3])}; train and score one")
    print(list_errors(experiment, errors, args.out, vars(args)))


if __name__ == "__main__":
    run(main)
