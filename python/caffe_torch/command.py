"""caffe-torch: `caffe train`, `caffe test` and `caffe time` with PyTorch, with Caffe's own flags.

caffe-torch train -solver solver.prototxt [-weights a.caffemodel,b.caffemodel | -snapshot x.solverstate] [-gpu 0]
caffe-torch test  -model net.prototxt -weights a.caffemodel [-iterations 50] [-gpu 0]
caffe-torch time  -model net.prototxt [-iterations 50] [-gpu 0]
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Callable

import torch

from caffe_torch.errors import NetError
from caffe_torch.log import number, say
from caffe_torch.model_files import copy_weights
from caffe_torch.net import Net
from caffe_torch.training import Action, Training, mean_outputs, open_net
from skinmtl.caffe_files.schema import caffe_messages
from skinmtl.common.errors import InputError

PRECISIONS = ("fp32", "tf32", "bf16")


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """The flags, with one dash or two."""
    parser = argparse.ArgumentParser(
        "caffe-torch", description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="train|test|time")
    for name in ("train", "test", "time"):
        command = commands.add_parser(name, allow_abbrev=False)
        _flag(command, "gpu", default="cpu", help="which GPU, by number; cpu: none (default %(default)s)")
        _flag(command, "precision", choices=PRECISIONS, default="fp32", help="of the computation (default %(default)s)")
        _flag(command, "workers", type=int, default=0, help="processes that read data ahead (default: none)")
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
    if args.workers < 0:
        parser.error("-workers: not below 0")
    return args


def _flag(parser: argparse._ActionsContainer, name: str, **settings: object) -> None:
    parser.add_argument(f"-{name}", f"--{name}", **settings)


def main(arguments: list[str] | None = None) -> int:
    """Status 0; 1 where an input is at fault, with one line; 130, 143 where Ctrl-C or SIGTERM ended a training."""
    args = parse_args(arguments)
    try:
        device = device_of(args.gpu)
        if args.precision == "tf32":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        return {"train": train, "test": test, "time": measure}[args.command](args, device)
    except InputError as error:
        print(f"caffe-torch: {error}", file=sys.stderr)
        return 1


def device_of(gpu: str) -> str:
    """PyTorch's name of the device of -gpu."""
    if gpu == "cpu":
        return "cpu"
    if not gpu.isdigit():
        raise NetError(f"-gpu {gpu}: give one number, or cpu")
    if int(gpu) >= torch.cuda.device_count():
        raise NetError(f"-gpu {gpu}: this machine has {torch.cuda.device_count()} GPUs that PyTorch can use")
    return f"cuda:{gpu}"


def train(args: argparse.Namespace, device: str) -> int:
    """`caffe train`."""
    training = Training(args.solver, device, args.precision, args.workers)
    if args.snapshot:
        training.solver.restore(args.snapshot)
        say("caffe.cpp", f"Resuming from {args.snapshot}")
    for caffemodel in (*training.param.weights, *filter(None, args.weights.split(","))):
        say("caffe.cpp", f"Finetuning from {caffemodel}")
        for layer in training.solver.copy_from(Path(caffemodel)):
            say("net.cpp", f"Ignoring source layer {layer}")
    signals = Signals({signal.SIGINT: Action(args.sigint_effect), signal.SIGHUP: Action(args.sighup_effect)})
    training.solve(signals.requested)
    return signals.status


class Signals:
    """What signals ask for, looked at between two iterations. SIGTERM snapshots and stops, where Caffe loses all."""

    def __init__(self, effects: dict[signal.Signals, Action]) -> None:
        self.effects = {**effects, signal.SIGTERM: Action.STOP}
        self.status = 0
        self._action = Action.NONE
        for number_of in self.effects:
            if signal.getsignal(number_of) != signal.SIG_IGN:
                signal.signal(number_of, self._note)

    def _note(self, number_of: int, _: object) -> None:
        self._action = self.effects[signal.Signals(number_of)]
        if self._action is Action.STOP:
            self.status = 128 + number_of

    def requested(self) -> Action:
        """The last request, once."""
        action, self._action = self._action, Action.NONE
        return action


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
        source.start(0, 1)
    return net.to(device)


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
