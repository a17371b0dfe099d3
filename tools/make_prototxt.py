#!/usr/bin/env python3
"""Generates a model's train, test and deploy prototxts."""

import argparse
import shlex
import sys
from pathlib import Path

from cli import positive, run
from skinmtl.errors import InputError
from skinmtl.net_files import (
    differing_files,
    label_counts,
    net_files,
    test_batch_size,
    test_iterations,
    write_net_files,
)
from skinmtl.nets import MODELS, NetOptions
from skinmtl.trunks import TRUNKS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument("--train-data", type=Path, required=True, help="folder of training LMDBs, as Caffe will see it")
    parser.add_argument("--test-data", type=Path, required=True, help="folder of test LMDBs, as Caffe will see it")
    parser.add_argument("--lesions", type=positive, metavar="P", help="number of lesions (default: as the data has)")
    parser.add_argument("--locations", type=positive, metavar="Q", help="number of locations (default: the same)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write train, test and deploy.prototxt to")
    parser.add_argument("--trunk", choices=sorted(TRUNKS), default="resnet50", help="default %(default)s")
    parser.add_argument("--crop", type=positive, default=224, help="input side (default %(default)s)")
    parser.add_argument("--batch-size", type=positive, default=20, help="default %(default)s, the paper's")
    parser.add_argument(
        "--test-batch-size", type=positive, help="default: the largest up to 50 that divides the test set; 20 unknown"
    )
    parser.add_argument(
        "--batch-norm",
        choices=("frozen", "batch"),
        default="frozen",
        help="in training: the pretrained net's frozen statistics (default), or the batch's, to train from scratch",
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the files in --out differ")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    lesions, locations = label_counts([args.train_data, args.test_data], args.lesions, args.locations)
    options = NetOptions(
        trunk=args.trunk,
        crop=args.crop,
        lesions=lesions,
        locations=locations,
        train_data=args.train_data.as_posix(),
        test_data=args.test_data.as_posix(),
        batch_size=args.batch_size,
        test_batch_size=args.test_batch_size or test_batch_size(args.test_data),
        frozen_batch_norm=args.batch_norm == "frozen",
    )
    command = ["tools/make_prototxt.py", *(word for word in sys.argv[1:] if word != "--check")]
    files = net_files(options, " ".join(map(shlex.quote, command)))
    if args.check:
        differing = differing_files(files, args.out)
        if differing:
            raise InputError(f"{', '.join(map(str, differing))}: not as generated; run this without --check")
        print(f"{args.out}: as generated")
        return
    write_net_files(files, args.out)
    print(f"{args.out}: {lesions} lesions, {locations} locations")
    if args.test_data.exists():
        print(f"set in the solver: test_iter: {test_iterations(args.test_data, options.test_batch_size)}")


if __name__ == "__main__":
    run(main)
