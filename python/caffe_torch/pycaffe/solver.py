"""caffe.SGDSolver and the other solvers: training that a script drives, step by step or as a whole."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any, Callable

import torch
from torch import Tensor

from caffe_files.prototxt import read_net, read_solver
from caffe_torch.log import number, say
from caffe_torch.pycaffe.modes import device
from caffe_torch.pycaffe.net import Net
from caffe_torch.rates import learning_rate
from caffe_torch.solver import Solver as Updates
from caffe_torch.solver import in_hdf5
from caffe_torch.states import state_in_solver
from caffe_torch.training import show_outputs, snapshot_prefix, test_nets, train_net


class Solver:
    """Trains the net of a solver's prototxt: `net`, beside it `test_nets`, and `iter`, the steps that were done.

    `param` is the solver's message. Test nets take the weights of `net` when they are tested, and with
    `test_nets[0].share_with(net)`.
    """

    kind = ""  # of the solver; as the prototxt says where there is none

    def __init__(self, solver_file: str) -> None:
        path = Path(solver_file)
        self.param = param = read_solver(path)
        param.type = self.kind or param.type
        if param.random_seed >= 0:
            torch.manual_seed(param.random_seed)  # of the fillers
        self.net = _opened(train_net(param), "TRAIN", param.train_state)
        self.test_nets = [_opened(net, "TEST", state) for net, state in test_nets(param)]
        self._prefix = snapshot_prefix(param, path)
        self._updates = Updates(param, self.net._whole, str(device()))
        self._losses: deque[float] = deque(maxlen=max(1, param.average_loss))
        self._calls: list[tuple[Callable[[], Any], Callable[[], Any]]] = []
        self.net._passes.bind()

    @property
    def iter(self) -> int:
        """How many steps were done."""
        return self._updates.iteration

    @property
    def lr(self) -> float:
        """The learning rate of the step to come; `param.base_lr` may be written."""
        return learning_rate(self.param, self.iter, self._updates.current_step)[0]

    def add_callback(self, on_start: Callable[[], Any], on_gradients: Callable[[], Any]) -> None:
        """Has one called before the passes of each step, and one after them, before the update: it may look at the
        params' diffs, which are the sums over iter_size passes, and write them."""
        self._calls.append((on_start, on_gradients))

    def step(self, count: int) -> None:
        """So many iterations: tests and snapshots where they are due, gradients of iter_size batches, an update."""
        last = len(self.net.layers) - 1
        for _ in range(count):
            self.net.clear_param_diffs()
            if self._is_due(self.param.test_interval) and (self.iter or self.param.test_initialization):
                self._test()
            for on_start, _ in self._calls:
                on_start()
            loss = 0.0
            for _ in range(self.param.iter_size):
                loss += self.net._forward(0, last)
                self.net._backward(last, 0)
            self._losses.append(loss / self.param.iter_size)
            if self._is_due(self.param.display):
                self._display()
            for _, on_gradients in self._calls:
                on_gradients()
            self.apply_update()
            if self._is_due(self.param.snapshot):
                self.snapshot()

    def apply_update(self) -> None:
        """Changes the params by their diffs, which are then what was taken from the params; counts as a step."""
        self.net._passes.bind()
        diffs = [self._diff(number) for number in range(len(self._updates.parameters))]
        for parameter, diff in zip(self._updates.parameters, diffs):
            parameter.grad = diff if parameter.requires_grad else None
        for place, taken in self._updates.update().items():
            diffs[place].copy_(taken)
        for parameter in self._updates.parameters:
            parameter.grad = None

    def solve(self, resume_file: str | None = None) -> None:
        """Trains to max_iter, from a solverstate on where one is given; with a snapshot and a test at the end."""
        if resume_file:
            self.restore(resume_file)
        self.step(max(0, self.param.max_iter - self.iter))
        if self.param.snapshot_after_train and not self._is_due(self.param.snapshot):
            self.snapshot()
        if self._is_due(self.param.display):
            self._losses.append(self.net._forward(0, len(self.net.layers) - 1))
            self._display()
        if self._is_due(self.param.test_interval):
            self._test()

    def snapshot(self) -> None:
        """Writes caffemodel and solverstate, by the solver's snapshot_prefix."""
        self.net._passes.bind()
        model, _ = self._updates.snapshot(self._prefix)
        kind = "HDF5" if in_hdf5(self.param) else "binary proto"
        say("solver.cpp", f"Snapshotting to {kind} file {model}")

    def restore(self, state: str) -> None:
        """Goes on from a solverstate, with the params of its caffemodel."""
        self.net._passes.bind()
        self._updates.restore(Path(state))

    def share_weights(self, net: Net) -> None:
        """Has another net take the memory of `net`'s params for its own."""
        net.share_with(self.net)

    def _diff(self, number: int) -> Tensor:
        learned = self.net._whole.learned[number]
        return self.net._passes.params[learned.place][learned.blob].tensor("diff", self._updates.device)

    def _test(self) -> None:
        for which, (net, batches) in enumerate(zip(self.test_nets, self.param.test_iter)):
            say("solver.cpp", f"Iteration {self.iter}, Testing net (#{which})")
            net.share_with(self.net)
            sums: dict[str, Tensor] = {}
            for _ in range(batches):
                for name, values in net.forward().items():
                    sums[name] = sums.get(name, 0) + torch.from_numpy(values.copy())
            show_outputs(net._whole, {name: values / batches for name, values in sums.items()}, "Test")

    def _display(self) -> None:
        mean = sum(self._losses) / len(self._losses)
        say("solver.cpp", f"Iteration {self.iter}, loss = {number(mean)}")
        outputs = {name: torch.from_numpy(self.net.blobs[name].data) for name in self.net.outputs}
        show_outputs(self.net._whole, outputs, "Train")

    def _is_due(self, interval: int) -> bool:
        return bool(interval) and self.iter % interval == 0


class SGDSolver(Solver):
    """Momentum."""

    kind = "SGD"


class NesterovSolver(Solver):
    """Nesterov's momentum."""

    kind = "Nesterov"


class AdaGradSolver(Solver):
    """AdaGrad."""

    kind = "AdaGrad"


class RMSPropSolver(Solver):
    """RMSProp."""

    kind = "RMSProp"


class AdaDeltaSolver(Solver):
    """AdaDelta."""

    kind = "AdaDelta"


class AdamSolver(Solver):
    """Adam."""

    kind = "Adam"


def get_solver(solver_file: str) -> Solver:
    """The solver of the type that the prototxt names."""
    return Solver(solver_file)


def _opened(source: object, phase: str, state: object) -> Net:
    param = read_net(Path(source), strict=True) if isinstance(source, str) else source
    return Net.of_message(param, state_in_solver(param, phase, state))
