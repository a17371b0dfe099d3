"""The loop around the iterations, as in Caffe's Solver::Solve: tests, snapshots, what is logged, and how it ends."""

from __future__ import annotations

import enum
import time
from pathlib import Path
from typing import Callable

import torch
from google.protobuf.message import Message
from torch import Tensor

from caffe_torch.errors import NetError
from caffe_torch.log import number, say
from caffe_torch.net import Net
from caffe_torch.solver import Solver
from skinmtl.caffe_files.prototxt import read_net, read_solver


class Action(enum.Enum):
    """What a signal asks for."""

    NONE = "none"
    SNAPSHOT = "snapshot"
    STOP = "stop"


class Training:
    """A solver with its test nets, which have the weights of the training net by the names of layers."""

    def __init__(self, path: Path, device: str, precision: str, workers: int) -> None:
        param = read_solver(path)
        if param.HasField("net") == param.HasField("train_net"):
            raise NetError("the solver must name its net by `net`, or by `train_net` and `test_net`: one of the two")
        torch.manual_seed(max(0, param.random_seed))  # of the fillers
        train = open_net(param.net or param.train_net, "TRAIN", param.train_state, workers)
        self.param, self.solver = param, Solver(param, train, device, precision)
        names = list(param.test_net) or [param.net] * len(param.test_iter)
        if len(names) != len(param.test_iter):
            raise NetError(f"{len(param.test_iter)} test_iter for {len(names)} test nets; give one for each")
        if names and not param.test_interval:
            raise NetError("test_iter is given and test_interval is not; add it")
        states = list(param.test_state) or [None] * len(names)
        if len(states) != len(names):
            raise NetError(f"{len(states)} test_state for {len(names)} test nets; give one for each, or none")
        self.test_nets = [open_net(name, "TEST", state, workers) for name, state in zip(names, states)]
        for net in self.test_nets:
            net.to(self.solver.device)
            net.share_weights(train)
        self.prefix = snapshot_prefix(param, path)
        self._since, self._last = time.perf_counter(), 0

    def solve(self, requested: Callable[[], Action]) -> bool:
        """Trains to max_iter; False where a request to stop ended it early, with a snapshot."""
        solver, param = self.solver, self.param
        say("solver.cpp", f"Solving {solver.net.name}")
        say("solver.cpp", f"Learning Rate Policy: {param.lr_policy}")
        self._since, self._last = time.perf_counter(), solver.iteration
        stopped = False
        while solver.iteration < param.max_iter and not stopped:
            if self._is_due(param.test_interval) and (solver.iteration or param.test_initialization):
                self.test_all()
            iteration, shown = solver.iteration, self._is_due(param.display)
            blobs = solver.step()
            if shown:
                self._display(iteration, blobs)
                say("sgd_solver.cpp", f"Iteration {iteration}, lr = {number(solver.rate)}")
            action = requested()
            if self._is_due(param.snapshot) or action is Action.SNAPSHOT:
                self.snapshot()
            stopped = action is Action.STOP
        if param.snapshot_after_train and not (self._is_due(param.snapshot) and solver.iteration):
            self.snapshot()
        if stopped:
            say("solver.cpp", "Optimization stopped early.")
            return False
        if self._is_due(param.display):
            say("solver.cpp", f"Iteration {solver.iteration}, loss = {number(self._final_loss())}")
        if self._is_due(param.test_interval):
            self.test_all()
        say("solver.cpp", "Optimization Done.")
        return True

    def snapshot(self) -> None:
        """Writes caffemodel and solverstate."""
        name = f"{self.prefix}_iter_{self.solver.iteration}"
        say("solver.cpp", f"Snapshotting to binary proto file {name}.caffemodel")
        self.solver.snapshot(self.prefix)
        say("sgd_solver.cpp", f"Snapshotting solver state to binary proto file {name}.solverstate")

    def test_all(self) -> None:
        """Runs each test net for its test_iter batches, and logs the means of its outputs."""
        for which, (net, batches) in enumerate(zip(self.test_nets, self.param.test_iter)):
            say("solver.cpp", f"Iteration {self.solver.iteration}, Testing net (#{which})")
            show_outputs(net, mean_outputs(net, batches, self.solver.casting), "Test")

    def _is_due(self, interval: int) -> bool:
        return bool(interval) and self.solver.iteration % interval == 0

    def _display(self, iteration: int, blobs: dict[str, Tensor]) -> None:
        now = time.perf_counter()
        lapse, done = now - self._since, iteration - self._last
        speed = f"{number(done / (lapse or 1))} iter/s, {number(lapse)}s/{self.param.display} iters"
        say("solver.cpp", f"Iteration {iteration} ({speed}), loss = {number(self.solver.smoothed_loss)}")
        self._since, self._last = now, iteration
        net = self.solver.net
        show_outputs(net, {name: blobs[name].detach().float().cpu() for name in net.outputs}, "Train")

    @torch.no_grad()
    def _final_loss(self) -> float:
        net = self.solver.net
        with self.solver.casting():
            self.solver.losses.append(float(net.loss(net())))
        return self.solver.smoothed_loss


def snapshot_prefix(param: Message, path: Path) -> str:
    """Where snapshots go: by the solver's name beside it or in the folder that is given, or as is said (BVLC:
    upgrade_proto.cpp)."""
    if not param.HasField("snapshot_prefix"):
        return str(path.with_suffix(""))
    if Path(param.snapshot_prefix).is_dir():
        return str(Path(param.snapshot_prefix) / path.stem)
    return param.snapshot_prefix


def open_net(path: str, phase: str, state: Message | None, workers: int) -> Net:
    """The net of a prototxt; `state` is the solver's, which adds to the net's own level and stages."""
    param = read_net(Path(path), strict=True)
    level = state.level if state is not None and state.HasField("level") else param.state.level
    stages = [*param.state.stage, *(state.stage if state is not None else ())]
    net = Net(param, phase, level, stages)
    for source in net.sources():
        source.workers = workers
    return net


@torch.no_grad()
def mean_outputs(net: Net, batches: int, casting: Callable) -> dict[str, Tensor]:
    """The mean of each output over the next `batches` batches."""
    sums: dict[str, Tensor] = {}
    for _ in range(batches):
        with casting():
            blobs = net()
        for name in net.outputs:
            value = blobs[name].float().cpu()
            sums[name] = sums[name] + value if name in sums else value
    return {name: value / batches for name, value in sums.items()}


def show_outputs(net: Net, outputs: dict[str, Tensor], kind: str) -> None:
    """Logs each number of each output, with its share of the loss."""
    weights = dict(net.loss_weights)
    place = 0
    for name, values in outputs.items():
        for value in values.reshape(-1).tolist():
            share = f" (* {number(weights[name])} = {number(weights[name] * value)} loss)" if name in weights else ""
            say("solver.cpp", f"    {kind} net output #{place}: {name} = {number(value)}{share}")
            place += 1
