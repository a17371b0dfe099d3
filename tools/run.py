#!/usr/bin/env python3
"""Runs the whole experiment, from a manifest to the report: LMDBs, nets, training, scores and figures for each fold.

examples: skinmtl run manifest.csv --images photographs --out work/mine
          skinmtl run manifest.csv --images photographs --out work/big --preset resnet50 --weights W.caffemodel --gpu 0
          skinmtl run manifest.csv --images photographs --out work/masks --preset mask-demo

Interrupted or killed, the same command goes on from the last snapshots. OUT then has:

OUT/report      the tables and figures, one page to read or print
OUT/model       the model of the first fold, for skinmtl predict OUT PHOTO
OUT/fold*       LMDBs, nets, training runs, scores and metrics; with --seeds 3 those of the others in seed2 and seed3
OUT/description, OUT/leakage.json, OUT/folds.csv    what the data are, what leaks, which image is in which fold
OUT/config.yaml the whole configuration, for Snakemake too; OUT/logs has a file for each step
"""

import argparse
from pathlib import Path
from typing import Optional, Tuple, Union

from arguments import add_group_column_argument, add_machine_arguments, check_engine_arguments, licence
from cli import new_parser, not_negative, positive, run, seed, usable_cores
from skinmtl.experiment.presets import NAMES
from skinmtl.experiment.request import Request
from skinmtl.experiment.run import run_experiment
from step_parsers import fault_of


def folds(text: str) -> Union[int, Path]:
    """An argparse type: a number of folds from 2, or a file of folds."""
    try:
        number = int(text)
    except ValueError:
        return Path(text)
    if number < 2:
        raise argparse.ArgumentTypeError(f"{text}: one fold leaves nothing to train on; give two or more")
    return number


def weights_path(text: str) -> Tuple[Optional[str], Path]:
    """An argparse type: a file, or MODEL=file."""
    model, equals, path = text.partition("=")
    return (model, Path(path)) if equals and "/" not in model else (None, Path(text))


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument(
        "manifest", type=Path, nargs="?", metavar="MANIFEST", help="the CSV: image,lesions,location and group"
    )
    parser.add_argument("--manifest", type=Path, dest="manifest_flag", metavar="CSV", help="the same, as a flag")
    add_group_column_argument(parser)
    parser.add_argument(
        "--images", type=Path, required=True, metavar="DIR", help="the folder that the manifest's images are in"
    )
    parser.add_argument(
        "--masks",
        type=Path,
        metavar="DIR",
        help="the folder that the manifest's masks are in: for nets that draw lesions (default: --images), and to hold "
        "the maps of resnet50_mtl against, in the report (default: do not)",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="the experiment's folder; the same command goes on in it"
    )
    parser.add_argument(
        "--preset",
        default="tiny",
        metavar="NAME",
        help=f"nets, sizes and iterations: {', '.join(NAMES)}, or a YAML file of your own (default %(default)s)",
    )
    parser.add_argument(
        "--folds", type=folds, default=5, metavar="N|CSV", help="how many to make, or a CSV of given ones (default 5)"
    )
    parser.add_argument(
        "--only-fold", type=not_negative, nargs="+", default=[], metavar="K", help="run these test folds alone"
    )
    parser.add_argument(
        "--validation-fold",
        type=not_negative,
        metavar="K",
        help="training watches this fold, which is not tested on: the validation images of a data set's own split "
        "(default: a tenth of the training images)",
    )
    parser.add_argument(
        "--models",
        nargs="+",
        metavar="MODEL",
        help="of the preset's: alexnet_lesion, resnet50_lesion, resnet50_location, resnet50_mtl, or the variants of "
        "mask-demo and mask-resnet50 (default: the usual ones)",
    )
    parser.add_argument(
        "--variants",
        nargs="+",
        metavar="NAME",
        help="of the preset's, as what-helps has them: the same net with one thing changed (default: all)",
    )
    parser.add_argument(
        "--weights",
        type=weights_path,
        nargs="+",
        default=[],
        metavar="[MODEL=]FILE",
        help="the caffemodel that the ResNets, or MODEL, start from, for presets that need one, as resnet50",
    )
    parser.add_argument(
        "--weights-licence",
        type=licence,
        metavar="TEXT",
        help="under which the --weights may be used, for the model card (default: as fetch_weights.py wrote it)",
    )
    add_machine_arguments(parser, default=None)
    parser.add_argument(
        "--cores", type=positive, default=usable_cores(), metavar="N", help="used at a time (default: all)"
    )
    parser.add_argument(
        "--seed", metavar="S", type=seed, default=1, help="of folds, order and jitter (default %(default)s)"
    )
    parser.add_argument(
        "--seeds",
        type=positive,
        default=1,
        metavar="N",
        help="train each model N times, on the same data, each time from another seed: the report then has mean and "
        "spread, and differences paired by seed (default %(default)s)",
    )
    parser.add_argument(
        "--no-photographs",
        action="store_true",
        help="nothing that shows a patient in the report: no Figure 3, pages of errors without photographs and maps",
    )
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    if (args.manifest is None) == (args.manifest_flag is None):
        parser.error("give MANIFEST once: as the first word, or by --manifest")
    args.manifest = args.manifest or args.manifest_flag
    if args.weights_licence and not args.weights:
        parser.error("--weights-licence goes with --weights")
    if args.engine:
        check_engine_arguments(parser, args)
    elif args.precision != "fp32":
        parser.error("--precision goes with --engine torch")
    return args


def main() -> None:
    args = parse_args()
    request = Request(
        manifest=args.manifest,
        group_column=args.group_column,
        masks=args.masks,
        validation_fold=args.validation_fold,
        images=args.images,
        out=args.out,
        preset=args.preset,
        folds=args.folds,
        only_folds=tuple(sorted(set(args.only_fold))),
        models=tuple(args.models) if args.models else None,
        variants=tuple(args.variants) if args.variants else None,
        weights=tuple(args.weights),
        weights_licence=args.weights_licence,
        seeds=args.seeds,
        photographs=not args.no_photographs,
        precision=args.precision,
        gpu=args.gpu,
        seed=args.seed,
    )
    given = {**vars(args), "folds": str(args.folds), "weights": [str(path) for _, path in args.weights]}
    run_experiment(request, args.engine, args.cores, given, lambda line: print(line, flush=True), fault_of)


if __name__ == "__main__":
    run(main)
