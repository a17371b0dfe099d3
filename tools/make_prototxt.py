#!/usr/bin/env python3
"""Generates a model's train, test and deploy prototxts, and net.json, which tells the other tools about the net."""

import argparse
import shlex
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple

from augment_arguments import add_augment_arguments, augmentation_of, check_augment_arguments
from cli import above_zero, finite, new_parser, not_negative, positive, run
from loss_arguments import (
    add_location_arguments,
    add_loss_arguments,
    check_location_arguments,
    check_loss_arguments,
    lesion_loss_of,
    location_loss_of,
)
from mask_net_arguments import (
    add_mask_net_arguments,
    has_masks,
    mask_net_settings,
    needs_locations,
    set_mask_net_defaults,
)
from parsing import renamed
from skinmtl.nets.given_trunk import GivenTrunk, read_given_trunk
from skinmtl.nets.making import ALL_MODELS, Request, make
from skinmtl.nets.resnet import POOLS, STRIDES_ON, ResNet
from skinmtl.nets.solver_template import solver_file
from skinmtl.nets.trunks import TRUNKS

SCALES, SEED = [256, 480], 1  # the paper's scales


def make_parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    parser.add_argument(
        "--model",
        choices=sorted(ALL_MODELS),
        required=True,
        help="both heads (mtl), or one of them; or boxes and masks with their classes (mask_rcnn)",
    )
    parser.add_argument("--trunk", choices=sorted(TRUNKS), help="of the model's family (default: as the model's name)")
    add_trunk_net_arguments(parser)
    parser.add_argument(
        "--crop", metavar="PIXELS", type=positive, help="input side (default: the published one: 224; AlexNet 227)"
    )
    parser.add_argument(
        "--mean",
        type=finite,
        nargs=3,
        metavar=("B", "G", "R"),
        help="to subtract (default: the published 103.0626 115.9029 123.1516; AlexNet, and a --trunk-net, 104 117 123)",
    )
    parser.add_argument(
        "--stride-on",
        choices=STRIDES_ON,
        help="where a ResNet's stage has its stride: 1x1, branch2a, as the published net (default); 3x3, branch2b, as "
        "torchvision and timm, for weights of convert_weights.py, which says the --mean that goes with it",
    )
    parser.add_argument(
        "--pool1",
        choices=POOLS,
        help="a ResNet's first pooling: unpadded, as the published net (default with --stride-on 1x1), or padded by 1 "
        "and rounded down, as PyTorch (default with 3x3)",
    )
    parser.add_argument(
        "--batch-norm",
        choices=("frozen", "batch"),
        help="in training a ResNet: the pretrained net's frozen statistics (default), or the batch's, to train from "
        "scratch (default of the tiny trunk, which has no pretrained weights); an AlexNet has none",
    )
    parser.add_argument(
        "--online-jitter",
        action="store_true",
        help="training images are stored once, and each is seen at a new random scale each time, by the layer "
        "skinmtl.layers.JitteredImageData (default: at the scales that they are stored at)",
    )
    jitter = {"online": ["--online-jitter"], "offline": []}
    renamed(parser, "--jitter", "--online-jitter", of_values=jitter)
    parser.add_argument(
        "--scales", type=positive, nargs=2, metavar=("MIN", "MAX"), help="of --online-jitter (default: 256 480)"
    )
    parser.add_argument(
        "--seed", type=not_negative, metavar="S", help="of --online-jitter, or of a mask net's draws (default: 1)"
    )
    parser.add_argument(
        "--batch-size", metavar="N", type=positive, help="default: the paper's 20; AlexNet 256; mask nets 2"
    )
    parser.add_argument(
        "--test-batch-size",
        metavar="N",
        type=positive,
        help="default: the largest that divides the test set, to 50, for mask nets to --batch-size",
    )
    add_augment_arguments(parser)
    add_loss_arguments(parser)
    add_location_arguments(parser)
    add_mask_net_arguments(parser)
    parser.add_argument("--lesions", type=positive, metavar="P", help="number of lesions (default: as the data has)")
    parser.add_argument("--locations", type=positive, metavar="Q", help="number of locations (default: the same)")
    parser.add_argument(
        "--train-data", metavar="DIR", type=Path, required=True, help="folder of training LMDBs, as Caffe will see it"
    )
    parser.add_argument(
        "--test-data", metavar="DIR", type=Path, required=True, help="folder of test LMDBs, as Caffe will see it"
    )
    parser.add_argument(
        "--solver",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="also write OUT/solver.prototxt: this one, with its comments, for the new net and its whole test set, "
        "snapshots to OUT/NAME_iter_N.caffemodel; `caffe train -solver OUT/solver.prototxt` needs no editing. One for "
        "a phase of a mask net becomes OUT/solver_phaseN.prototxt, and all three may be given",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="folder to write train, test and deploy.prototxt to"
    )
    parser.add_overwrite_argument()
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the files in --out differ")
    return parser


def add_trunk_net_arguments(parser: argparse.ArgumentParser) -> None:
    """--trunk-net and what goes with it, and --freeze-to."""
    group = parser.add_argument_group("a published net as trunk")
    group.add_argument(
        "--trunk-net",
        metavar="FILE",
        type=Path,
        help="a published deploy.prototxt, whose layers below --features become the trunk, in place of --trunk",
    )
    group.add_argument(
        "--features",
        metavar="BLOB",
        help="of --trunk-net: what the heads stand on; where it has many places, on their average, which is added",
    )
    group.add_argument(
        "--maps",
        metavar="BLOB",
        help="of --trunk-net: what class activation maps are made of (default: what the features are the average of)",
    )
    group.add_argument(
        "--input-scale",
        metavar="FACTOR",
        type=above_zero,
        help="of --trunk-net: multiplies the pixels less their mean, as some nets were trained (0.017; default: 1)",
    )
    group.add_argument(
        "--freeze-to",
        metavar="LAYER",
        help="the layers of any trunk from the first to this one, with what works in place on it, do not learn",
    )


def trunk_of(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Any:
    """The trunk that the flags name; exits with a usage error where they do not go together."""
    if args.trunk_net is None:
        for flag in ("features", "maps", "input_scale"):
            if getattr(args, flag) is not None:
                parser.error(f"--{flag.replace('_', '-')} goes with --trunk-net")
        return TRUNKS[args.trunk or ALL_MODELS[args.model].trunk]
    if args.features is None:
        parser.error("--trunk-net: name the blob that the heads stand on, by --features")
    if args.trunk:
        parser.error("--trunk-net and --trunk: give one of them")
    if has_masks(args):
        parser.error(f"--trunk-net: the stages of {args.model} are those of a ResNet; give --trunk, or another --model")
    return read_given_trunk(args.trunk_net, args.features, args.maps, args.input_scale)


def set_defaults(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Fills what `args` leaves open as the model has it; exits with a usage error where flags do not go together."""
    model = ALL_MODELS[args.model]
    trunk = trunk_of(parser, args)
    args.given = trunk if isinstance(trunk, GivenTrunk) else None
    name = args.given.name if args.given else args.trunk or model.trunk
    if args.freeze_to and has_masks(args):
        parser.error(f"--freeze-to: {args.model} is trained in phases; give train.py --phases instead")
    if args.trunk and not model.fits(args.trunk):
        fitting = ", ".join(name for name in sorted(TRUNKS) if model.fits(name))
        parser.error(f"--trunk {args.trunk}: not of {args.model}'s family; give one of {fitting}")
    if args.batch_norm and not trunk.has_batch_norm:
        parser.error(f"--batch-norm {args.batch_norm}: {name} has no BatchNorm; leave it out")
    for flag, value in (("stride-on", args.stride_on), ("pool1", args.pool1)):
        if value and not isinstance(trunk, ResNet):
            of_ours = "is given as it is" if args.given else "is no ResNet"
            parser.error(f"--{flag} {value}: {name} {of_ours}; leave it out")
    if not args.online_jitter and (args.scales or (args.seed is not None and not has_masks(args))):
        parser.error("--scales and --seed go with --online-jitter")
    if args.scales and args.scales[0] > args.scales[1]:
        parser.error("--scales: the smallest first")
    if args.online_jitter:
        parser.set_defaults(scales=SCALES, seed=SEED)
    check_loss_arguments(parser, args)
    check_location_arguments(parser, args)
    check_augment_arguments(parser, args)
    set_mask_net_defaults(parser, args)
    parser.set_defaults(
        trunk=args.given.name if args.given else model.trunk,
        # a net that names no input of its own is one for a --crop that is given
        crop=None if has_masks(args) else args.given.side if args.given and args.crop else trunk.crop,
        mean=list(trunk.mean),
        stride_on="1x1",
        pool1="padded" if args.stride_on == "3x3" else "unpadded",
        batch_size=model.batch_size,
        batch_norm="batch" if isinstance(trunk, ResNet) and not trunk.pretrained else "frozen",
    )
    for name, value in vars(args).items():
        if value is None:
            setattr(args, name, parser.get_default(name))


def command_of(parser: argparse.ArgumentParser, args: argparse.Namespace) -> str:
    """The command with every setting that is not the default, in one order whatever the user's."""
    words = ["tools/make_prototxt.py"]
    for name, value in vars(args).items():
        if name not in ("check", "given") and value != parser.get_default(name):
            values = [] if value is True else map(str, value if isinstance(value, list) else [value])
            words += [f"--{name.replace('_', '-')}", *values]
    return " ".join(map(shlex.quote, words))


def parse_args(words: Optional[Sequence[str]] = None) -> Tuple[argparse.ArgumentParser, argparse.Namespace]:
    """The arguments, and the parser, which now knows the defaults of the model that they name."""
    parser = make_parser()
    args = parser.parse_args(words)
    set_defaults(parser, args)
    if needs_locations(args) and (args.lesions is None) != (args.locations is None):
        parser.error("--lesions and --locations go together")
    for solver in args.solver or ():
        parser.refuse_inputs(args.out / solver_file(solver), solver)
    return parser, args


def settings_of(args: argparse.Namespace) -> Dict[str, Any]:
    """The fields of NetOptions or MaskNetOptions."""
    names = ("model", "trunk", "lesions", "locations", "batch_size", "test_batch_size", "stride_on", "pool1")
    shared = {
        **{name: getattr(args, name) for name in names},
        "train_data": args.train_data.as_posix(),
        "test_data": args.test_data.as_posix(),
        "frozen_batch_norm": args.batch_norm == "frozen",
        "mean": tuple(args.mean),
    }
    if has_masks(args):
        return {**shared, **mask_net_settings(args)}
    scales = tuple(args.scales) if args.scales else None
    seed = SEED if args.seed is None else args.seed
    return {
        **shared,
        "crop": args.crop,
        "scales": scales,
        "seed": seed,
        "given": args.given,
        "freeze_to": args.freeze_to,
        "lesion_loss": lesion_loss_of(args),
        "location_loss": location_loss_of(args),
        "augmentation": augmentation_of(args),
    }


def main() -> None:
    parser, args = parse_args()

    def command(options: Any) -> str:
        # what the data says goes into the command: it makes the files again without the data
        counted = {name: getattr(options, name) for name in ("lesions", "locations", "test_batch_size")}
        if not has_masks(args) and options.lesion_loss.counts:
            counted["class_counts"] = list(options.lesion_loss.counts)
        if not has_masks(args) and options.location_loss.counts:
            counted["location_counts"] = list(options.location_loss.counts)
        return command_of(parser, argparse.Namespace(**{**vars(args), **counted}))

    request = Request(settings_of(args), has_masks(args), command, args.out, args.solver or (), args.check)
    for line in make(request):
        print(line)


if __name__ == "__main__":
    run(main)
