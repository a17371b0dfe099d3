"""The loop around the iterations, as in Caffe's Solver::Solve: tests, snapshots, what is logged, and how it ends."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Callable, Sequence

import torch
from google.protobuf.message import Message
from torch import Tensor

from caffe_files.outputs import disk_errors
from caffe_files.prototxt import read_net, read_solver
from caffe_torch.distributed import Ranks
from caffe_torch.errors import NetError
from caffe_torch.log import number, say
from caffe_torch.net import Net
from caffe_torch.solver import Solver, in_hdf5
from caffe_torch.states import state_in_solver
from caffe_torch.stopping import Action, Signals
from caffe_torch.workers import share_workers


class Training:
    """A solver with its test nets, which have the weights of the training net by the names of layers.

    Of several `ranks` the root alone tests, logs and writes. `level` and `stages` are of the training net.
    """

    def __init__(
        self,
        path: Path,
        device: str,
        precision: str,
        workers: int | None = 0,
        ranks: Ranks | None = None,
        level: int = 0,
        stages: Sequence[str] = (),
        warm_up: int = 0,
    ) -> None:
        param = read_solver(path)
        torch.manual_seed(max(0, param.random_seed))  # of the fillers
        param.train_state.level = level  # as `caffe train` does, whatever the solver says
        param.train_state.stage.extend(stages)
        train = open_net(train_net(param), "TRAIN", param.train_state, workers)
        self.ranks = ranks or Ranks()
        self.param, self.solver = param, Solver(param, train, device, precision, self.ranks, warm_up)
        tested = test_nets(param)
        self.test_nets: list[Net] = []
        if self.ranks.is_root:
            self.test_nets = [open_net(name, "TEST", state, workers) for name, state in tested]
        for net in self.test_nets:
            net.to(self.solver.device)
            net.share_weights(train)
        self.prefix = snapshot_prefix(param, path)
        if self.ranks.is_root and (param.snapshot or param.snapshot_after_train):
            check_writable(Path(f"{self.prefix}_iter_0.caffemodel"))
        self._since, self._last = time.perf_counter(), 0

    def solve(self, signals: Signals) -> bool:
        """Trains to max_iter; False where a request to stop ended it early, with a snapshot."""
        solver, param = self.solver, self.param
        self._say("solver.cpp", f"Solving {solver.net.name}")
        self._say("solver.cpp", f"Learning Rate Policy: {param.lr_policy}")
        if not param.HasField("random_seed") or param.random_seed < 0:
            self._say("solver.cpp", f"random_seed is not set; {solver.seed} is taken, which a resumed run takes too")
        self.ranks.share([*solver.net.parameters(), *solver.net.buffers(), *solver.history])
        self._since, self._last = time.perf_counter(), solver.iteration
        stopped = False
        while solver.iteration < param.max_iter and not stopped:
            if self._is_due(param.test_interval) and (solver.iteration or param.test_initialization):
                self.test_all(signals.is_stopping)
                stopped = self._follow(signals)
                if stopped:
                    break
            iteration, step, shown = solver.iteration, solver.current_step, self._is_due(param.display)
            outputs = solver.step()
            if shown and self.ranks.is_root:
                self._display(iteration, outputs)
            if param.lr_policy == "multistep" and solver.current_step > step:
                self._say("sgd_solver.cpp", f"MultiStep Status: Iteration {iteration}, step = {solver.current_step}")
            if shown:
                self._say("sgd_solver.cpp", f"Iteration {iteration}, lr = {number(solver.rate)}")
            stopped = self._follow(signals, self._is_due(param.snapshot))
        if param.snapshot_after_train and not (self._is_due(param.snapshot) and solver.iteration):
            self.snapshot()
        if stopped:
            self._say("solver.cpp", "Optimization stopped early.")
            return False
        if self._is_due(param.display):
            self._say("solver.cpp", f"Iteration {solver.iteration}, loss = {number(self._final_loss())}")
        if self._is_due(param.test_interval):
            self.test_all(signals.is_stopping)
            self._follow(signals)
        self._say("solver.cpp", "Optimization Done.")
        return True

    def snapshot(self) -> None:
        """Writes caffemodel and solverstate."""
        if not self.ranks.is_root:
            return
        kind = "HDF5" if in_hdf5(self.param) else "binary proto"
        model, state = self.solver.snapshot_paths(self.prefix)
        say("solver.cpp", f"Snapshotting to {kind} file {model}")
        self.solver.snapshot(self.prefix)
        say("sgd_solver.cpp", f"Snapshotting solver state to {kind} file {state}")

    def test_all(self, is_stopping: Callable[[], bool]) -> None:
        """Runs each test net for its test_iter batches, and logs the means of its outputs, unless it is to stop.

        Test data goes on from test to test, as in Caffe; what is drawn depends on the seed and the iteration alone.
        """
        solver, param = self.solver, self.param
        done = solver.iteration // param.test_interval - (not param.test_initialization)  # tests before this one
        for which, (net, batches) in enumerate(zip(self.test_nets, param.test_iter)):
            self._say("solver.cpp", f"Iteration {solver.iteration}, Testing net (#{which})")
            torch.manual_seed(hash((solver.seed, solver.iteration, -2 - which)) & (2**63 - 1))
            for source in net.sources():
                source.go_to(max(0, done) * batches, solver.seed)
            outputs = mean_outputs(net, batches, solver.casting, is_stopping)
            if outputs is None:
                self._say("solver.cpp", "Test interrupted.")
                return
            show_outputs(net, outputs, "Test")

    def close(self) -> None:
        """Ends the processes that read data."""
        for net in (self.solver.net, *self.test_nets):
            for source in net.sources():
                source.close()

    def _say(self, source: str, message: str) -> None:
        if self.ranks.is_root:
            say(source, message)

    def _follow(self, signals: Signals, snapshot: bool = False) -> bool:
        """Snapshots where that is due or asked for; returns whether to stop."""
        action = signals.requested()
        if snapshot or action is Action.SNAPSHOT:
            self.snapshot()
        return action is Action.STOP

    def _is_due(self, interval: int) -> bool:
        return bool(interval) and self.solver.iteration % interval == 0

    def _display(self, iteration: int, outputs: dict[str, Tensor]) -> None:
        now = time.perf_counter()
        lapse, done = now - self._since, iteration - self._last
        speed = f"{number(done / (lapse or 1))} iter/s, {number(lapse)}s/{self.param.display} iters"
        say("solver.cpp", f"Iteration {iteration} ({speed}), loss = {number(self.solver.smoothed_loss)}")
        self._since, self._last = now, iteration
        show_outputs(self.solver.net, {name: values.float().cpu() for name, values in outputs.items()}, "Train")

    @torch.no_grad()
    def _final_loss(self) -> float:
        net = self.solver.net
        with self.solver.casting():
            self.solver.losses.append(net.loss(net()).double())
        return self.solver.smoothed_loss


def train_net(param: Message) -> str | Message:
    """The net that a solver trains: its file's path, or the net itself where it stands in the solver."""
    given = [name for name in ("train_net_param", "train_net", "net_param", "net") if param.HasField(name)]
    if len(given) != 1:
        raise NetError(
            f"the solver names {' and '.join(given) or 'no net'}; it must name one net to train, by `net`, by "
            "`train_net` (and `test_net`), or by a net in it: `net_param`, `train_net_param`"
        )
    return getattr(param, given[0])


def test_nets(param: Message) -> list[tuple[str | Message, Message]]:
    """The nets that it tests, and their states, in Caffe's order: what is given for tests alone, then the net that is
    for both, once for each test_iter that is left (BVLC: Solver::InitTestNets)."""
    nets = [*param.test_net_param, *param.test_net]
    both = [getattr(param, name) for name in ("net_param", "net") if param.HasField(name)]
    left = len(param.test_iter) - len(nets)
    if left < 0 or (left and not both):
        raise NetError(f"{len(param.test_iter)} test_iter for {len(nets)} test nets; give one for each")
    nets += both * left
    if nets and not param.test_interval:
        raise NetError("test_iter is given and test_interval is not; add it")
    states = list(param.test_state) or [type(param.train_state)()] * len(nets)
    if len(states) != len(nets):
        raise NetError(f"{len(states)} test_state for {len(nets)} test nets; give one for each, or none")
    return list(zip(nets, states))


def snapshot_prefix(param: Message, path: Path) -> str:
    """Where snapshots go: by the solver's name beside it or in the folder that is given, or as is said (BVLC:
    upgrade_proto.cpp)."""
    if not param.HasField("snapshot_prefix"):
        return str(path.with_suffix(""))
    if Path(param.snapshot_prefix).is_dir():
        return str(Path(param.snapshot_prefix) / path.stem)
    return param.snapshot_prefix


def check_writable(path: Path) -> None:
    """InputError where a file cannot be written there: better at the start than at the first snapshot."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=str(path.parent)):
            pass


def open_net(source: str | Message, phase: str, state: Message | None, workers: int | None = 0) -> Net:
    """The net of a prototxt, or one that stands in the solver; `state` is the solver's for it, None where there is no
    solver. `workers` processes read ahead for it (None: as many as suit this machine)."""
    param = source if isinstance(source, Message) else read_net(Path(source), strict=True)
    net = Net(param, phase if state is None else state_in_solver(param, phase, state))
    share_workers(list(net.sources()), workers)
    return net


@torch.no_grad()
def mean_outputs(
    net: Net, batches: int, casting: Callable, is_stopping: Callable[[], bool] = lambda: False
) -> dict[str, Tensor] | None:
    """The mean of each output over the next `batches` batches; None where it is to stop before."""
    sums: dict[str, Tensor] = {}
    for _ in range(batches):
        if is_stopping():
            return None
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
