#!/usr/bin/env python3
"""Makes a trained net ready for others: a folder with the net, weights, label names, sha256 and a model card.

examples: tools/export.py --run work/mtl/run --metrics metrics.json --licence "CC BY 4.0" --out models/mtl
          tools/export.py --deploy net/deploy.prototxt --weights final.caffemodel --onnx --out models/mtl

predict.py, Caffe and OpenCV's dnn read the folder. Net and weights are copied byte by byte, so that their sha256 are
those in scores and metrics; Caffe writes the paths of the LMDBs that a net was trained from into both. --onnx adds
model.onnx: without the ten crops, input `data`, N x 3 x S x S, B, G, R of 0 to 255 less the mean; outputs lesion_prob
and location_prob. It is run by onnxruntime on drawn crops, and refused unless its probabilities are the engine's.
--state-dict adds the weights for nets written in PyTorch. The folder of a net that draws lesions has the names of its
classes too; Caffe runs it where it can import skinmtl's layers.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from arguments import add_allow_layer_argument, add_group_column_argument, usual_engine
from cli import new_parser, run
from net_arguments import (
    add_allow_trained_argument,
    add_net_arguments,
    add_net_json_arguments,
    check_net_arguments,
    net_of,
    say_differences,
    say_short_side,
)
from skinmtl.engines.engine import NAMES, Engine
from skinmtl.publishing.exporting import Request, export
from skinmtl.publishing.state_dict import ENDINGS
from skinmtl.scores.mask_net import mask_net_of


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    add_net_arguments(parser.add_argument_group("the net"))
    parser.add_argument(
        "--train-data",
        type=Path,
        metavar="DIR",
        help="what make_lmdb.py made and it was trained on, for the model card; a --run says it itself",
    )
    parser.add_output_argument("--out", folder=True, required=True, help="the folder to make")
    parser.add_argument("--name", metavar="NAME", help="of the model (default: the net's)")
    parser.add_argument(
        "--manifest",
        metavar="CSV",
        type=Path,
        help="for label names where the net has none in net.json, and for the model card",
    )
    add_group_column_argument(parser)
    parser.add_argument(
        "--metrics",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="of evaluate.py --json; may be repeated",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="of calibrate.py, for predict.py to tell calibrated probabilities",
    )
    parser.add_argument(
        "--novelty",
        type=Path,
        metavar="FILE",
        help="of novelty.py, for predict.py to name nothing in photographs that are unlike the training images; has "
        "features of training images",
    )
    add_allow_trained_argument(parser)
    parser.add_argument("--licence", metavar="TEXT", help="under which others may use the model, for the model card")
    parser.add_argument("--onnx", action="store_true", help="also write model.onnx")
    parser.add_argument(
        "--state-dict", choices=ENDINGS, nargs="?", const=ENDINGS[0], help="also write weights.pth, or .safetensors"
    )
    add_net_json_arguments(parser, "as in the metrics, else ")
    parser.add_argument(
        "--engine", choices=NAMES, help="that the net is checked with (default: caffe where this Python has it)"
    )
    add_allow_layer_argument(parser)
    return parser


def parse_args() -> argparse.Namespace:
    parser = make_parser()
    args = parser.parse_args()
    check_net_arguments(parser, args)
    if args.run is not None and args.train_data is not None:
        parser.error("--run has its own --train-data; give one of them")
    for flag, text in (("name", args.name), ("licence", args.licence)):
        if text is not None and not (text.strip() and text.isprintable()):
            parser.error(f"--{flag} {text!r}: is not a name")
    return args


def main() -> None:
    args = parse_args()
    source = net_of(args)
    if args.train_data is not None:
        source = replace(source, train_data=args.train_data)
    say_differences(args, source.deploy)
    request = Request(
        source=source,
        name=args.name,
        mean=tuple(args.mean) if args.mean else None,
        short_side=args.short_side,
        manifest=args.manifest,
        group_column=args.group_column,
        metrics=args.metrics,
        calibration=args.calibration,
        novelty=args.novelty,
        licence=args.licence,
        onnx=args.onnx,
        state_dict=args.state_dict,
        allow_trained=args.allow_trained,
        engine=Engine(args.engine or usual_engine(), allowed=tuple(args.allow_layer)),
    )
    told = export(request, args.out, vars(args))
    if not args.metrics and mask_net_of(source.deploy) is None:  # metrics have been tested with one
        say_short_side(args, source.deploy)
    for line in told:
        print(line)


if __name__ == "__main__":
    run(main)
