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
from skinmtl.nets.dead_proposals import DEAD_PROPOSALS, are_dead
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
        self._solver: Solver | None = None
        self._every_pass: list[Tensor] = []
        self._test_net = open_net(str(inputs.test_net), "TEST", None, workers)
        self._test_net.to(self._device)

    @property
    def iteration(self) -> int:
        return self._solver.iteration

    def start(self, weights: list[Path], rate: float, seed: int) -> None:
        self._build(rate, seed)
        for caffemodel in weights:
            self._solver.copy_from(caffemodel)
        self._place(seed, 0)

    def restore(self, snapshot: Snapshot, rate: float, seed: int, passes: int, fresh: bool = False) -> None:
        """From a snapshot of either engine."""
        self._build(rate, seed)
        self._solver.restore(snapshot.state, snapshot.model)
        if fresh:
            for history in self._solver.history:
                history.zero_()
        self._place(seed, passes)

    def set_rate(self, rate: float) -> bool:
        self._solver.param.base_lr = rate
        return True

    def step(self) -> dict[str, float]:
        self._every_pass.clear()
        self._solver.step()
        self.passes += self._given.iter_size
        means = torch.stack(self._every_pass).double().mean(dim=0).tolist()  # on a GPU the one wait of an iteration
        return dict(zip((loss.name for loss in self._inputs.losses), means))

    def test_batches(self) -> Iterator[dict[str, np.ndarray]]:
        for _ in range(self._inputs.test_passes):
            with torch.no_grad(), self._solver.casting():
                blobs = self._test_net()
            found = {}
            for head in self._inputs.names:
                for name in (f"fc_{head}", f"{head}_label"):
                    found[name] = blobs[name].float().cpu().numpy()
                found[f"{head}_label"] = found[f"{head}_label"].reshape(len(found[f"{head}_label"]), -1)
            for loss in self._inputs.test_losses:
                found[f"{loss.name}_loss"] = blobs[loss.top].float().sum().cpu().numpy()
            proposals = self._inputs.proposals
            if proposals:
                shares = blobs[proposals.blob].float().cpu().numpy()
                found[DEAD_PROPOSALS] = are_dead(shares, proposals.anchors)
            yield found

    def weights_are_finite(self) -> bool:
        return bool(torch.stack([torch.isfinite(blob).all() for blob in self._blobs()]).all())

    def snapshot_bytes(self) -> int:
        return 2 * 4 * sum(blob.numel() for blob in self._blobs()) + (1 << 20)

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

    def _place(self, seed: int, passes: int) -> None:
        """The next batch is that of pass `passes`, drawn under `seed`, also where the net names one itself."""
        for source in self._solver.net.sources():
            source.start(passes, seed)
        self.seed, self.passes = seed, passes

    def _blobs(self) -> list[Tensor]:
        return [blob for layer in self._solver.net.layers for blob in layer.blobs]


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
