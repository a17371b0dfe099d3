#!/usr/bin/env python3
"""Names the lesions and the place on the body in photographs, with a model folder that export.py made.

examples: tools/predict.py --model models/mtl photo.jpg
          tools/predict.py --model models/mtl --json photographs/ > predictions.jsonl
          curl --silent ADDRESS | tools/predict.py --model models/mtl -

Tells every lesion whose probability reaches the threshold, and the three likeliest places. Images that cannot be used
are named on standard error, a line each, the others are still predicted, and the exit status is 1. Research software:
not a medical device.
"""

import argparse
import sys
from pathlib import Path

from arguments import add_engine_arguments, check_engine_arguments, engine_of
from caffe_files.errors import InputError
from cli import finite, new_parser, positive, run, usable_cores
from skinmtl.publishing.model_folder import read_model_folder
from skinmtl.publishing.photographs import STANDARD_INPUT, gather
from skinmtl.publishing.predicting import Predictor, predict
from skinmtl.publishing.wording import as_json, as_text, tell
from skinmtl.scores.crops import CROPS, CUTS
from skinmtl.scores.forward import Protocol


def probability(text: str) -> float:
    """An argparse type: a number from 0 to 1."""
    value = finite(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", help="a file, a folder of images, or - for standard input"
    )
    parser.add_argument("--model", type=Path, required=True, metavar="FOLDER", help="a model folder of export.py")
    parser.add_argument(
        "--threshold",
        type=probability,
        default=0.5,
        metavar="P",
        help="least probability of a lesion to be told (default %(default)s, our choice: likelier than not)",
    )
    parser.add_argument(
        "--json", action="store_true", help="JSON Lines: an object an image, with the probabilities of all labels"
    )
    parser.add_argument(
        "--attention",
        type=Path,
        metavar="DIR",
        help="also write overlays, where the net finds its evidence for the likeliest lesion and place, to this new "
        "folder",
    )
    parser.add_argument(
        "--crops",
        type=int,
        choices=sorted(CUTS),
        default=CROPS,
        help="squares an image whose probabilities are averaged; 1: the centre alone (default %(default)s)",
    )
    parser.add_argument("--batch-size", type=positive, default=10, help="crops a forward pass (default %(default)s)")
    add_engine_arguments(parser)
    parser.add_argument(
        "--workers", type=positive, default=usable_cores(), help="processes that read images (default: one a core)"
    )
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    check_engine_arguments(parser, args)
    if args.images.count(STANDARD_INPUT) > 1:
        parser.error("- stands for one image; give it once")
    if args.attention is not None and args.crops != CROPS:
        parser.error(f"--attention goes with {CROPS} crops, which together show the whole image")
    return args


def main() -> None:
    args = parse_args()
    model = read_model_folder(args.model)
    items, told = gather(args.images, sys.stdin and sys.stdin.buffer)
    for line in told:
        print(line, file=sys.stderr)
    protocol = Protocol(model.short_side, model.mean, args.batch_size, engine_of(args), args.workers, args.crops)
    predictor = Predictor(model, protocol, attends=args.attention is not None)
    made, bad = predictor.record(), []
    for prediction in predict(predictor, items, args.attention, vars(args)):
        if prediction.problem:
            bad.append(f"{prediction.item.name}: {prediction.problem}; mend it or leave it out")
        if args.json:
            tell(as_json(prediction, model.labels, args.threshold, made))
        elif not prediction.problem:
            tell(as_text(prediction, model.labels, args.threshold))
    if bad:
        raise InputError("\n".join(bad))


if __name__ == "__main__":
    run(main)
