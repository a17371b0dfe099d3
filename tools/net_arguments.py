"""Groups of flags of the tools that run a trained net: which net, and how images are given to it."""

import argparse
import sys
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Union

from arguments import CROPS_AT_ONCE, add_batch_size_argument, add_engine_arguments, add_workers_argument, engine_of
from caffe_files.errors import InputError
from cli import finite, positive, program
from skinmtl.data.seen import KEY, UNKNOWN, Image, limits, marks, require_unseen, seen
from skinmtl.engines.snapshot import SHORT_SIDE, differences_from_net, mean_of, not_said_by_net, short_side_of
from skinmtl.scores.crops import CROPS
from skinmtl.scores.forward import Protocol
from skinmtl.training.trained_images import data_beside, of_data, of_net
from skinmtl.training.trained_net import SNAPSHOTS, TrainedNet, of_run


def add_net_arguments(parser: argparse._ActionsContainer, deploy: str = "the model's deploy.prototxt") -> None:
    """--run or --deploy and --weights, for tools that run a trained net."""
    add_run_arguments(parser, "in place of --deploy and --weights")
    parser.add_argument("--deploy", type=Path, metavar="FILE", help=deploy)
    parser.add_argument(
        "--weights", type=Path, metavar="W", help="a snapshot's caffemodel; with --run in place of its final one"
    )


def add_run_arguments(parser: argparse._ActionsContainer, instead: str) -> None:
    """--run and --snapshot."""
    parser.add_argument(
        "--run",
        type=Path,
        metavar="RUN",
        help=f"a folder of train.py, {instead}: finds the net, its weights, short side, mean and label names",
    )
    parser.add_argument(
        "--snapshot",
        choices=SNAPSHOTS,
        help="of --run: the last weights (default), or those with the best watched figure",
    )


def check_net_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace, net: str = "deploy") -> None:
    """Exits with a usage error unless --run, or --deploy and --weights, say which net to run; `net` is --deploy."""
    if args.run is None and (getattr(args, net) is None or args.weights is None):
        parser.error(f"give --run, or --{net} and --weights")
    if args.run is not None and getattr(args, net) is not None:
        parser.error(f"--run has its own --{net}; give one of them")
    if args.snapshot and (args.run is None or args.weights is not None):
        parser.error("--snapshot is of a --run, and in place of --weights")


def net_of(args: argparse.Namespace) -> TrainedNet:
    """The net that is asked for. What has changed since its run is said, a line each."""
    if args.run is None:
        return TrainedNet(args.deploy, args.weights)
    net = of_run(args.run, args.snapshot or SNAPSHOTS[0], getattr(args, "weights", None))
    for line in net.changed:
        print(f"{program()}: {line}", file=sys.stderr)
    return net


def add_allow_trained_argument(parser: argparse._ActionsContainer) -> None:
    """--allow-trained, for tools that make figures of images."""
    parser.add_argument(
        "--allow-trained",
        action="store_true",
        help="also of images that the net was trained on; how many is written beside the figures (default: refuse)",
    )


def add_trained_on_argument(parser: argparse._ActionsContainer) -> None:
    """--trained-on, for weights that lie in no run's folder."""
    parser.add_argument(
        "--trained-on",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="the LMDBs of make_lmdb.py that the weights were trained on, where nothing beside the weights records it, "
        "as after caffe train (default: not known)",
    )


def seen_by(
    net: TrainedNet, images: Sequence[Image], allowed: bool = True, data: Optional[Sequence[Path]] = None
) -> Union[Dict[str, Any], str]:
    """How many of the images the net has seen in its training, for the protocol of what is made of them.

    `data` is --trained-on. InputError where images were trained on and that is not `allowed`, or where the folders are
    given of a net whose training is recorded.
    """
    trained_on = of_net(net)
    if data:
        if trained_on is not None:
            raise InputError(f"--trained-on: what {net.weights} were trained on is recorded; leave the flag out")
        trained_on = of_data(data)
    record = seen(trained_on, images)
    require_unseen(record, str(net.weights), allowed)
    return record


def tell_seen(net: TrainedNet, record: Union[Dict[str, Any], str], marked: bool = True) -> None:
    """A line on standard error for each thing that cannot be told of the images and, if `marked`, for what was seen."""
    lines = limits(record)
    if marked and not isinstance(record, str):
        lines += marks({KEY: record})
    for line in lines:
        print(f"{program()}: {net.weights}: {line}", file=sys.stderr)


def tell_trained_on(net: TrainedNet, record: Union[Dict[str, Any], str]) -> None:
    """A line on standard error where nothing records what was trained on, and the user may know it for --trained-on."""
    data = data_beside(net) if record == UNKNOWN else None
    if data is not None:
        read = f"if they were trained on what {net.deploy.with_name('train.prototxt')} reads, say --trained-on {data}"
        print(f"{program()}: {net.weights}: {read}", file=sys.stderr)


def add_protocol_arguments(parser: argparse.ArgumentParser, masks: bool = False) -> None:
    """How images are read and run, for tools that run a net: the fields of scores.forward.Protocol. `masks`: the tool
    runs nets that draw lesions too."""
    group = parser.add_argument_group("how the net is run")
    add_net_json_arguments(group)
    add_batch_size_argument(group, masks)
    add_engine_arguments(group)
    add_workers_argument(group)


def add_net_json_arguments(parser: argparse._ActionsContainer, first: str = "") -> None:
    """--short-side and --mean, which net.json beside the net says where they are not given; `first` is asked before."""
    parser.add_argument(
        "--short-side",
        type=positive,
        metavar="PIXELS",
        help=f"of the resized image (default: {first}as net.json beside the net says, else {SHORT_SIDE})",
    )
    parser.add_argument(
        "--mean",
        type=finite,
        nargs=3,
        metavar=("B", "G", "R"),
        help="to subtract (default: as net.json or test.prototxt beside the net says)",
    )


def protocol_of(args: argparse.Namespace, deploy: Path, crops: int = CROPS) -> Protocol:
    """How the net is run: by the flags, else as it was made for. A flag that differs from that is said."""
    say_differences(args, deploy)
    say_short_side(args, deploy)
    mean = tuple(args.mean) if args.mean else mean_of(deploy)
    batch_size = args.batch_size or CROPS_AT_ONCE
    return Protocol(args.short_side or short_side_of(deploy), mean, batch_size, engine_of(args), args.workers, crops)


def mask_protocol_of(args: argparse.Namespace, deploy: Path) -> Protocol:
    """How a net that draws lesions is run: one look at the whole image, in a square of the net's own side. InputError
    where --short-side is given."""
    if args.short_side:
        raise InputError(
            f"--short-side: {deploy} takes the whole image in a square of its own side; leave the flag out"
        )
    say_differences(args, deploy)
    mean = tuple(args.mean) if args.mean else mean_of(deploy)
    return Protocol(0, mean, args.batch_size or 1, engine_of(args), args.workers, 1)


def say_differences(args: argparse.Namespace, deploy: Path) -> None:
    """A line on standard error for each flag that differs from what the net was made for."""
    for line in differences_from_net(deploy, args.short_side, args.mean):
        print(f"{program()}: {line}", file=sys.stderr)


def say_short_side(args: argparse.Namespace, deploy: Path) -> None:
    """A line on standard error where neither a flag nor the net says the short side."""
    line = "" if args.short_side else not_said_by_net(deploy)
    if line:
        print(f"{program()}: {line}", file=sys.stderr)
