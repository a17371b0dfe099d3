#!/usr/bin/env python3
"""Names or draws the lesions in photographs, and names the place, with a model folder, a training run or an experiment.

examples: tools/predict.py work/x photo.jpg       work/x is of skinmtl run, of train.py or of export.py
          tools/predict.py --model-folder models/mtl photo.jpg
          tools/predict.py --run work/mtl/run photo.jpg
          tools/predict.py --model-folder models/mtl photographs/ --json-lines predictions.jsonl
          curl --silent ADDRESS | tools/predict.py --model-folder models/mtl -

Tells every lesion whose probability reaches the threshold, and the three likeliest places. A model that draws lesions
tells class, box and mask of the one in each photograph; where it detects none, the likeliest place. Images that cannot
be used are named on standard error, a line each, the others are still predicted, and the exit status is 1. With a model
that has a novelty.npz nothing is named in photographs that are unlike those that it was trained on. Research software:
not a medical device.
"""

import argparse
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator, NamedTuple, Optional, Sequence, Union

from arguments import (
    add_batch_size_argument,
    add_engine_arguments,
    add_workers_argument,
    check_engine_arguments,
    engine_of,
    usual_engine,
)
from caffe_files.errors import InputError
from caffe_files.outputs import new_file
from cli import finite, new_parser, program, run
from net_arguments import add_run_arguments, net_of
from parsing import renamed
from skinmtl.engines.snapshot import not_said_by_net
from skinmtl.publishing.model_folder import Model, read_model_folder
from skinmtl.publishing.novelties import cannot_tell, told_of_novelty
from skinmtl.publishing.photographs import STANDARD_INPUT, Item, gather
from skinmtl.publishing.predicting import Prediction, Predictor, predict, said_of_seen
from skinmtl.publishing.predicting_masks import MaskPrediction, MaskPredictor, predict_masks
from skinmtl.publishing.run_model import run_model
from skinmtl.publishing.which_model import find_model
from skinmtl.publishing.wording import as_json, as_text, tell
from skinmtl.publishing.wording_masks import mask_json, mask_text
from skinmtl.scores.crops import CROPS, CUTS
from skinmtl.scores.forward import Protocol

STANDARD_OUTPUT = Path("-")


class Told(NamedTuple):
    """A prediction, as a line of JSON and in words; no words where the image cannot be used."""

    prediction: Union[Prediction, MaskPrediction]
    json: str
    text: str


def probability(text: str) -> float:
    """An argparse type: a number from 0 to 1."""
    value = finite(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="a file, a folder of images, or - for standard input; without --model-folder and --run the first is the "
        "folder that has the model",
    )
    parser.add_argument("--model-folder", type=Path, metavar="FOLDER", help="made by export.py")
    renamed(parser, "--model", "--model-folder")
    add_run_arguments(parser, "in place of --model-folder")
    parser.add_argument(
        "--threshold",
        type=probability,
        default=0.5,
        metavar="P",
        help="least probability of a lesion to be told (default %(default)s, our choice: likelier than not)",
    )
    parser.add_output_argument(
        "--json-lines",
        help="also write JSON Lines: one object per image, with the probabilities of all labels; - writes them to "
        "standard output in place of the text",
    )
    renamed(parser, "--json", "--json-lines", ["--json-lines", "-"])
    parser.add_output_argument(
        "--attention",
        folder=True,
        help="also write overlays, where the net finds its evidence for the likeliest lesion and place, to this new "
        "folder",
    )
    parser.add_argument(
        "--crops",
        type=int,
        choices=sorted(CUTS),
        default=CROPS,
        help="crops per image whose probabilities are averaged; 1: the centre alone (default %(default)s)",
    )
    parser.add_output_argument(
        "--masks-out",
        folder=True,
        help="of a model that draws lesions: also write each mask, and the photograph with the outline and the box on "
        "it, to this new folder",
    )
    parser.add_argument(
        "--name-unlike",
        action="store_true",
        help="also name what is seen in photographs that are unlike the training images, which are marked (default: "
        "nothing is named in these)",
    )
    add_batch_size_argument(parser)
    add_engine_arguments(parser, default=None)
    add_workers_argument(parser)
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    args.engine = args.engine or usual_engine()
    check_engine_arguments(parser, args)
    if args.model_folder is not None and args.run is not None:
        parser.error("give --model-folder or --run")
    if args.model_folder is None and args.run is None:
        find_folder(parser, args)
    if args.snapshot and args.run is None:
        parser.error("--snapshot goes with --run")
    if args.images.count(STANDARD_INPUT) > 1:
        parser.error("- stands for one image; give it once")
    images = [Path(image) for image in args.images if image != STANDARD_INPUT]
    for out, folder in ((args.json_lines, False), (args.attention, True), (args.masks_out, True)):
        if out is not None:
            parser.refuse_inputs(out, *images, folder=folder)
    if args.attention is not None and args.crops != CROPS:
        parser.error(f"--attention goes with {CROPS} crops, which together show the whole image")
    return args


def find_folder(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Takes the first of the images as the folder that has the model, and says as what."""
    folder = Path(args.images.pop(0))
    found = find_model(folder)
    if found is None:
        what = "has no model" if folder.exists() else "is not there"
        parser.error(f"{folder} {what}: name a folder with a model first, or give --model-folder or --run")
    if not args.images:
        parser.error(f"{folder} has the model; name images after it")
    print(f"{program()}: {found.line}", file=sys.stderr)
    setattr(args, "run" if found.is_run else "model_folder", found.path)


@contextmanager
def json_lines(path: Optional[Path]) -> Iterator[Optional[Callable[[str], object]]]:
    """What writes a line to the file, whole when the block ends well, or to standard output; nothing without a path."""
    if path is None or path == STANDARD_OUTPUT:
        yield tell if path else None
        return
    with new_file(path) as partial, open(str(partial), "w", encoding="ascii") as file:
        yield lambda line: file.write(f"{line}\n")


def told_of(args: argparse.Namespace, model: Model, items: Sequence[Item]) -> Iterator[Told]:
    """What is to be told of each image, by a model of labels."""
    if args.masks_out is not None:
        raise InputError(f"--masks-out: {model.path} draws no lesions; leave the flag out")
    protocol = Protocol(model.short_side, model.mean, args.batch_size, engine_of(args), args.workers, args.crops)
    predictor = Predictor(model, protocol, attends=args.attention is not None, names_unlike=args.name_unlike)
    if model.calibration is not None and args.crops != model.calibration.same.get("crops"):
        fitted = model.calibration.same.get("crops")
        told = f"its probabilities were calibrated for {fitted} crops, not for {args.crops}"
        print(f"{program()}: {model.path}: {told}", file=sys.stderr)
    if model.calibration is not None:
        print(f"{program()}: {model.path}: {model.calibration.told()}", file=sys.stderr)
    if predictor.novelty is None:
        print(f"{program()}: {cannot_tell(model.path, predictor.blind)}", file=sys.stderr)
    else:
        print(f"{program()}: {told_of_novelty(model.path, predictor.novelty, args.name_unlike)}", file=sys.stderr)
    made = predictor.record()
    unlike = 0
    for prediction in predict(predictor, items, args.attention, vars(args)):
        unlike += not prediction.named
        text = "" if prediction.problem else as_text(prediction, model.labels, args.threshold)
        yield Told(prediction, as_json(prediction, model.labels, args.threshold, made), text)
    if unlike:
        remedy = "--name-unlike names what is seen in them all the same"
        if args.attention is not None:
            remedy = f"they have no overlays; {remedy}, and draws them"
        print(f"{program()}: nothing is named in {unlike} of {len(items)} photographs: {remedy}", file=sys.stderr)


def drawn_of(args: argparse.Namespace, model: Model, items: Sequence[Item]) -> Iterator[Told]:
    """The same by a model that draws lesions."""
    if args.attention is not None:
        raise InputError(f"--attention: {model.path} draws lesions; give --masks-out for pictures of them")
    protocol = Protocol(model.short_side, model.mean, 1, engine_of(args), args.workers, 1)
    predictor = MaskPredictor(model, protocol)
    why = "it draws lesions, and novelty.py is of models that do not"
    print(f"{program()}: {cannot_tell(model.path, why)}", file=sys.stderr)
    words = (model.class_names, model.labels, args.threshold)
    for prediction in predict_masks(predictor, items, args.masks_out, vars(args)):
        text = "" if prediction.problem else mask_text(prediction, *words)
        yield Told(prediction, mask_json(prediction, *words, predictor.record()), text)


def main() -> None:
    args = parse_args()
    model = run_model(net_of(args)) if args.run else read_model_folder(args.model_folder)
    items, lines = gather(args.images, sys.stdin and sys.stdin.buffer)
    of_run = filter(None, [not_said_by_net(model.deploy)]) if args.run and model.net is None else ()
    for line in [*lines, *of_run, *said_of_seen(model, items)]:
        print(f"{program()}: {line}", file=sys.stderr)
    bad = []
    with json_lines(args.json_lines) as write:
        for prediction, line, text in (told_of if model.net is None else drawn_of)(args, model, items):
            if prediction.problem:
                bad.append(f"{prediction.item.name}: {prediction.problem}; mend it or leave it out")
            for said in prediction.told:
                tell(f"{program()}: {prediction.item.name}: {said}", sys.stderr)
            if write:
                write(line)
            if write is not tell and text:
                tell(text)
    if bad:
        raise InputError("\n".join(bad))


if __name__ == "__main__":
    run(main)
