#!/usr/bin/env python3
"""Generates a model's train, test and deploy prototxts."""

import argparse
import shlex
from pathlib import Path

from cli import new_parser, positive, run
from skinmtl.common.errors import InputError
from skinmtl.nets.label_names import KINDS, names_of, write_label_names
from skinmtl.nets.multi_task import MODELS, NetOptions
from skinmtl.nets.net_files import check_data, differing_files, net_files, test_batch_size, write_net_files
from skinmtl.nets.trunks import TRUNKS


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument("--model", choices=sorted(MODELS), required=True, help="both heads (mtl), or one of them")
    parser.add_argument("--trunk", choices=sorted(TRUNKS), default="resnet50", help="default %(default)s")
    parser.add_argument("--crop", type=positive, default=224, help="input side (default %(default)s)")
    parser.add_argument(
        "--batch-norm",
        choices=("frozen", "batch"),
        default="frozen",
        help="in training: the pretrained net's frozen statistics (default), or the batch's, to train from scratch",
    )
    parser.add_argument("--batch-size", type=positive, default=20, help="default %(default)s, the paper's")
    parser.add_argument("--test-batch-size", type=positive, help="default: the largest to 50 that divides the test set")
    parser.add_argument("--lesions", type=positive, metavar="P", help="number of lesions (default: as the data has)")
    parser.add_argument("--locations", type=positive, metavar="Q", help="number of locations (default: the same)")
    parser.add_argument("--train-data", type=Path, required=True, help="folder of training LMDBs, as Caffe will see it")
    parser.add_argument("--test-data", type=Path, required=True, help="folder of test LMDBs, as Caffe will see it")
    parser.add_argument("--out", type=Path, required=True, help="folder to write train, test and deploy.prototxt to")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the files in --out differ")
    return parser


def command_of(parser: argparse.ArgumentParser, args: argparse.Namespace) -> str:
    """The command with every setting that is not the default, in one order whatever the user's."""
    words = ["tools/make_prototxt.py"]
    for name, value in vars(args).items():
        if name != "check" and value != parser.get_default(name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    return " ".join(map(shlex.quote, words))


def main() -> None:
    parser = make_parser()
    args = parser.parse_args()
    if (args.lesions is None) != (args.locations is None):
        parser.error("--lesions and --locations go together")
    counted = args.lesions is not None
    # a check of what the flags say in full must not depend on the data that happens to be there
    names = None if args.check and counted else names_of(args.train_data, args.test_data)
    # what the data says goes into args: the command in the files' first line makes them again without the data
    if not counted:
        if names is None:
            raise InputError(f"{args.train_data}, {args.test_data}: not both there to count labels; give the counts")
        args.lesions, args.locations = (len(names[kind]) for kind in KINDS)
    args.test_batch_size = args.test_batch_size or test_batch_size(args.test_data)
    options = NetOptions(
        model=args.model,
        trunk=args.trunk,
        crop=args.crop,
        lesions=args.lesions,
        locations=args.locations,
        train_data=args.train_data.as_posix(),
        test_data=args.test_data.as_posix(),
        batch_size=args.batch_size,
        test_batch_size=args.test_batch_size,
        frozen_batch_norm=args.batch_norm == "frozen",
    )
    files = net_files(options, command_of(parser, args))
    if args.check:
        differing = differing_files(files, options, args.out)
        if differing:
            raise InputError(f"{', '.join(map(str, differing))}: not as generated; run this without --check")
        print(f"{args.out}: as generated")
        return
    test_iterations = check_data(options)
    write_net_files(files, args.out)
    write_label_names(names, options.heads, args.out)
    print(f"{args.out}: {options.net_name}, {options.lesions} lesions, {options.locations} locations")
    if test_iterations:
        print(f"set in the solver: test_iter: {test_iterations}")


if __name__ == "__main__":
    run(main)
