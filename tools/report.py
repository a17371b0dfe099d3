#!/usr/bin/env python3
"""Turns an experiment's folder into its report: tables, comparisons, figures, one page to read or print.

example: tools/report.py --experiment experiment --manifest demo/manifest.csv --images demo/images
         tools/report.py --experiment masks --manifest demo/manifest.csv --images demo    of nets that draw lesions

Reads EXP/fold*/MODEL/scores.npz, and where they are EXP/folds.csv, EXP/figure3.png, EXP/maps.json of evaluate_maps.py
and each MODEL/run. Works without Caffe. A model or fold that is missing is named in the report; comparisons take the
folds that both models have.
"""

import argparse
import re
from pathlib import Path
from typing import Tuple

from arguments import add_group_column_argument, manifest_of
from caffe_files.errors import InputError
from cli import new_parser, not_negative, positive, run, seed
from parsing import renamed
from skinmtl.report.errors import EACH
from skinmtl.report.experiment import ENSEMBLE, NO_VARIANTS, TITLES, Variants
from skinmtl.report.mask_experiment import has_mask_nets
from skinmtl.report.mask_write import MaskSettings, write_mask_report
from skinmtl.report.outlines import Folders
from skinmtl.report.paper import BUNDLED
from skinmtl.report.write import Settings, write_report

BASES = tuple(model for model in TITLES if model != ENSEMBLE)


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
        "--seeds",
        metavar="N",
        type=positive,
        default=1,
        help="how many trainings of each model to tell the spread of, as `skinmtl run --seeds` made them (default: the "
        "first alone)",
    )
    parser.add_argument(
        "--variant",
        dest="variants",
        type=variant,
        action="append",
        default=[],
        metavar="NAME=WORDS",
        help="a net that is the model of --base but for what WORDS say, with scores in EXP/fold*/NAME; may repeat "
        "(default: none; example: --variant balance='rare lesions repeated')",
    )
    parser.add_argument(
        "--base", choices=BASES, metavar="MODEL", help=f"what each --variant is held against: {', '.join(BASES)}"
    )
    parser.add_argument(
        "--paper-table",
        type=Path,
        default=BUNDLED,
        metavar="CSV",
        help="lesion,alexnet,resnet,mtl,ensemble to show beside where its lesions are the manifest's (default: the "
        "paper's Table 1)",
    )
    parser.add_argument(
        "--fail-if-incomplete",
        action="store_true",
        help="make no report but exit with status 1 where scores of a model on a fold are missing",
    )
    renamed(parser, "--require-complete", "--fail-if-incomplete")
    parser.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="the folder of the manifest's images, for the pages of errors or of outlines (default: scores without "
        "photographs, no outlines)",
    )
    parser.add_argument(
        "--errors",
        type=not_negative,
        default=EACH,
        metavar="N",
        help="images of each kind on each lesion's page of errors, at most; 0: no such pages (default %(default)s)",
    )
    parser.add_argument(
        "--no-photographs",
        action="store_true",
        help="nothing that shows a patient: no Figure 3, pages of errors without photographs and maps",
    )
    group = parser.add_argument_group("an experiment of nets that draw lesions")
    group.add_argument(
        "--masks", type=Path, metavar="DIR", help="the folder of the manifest's masks (default: that of --images)"
    )
    return parser


def variant(text: str) -> Tuple[str, str]:
    """An argparse type: NAME=WORDS."""
    name, equals, words = text.partition("=")
    if not (equals and words.strip() and re.fullmatch("[a-z][a-z0-9_]*", name)) or name in (*TITLES, "data"):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=WORDS with a NAME of a-z, 0-9 and _ that is no model's")
    return name, words.strip()


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    if args.out is None:
        args.out = args.experiment / "report"
    if args.masks and not args.images:
        parser.error("--masks goes with --images")
    if args.images and args.no_photographs:
        parser.error("--images and --no-photographs do not go together")
    if bool(args.variants) != (args.base is not None):
        parser.error("--base and --variant go together")
    return args


def main() -> None:
    args = parse_args()
    manifest = manifest_of(args)
    if has_mask_nets(args.experiment):
        if args.variants:
            raise InputError("--variant: of nets that draw lesions all are variants; leave it out")
        if args.seeds > 1:
            raise InputError("--seeds: the report of nets that draw lesions is of one training; leave it out")
        folders = Folders(args.images, args.masks or args.images) if args.images else None
        of_masks = MaskSettings(args.bootstrap, args.seed, folders, args.fail_if_incomplete)
        print(write_mask_report(args.experiment, manifest, args.out, of_masks, vars(args)))
    else:
        variants = Variants(args.base, dict(args.variants)) if args.variants else NO_VARIANTS
        settings = Settings(
            args.bootstrap,
            args.seed,
            args.paper_table,
            args.fail_if_incomplete,
            args.seeds,
            variants,
            args.errors,
            args.images,
            not args.no_photographs,
        )
        print(write_report(args.experiment, manifest, args.out, settings, vars(args)))
    print(f"\nreport: {args.out / 'index.html'}")


if __name__ == "__main__":
    run(main)
