"""caffe-torch: `caffe train`, `caffe test` and `caffe time` with PyTorch, with Caffe's own flags.

caffe-torch train -solver solver.prototxt [-weights a.caffemodel,b.caffemodel | -snapshot x.solverstate] [-gpu 0,1]
caffe-torch test  -model net.prototxt -weights a.caffemodel [-iterations 50] [-gpu 0]
caffe-torch time  -model net.prototxt [-iterations 50] [-gpu 0]
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Callable

import torch

from caffe_torch.distributed import Ranks, ranks_here
from caffe_torch.errors import NetError
from caffe_torch.launching import launch
from caffe_torch.log import number, say
from caffe_torch.model_files import copy_weights
from caffe_torch.net import Net
from caffe_torch.precision import PRECISIONS, numerics
from caffe_torch.stopping import Signals
from caffe_torch.training import Action, Training, mean_outputs, open_net
from skinmtl.caffe_files.schema import caffe_messages
from skinmtl.common.errors import InputError


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """The flags, with one dash or two."""
    parser = argparse.ArgumentParser(
        "caffe-torch", description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="train|test|time")
    for name in ("train", "test", "time"):
        command = commands.add_parser(name, allow_abbrev=False)
        _flag(command, "gpu", default="cpu", help="a GPU's number, several joined by commas, all, or cpu (the default)")
        _flag(command, "precision", choices=PRECISIONS, default="fp32", help="of the computation (default %(default)s)")
        _flag(
            command, "workers", type=int, help="processes that read a net's images ahead (default: a core's, less one)"
        )
        if name == "train":
            _flag(command, "solver", type=Path, required=True, help="the solver's prototxt")
            start = command.add_mutually_exclusive_group()
            _flag(start, "weights", default="", help="caffemodels to start from, joined by commas")
            _flag(start, "snapshot", type=Path, help="a solverstate to go on from")
            effects = [action.value for action in Action]
            _flag(command, "sigint_effect", choices=effects, default="stop", help="of Ctrl-C (default %(default)s)")
            _flag(command, "sighup_effect", choices=effects, default="snapshot", help="of SIGHUP (default %(default)s)")
        else:
            _flag(command, "model", type=Path, required=True, help="the net's prototxt")
            _flag(command, "weights", default="", help="caffemodels, joined by commas")
            _flag(command, "iterations", type=int, default=50, help="batches (default %(default)s)")
            _flag(command, "phase", choices=("TRAIN", "TEST"), default="TRAIN" if name == "time" else "TEST")
    args = parser.parse_args(arguments)
    if args.command != "train" and args.iterations < 1:
        parser.error("-iterations: at least 1")
    if args.workers is not None and args.workers < 0:
        parser.error("-workers: not below 0")
    return args


def _flag(parser: argparse._ActionsContainer, name: str, **settings: object) -> None:
    parser.add_argument(f"-{name}", f"--{name}", **settings)


def main(arguments: list[str] | None = None) -> int:
    """Status 0; 1 where an input is at fault, with one line; 130, 143 where Ctrl-C or SIGTERM ended a training."""
    args = parse_args(arguments)
    try:
        devices = devices_of(args.gpu)
        with numerics(args.precision):
            if args.command != "train":
                return {"test": test, "time": measure}[args.command](args, devices[0])
            if "LOCAL_RANK" in os.environ:
                return train(args, device_of_rank(devices, args.gpu))
            if len(devices) > 1:
                return launch(sys.argv[1:] if arguments is None else arguments, len(devices))
            return train(args, devices[0])
    except InputError as error:
        print(f"caffe-torch: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def devices_of(gpu: str) -> list[str]:
    """PyTorch's names of the devices of -gpu."""
    if gpu == "cpu":
        return ["cpu"]
    there = torch.cuda.device_count()
    if not there:
        raise NetError(f"-gpu {gpu}: PyTorch finds no GPU on this machine; leave -gpu out")
    numbers = list(map(str, range(there))) if gpu == "all" else gpu.split(",")
    for each in numbers:
        if not each.isdecimal() or len(set(numbers)) < len(numbers):
            raise NetError(f"-gpu {gpu}: give numbers joined by commas, each once; or all, or cpu")
        if int(each) >= there:
            raise NetError(f"-gpu {gpu}: PyTorch finds {there} GPUs on this machine, numbered from 0")
    return [f"cuda:{each}" for each in numbers]


def device_of_rank(devices: list[str], gpu: str) -> str:
    """That of a process which torchrun, or `launch`, has started beside others."""
    rank, count = int(os.environ["LOCAL_RANK"]), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if devices == ["cpu"]:
        return "cpu"
    if count > len(devices):
        raise NetError(f"-gpu {gpu}: {count} processes on this machine; start as many as there are GPUs, with -gpu all")
    return devices[rank]


def train(args: argparse.Namespace, device: str) -> int:
    """`caffe train`, in this process and in those that were started beside it."""
    ranks = ranks_here(device)
    signals = Signals({signal.SIGINT: Action(args.sigint_effect), signal.SIGHUP: Action(args.sighup_effect)}, ranks)
    training, fault = None, ""
    try:
        training = _prepared(args, device, ranks)
    except InputError as error:
        fault = str(error)
    faults = ranks.faults(fault)
    if any(faults):
        if next(rank for rank, each in enumerate(faults) if each) == ranks.rank:
            raise NetError(fault)
        return 1
    try:
        training.solve(signals.requested)
        ranks.close()
    except RuntimeError as error:
        if not ranks.is_lost(error):
            raise
        raise NetError("another process of this training has ended; its own line says why") from None
    finally:
        training.close()
    return signals.status


def _prepared(args: argparse.Namespace, device: str, ranks: Ranks) -> Training:
    training = Training(args.solver, device, args.precision, args.workers, ranks)
    tell = say if ranks.is_root else lambda *_: None
    if args.snapshot:
        training.solver.restore(args.snapshot)
        tell("caffe.cpp", f"Resuming from {args.snapshot}")
    for caffemodel in (*training.param.weights, *filter(None, args.weights.split(","))):
        tell("caffe.cpp", f"Finetuning from {caffemodel}")
        for layer in training.solver.copy_from(Path(caffemodel)):
            tell("net.cpp", f"Ignoring source layer {layer}")
    return training


def test(args: argparse.Namespace, device: str) -> int:
    """`caffe test`: the outputs of each batch, and their means."""
    net = _opened(args, device)
    casting = _casting(args.precision, device)
    sums: dict[str, torch.Tensor] = {}
    for batch in range(args.iterations):
        outputs = mean_outputs(net, 1, casting)
        for name, values in outputs.items():
            sums[name] = sums.get(name, 0) + values / args.iterations
            for value in values.reshape(-1).tolist():
                say("caffe.cpp", f"Batch {batch}, {name} = {number(value)}")
    weights = dict(net.loss_weights)
    if weights:
        total = sum(weight * float(sums[name].sum()) for name, weight in weights.items() if name in sums)
        say("caffe.cpp", f"Loss: {number(total)}")
    for name, values in sums.items():
        for value in values.reshape(-1).tolist():
            share = f" (* {number(weights[name])} = {number(weights[name] * value)} loss)" if name in weights else ""
            say("caffe.cpp", f"{name} = {number(value)}{share}")
    return 0


def measure(args: argparse.Namespace, device: str) -> int:
    """`caffe time`: the mean time of a forward and of a backward pass, after one that is not counted."""
    net = _opened(args, device)
    casting, forward, backward = _casting(args.precision, device), 0.0, 0.0
    for iteration in range(args.iterations + 1):
        start = _now(device)
        with casting():
            blobs = net()
            loss = net.loss(blobs) if net.loss_weights else None
        middle = _now(device)
        if loss is not None and loss.requires_grad:
            loss.backward()
        if iteration:
            forward, backward = forward + middle - start, backward + _now(device) - middle
    for name, seconds in (("Forward", forward), ("Backward", backward), ("Forward-Backward", forward + backward)):
        say("caffe.cpp", f"Average {name} pass: {number(1000 * seconds / args.iterations)} ms.")
    return 0


def _opened(args: argparse.Namespace, device: str) -> Net:
    net = open_net(str(args.model), args.phase, caffe_messages().NetState(), args.workers)
    for caffemodel in filter(None, args.weights.split(",")):
        copy_weights(net, Path(caffemodel))
    for source in net.sources():
        source.place_in_training(0, 1)
    return net.to(device, memory_format=torch.channels_last)  # faster in convolutions


def _casting(precision: str, device: str) -> Callable:
    if precision != "bf16":
        return nullcontext
    return lambda: torch.autocast(device.partition(":")[0], torch.bfloat16)


def _now(device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize(device)
    return time.perf_counter()


if __name__ == "__main__":
    sys.exit(main())
