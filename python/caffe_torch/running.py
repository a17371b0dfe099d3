"""What caffe-torch does, once its flags are read: `caffe train`, `caffe test` and `caffe time` (BVLC: caffe.cpp)."""

from __future__ import annotations

import argparse
import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Sequence

import torch

from caffe_files.errors import InputError
from caffe_files.processor import bf16_warning
from caffe_files.prototxt import read_net, read_solver
from caffe_torch.devices import device_of_rank, devices_of
from caffe_torch.distributed import Ranks, ranks_here
from caffe_torch.errors import NetError
from caffe_torch.launching import launch
from caffe_torch.log import number, say
from caffe_torch.model_files import copy_weights
from caffe_torch.net import Net
from caffe_torch.precision import casting, numerics
from caffe_torch.stopping import Action, Signals
from caffe_torch.training import Training, mean_outputs
from caffe_torch.workers import share_workers


def run_command(args: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Runs what `parse_args` made of the arguments; returns the exit status. InputError where an input is at fault."""
    gpu = gpu_of(args)
    devices = devices_of(gpu)
    if args.precision == "tf32" and devices == ["cpu"]:
        raise NetError("-precision tf32 is of NVIDIA GPUs alone; on the CPU give fp32 or bf16")
    slow = bf16_warning(args.precision, devices != ["cpu"])
    if slow and "LOCAL_RANK" not in os.environ:
        say("caffe.cpp", f"-precision bf16: {slow}")
    try:
        with numerics(args.precision):
            if args.command != "train":
                return {"test": test, "time": measure}[args.command](args, devices[0])
            if "LOCAL_RANK" in os.environ:
                return train(args, device_of_rank(devices, gpu))
            if len(devices) > 1:
                return launch(arguments, len(devices))
            return train(args, devices[0])
    except torch.cuda.OutOfMemoryError:
        raise NetError(
            f"-gpu {gpu}: the GPU's memory is too small; give the data layers a smaller batch_size (and the solver a "
            "larger iter_size for it), or see what else runs there"
        ) from None


def gpu_of(args: argparse.Namespace) -> str:
    """What -gpu says; where it is left out, the solver decides, and else it is the CPU."""
    if args.gpu is None and args.command == "train":
        param = read_solver(args.solver)
        if param.HasField("solver_mode") and param.solver_mode == param.GPU:
            return str(param.device_id)
    return args.gpu or "cpu"


def stages_of(args: argparse.Namespace) -> list[str]:
    """What -stage says."""
    return [stage for stage in args.stage.split(",") if stage]


def train(args: argparse.Namespace, device: str) -> int:
    """`caffe train`, in this process and in those that were started beside it."""
    ranks = ranks_here(device)
    effects = {signal.SIGINT: Action(args.sigint_effect), signal.SIGHUP: Action(args.sighup_effect)}
    signals = Signals(effects, ranks.largest)
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
        training.solve(signals)
        ranks.close()
    except RuntimeError as error:
        if not ranks.is_lost(error):
            raise
        raise NetError("another process of this training has ended; its own line says why") from None
    finally:
        training.close()
    return signals.status


def _prepared(args: argparse.Namespace, device: str, ranks: Ranks) -> Training:
    last = read_solver(args.solver).max_iter
    if args.warm_up >= max(1, last):
        raise NetError(f"-warm-up {args.warm_up}: not below the {last} iterations of {args.solver}; give fewer")
    reading = (args.solver, device, args.precision, args.workers, ranks, args.level, stages_of(args))
    training = Training(*reading, warm_up=args.warm_up)
    tell = say if ranks.is_root else lambda *_: None
    if args.snapshot:
        training.solver.restore(args.snapshot)
        tell("caffe.cpp", f"Resuming from {args.snapshot}")
    for caffemodel in (*training.param.weights, *filter(None, args.weights.split(","))):
        tell("caffe.cpp", f"Finetuning from {caffemodel}")
        for layer in training.solver.copy_from(Path(caffemodel), partial(tell, "net.cpp")):
            tell("net.cpp", f"Ignoring source layer {layer}")
    return training


def test(args: argparse.Namespace, device: str) -> int:
    """`caffe test`: the outputs of each batch, and their means."""
    net = _opened(args, device)
    cast = partial(casting, args.precision, torch.device(device))
    sums: dict[str, torch.Tensor] = {}
    for batch in range(args.iterations):
        outputs = mean_outputs(net, 1, cast)
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
    forward = backward = 0.0
    for iteration in range(args.iterations + 1):
        start = _now(device)
        with casting(args.precision, torch.device(device)):
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
    net = Net(read_net(args.model, strict=True), args.phase, args.level, stages_of(args))
    share_workers(list(net.sources()), args.workers)
    for caffemodel in filter(None, args.weights.split(",")):
        copy_weights(net, Path(caffemodel), partial(say, "net.cpp"))
    for source in net.sources():
        source.place_in_training(0, 1)
    return net.to(device, memory_format=torch.channels_last)  # faster in convolutions


def _now(device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize(device)
    return time.perf_counter()
