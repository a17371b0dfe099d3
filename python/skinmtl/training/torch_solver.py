"""The solver of caffe_torch as the driver of a training sees it.

What is drawn for a batch depends on the seed and on the batch's number in the run alone, so that a restored solver
goes on at the right place without reading again what was read before.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Iterator

import numpy as np
import torch
from google.protobuf.message import Message
from torch import Tensor, nn

from caffe_files.errors import InputError
from caffe_torch.errors import NetError
from caffe_torch.solver import Solver, check_solver
from caffe_torch.training import open_net
from skinmtl.engines.engine import Engine
from skinmtl.engines.torch_engine import device_of
from skinmtl.training.inputs import TrainingInputs
from skinmtl.training.losses import Loss
from skinmtl.training.snapshots import Snapshot
from skinmtl.training.solver import TrainingSolver
from skinmtl.training.solver_file import effective_solver


class TorchSolver(TrainingSolver):
    """One training in PyTorch. `workers` processes read ahead (None: as many as suit this machine)."""

    reads_again = False

    def __init__(
        self,
        given: Message,
        inputs: TrainingInputs,
        solver_path: Path,
        prefix: Path,
        max_iter: int,
        engine: Engine,
        workers: int | None,
    ) -> None:
        super().__init__(given, inputs, solver_path, prefix, max_iter)
        self._device, self._precision, self._workers = device_of(engine.gpu), engine.precision, workers
        self._test_net = open_net(str(inputs.test_net), "TEST", None, workers)
        self._test_net.to(self._device)

    @property
    def iteration(self) -> int:
        return self._solver.iteration

    def snapshot(self) -> Path:
        model, _ = self._solver.snapshot(str(self._prefix))
        return model.with_suffix("")

    def close(self) -> None:
        for net in (self._test_net, self._solver and self._solver.net):
            for source in net.sources() if net else ():
                source.close()
        self._solver = self._test_net = None

    def _build(self, rate: float, seed: int) -> None:
        if self._solver is not None:
            for source in self._solver.net.sources():
                source.close()
        param = self._write_solver(rate, seed)
        torch.manual_seed(seed)  # of the fillers
        net = open_net(str(self.train_net), "TRAIN", None, self._workers)
        self._solver = Solver(param, net, self._device, self._precision)
        self._test_net.share_weights(net)
        net.register_forward_hook(_gathering(self._inputs.losses, self._every_pass))

    def _copy_from(self, caffemodel: Path) -> None:
        self._solver.copy_from(caffemodel)

    def _restore_state(self, snapshot: Snapshot, fresh: bool) -> None:
        self._solver.restore(snapshot.state, snapshot.model)
        for history in self._solver.history if fresh else ():
            history.zero_()

    def _place(self, seed: int, passes: int) -> None:
        """The data layers' seed is the run's, also where the net names one itself."""
        for source in self._solver.net.sources():
            source.start(passes, seed)

    def _iterate(self) -> np.ndarray:
        self._solver.step()
        return torch.stack(self._every_pass).cpu().numpy()  # on a GPU the one wait of an iteration

    def _test_pass(self) -> Callable[[str], np.ndarray]:
        with torch.no_grad(), self._solver.casting():
            blobs = self._test_net()
        return lambda name: blobs[name].float().cpu().numpy()

    def _parameters(self) -> Iterator[np.ndarray]:
        return (blob.detach().cpu().numpy() for layer in self._solver.net.layers for blob in layer.blobs)


def _gathering(losses: tuple[Loss, ...], every_pass: list[Tensor]) -> Callable[..., None]:
    """A hook of a net that keeps each pass's losses in `every_pass`, without waiting for them."""

    def gather(_net: nn.Module, _inputs: Any, blobs: dict[str, Tensor]) -> None:
        every_pass.append(torch.stack([blobs[loss.top].detach().float().sum() for loss in losses]))

    return gather


def check_trainable(solver_path: Path, given: Message, inputs: TrainingInputs, engine: Engine) -> None:
    """InputError where this engine has not that kind of solver, or cannot build one of the nets with its data."""
    path = solver_path
    try:
        check_solver(effective_solver(given, inputs.train_net, 1.0, 1, Path(), 1))
        for path, phase in ((inputs.train_net, "TRAIN"), (inputs.test_net, "TEST")):
            engine.shapes(path)  # before anything takes memory
            open_net(str(path), phase, None, 0)
    except NetError as error:
        raise InputError(f"{path}: {error}; correct it, or use --engine caffe") from None
