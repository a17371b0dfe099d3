"""What the driver of a training sees of an engine's solver, and what both engines' solvers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Sequence

import numpy as np
from google.protobuf.message import Message

from caffe_files.outputs import new_file
from skinmtl.nets.dead_proposals import DEAD_PROPOSALS, are_dead
from skinmtl.training.inputs import TrainingInputs
from skinmtl.training.snapshots import Snapshot
from skinmtl.training.solver_file import effective_solver, solver_text

TWO_HISTORIES = ("AdaDelta", "Adam")  # these keep two values a parameter, the others one


class TrainingSolver(ABC):
    """One training: the solver, its net, and a test net that shares the weights.

    seed and passes say where the data stands: the data layers of the net, built under `seed`, have been forwarded
    `passes` times. `reads_again`: to find its place in the data, a restored solver reads what was read before.
    train_net is the net that it is built with next: the one given, or that of a phase. `_solver` is the engine's own,
    which `_build` makes; `_every_pass` takes the losses of each pass of an iteration.
    """

    reads_again: bool

    def __init__(self, given: Message, inputs: TrainingInputs, solver_path: Path, prefix: Path, max_iter: int) -> None:
        self.seed = self.passes = 0
        self.train_net = inputs.train_net
        self._given, self._inputs, self._max_iter = given, inputs, max_iter
        self._solver_path, self._prefix = solver_path, prefix
        self._solver: Any = None
        self._every_pass: list[Any] = []

    @property
    def images_per_iteration(self) -> int:
        """Batch x iter_size."""
        return self._inputs.batch_size * self._given.iter_size

    def passes_of_cycle(self, iteration: int) -> int:
        """The fewest passes after which the data stands as after `iteration` iterations."""
        return iteration * self._given.iter_size % self._inputs.cycle

    @property
    @abstractmethod
    def iteration(self) -> int:
        """How many times the weights have been updated."""

    def start(self, weights: list[Path], rate: float, seed: int) -> None:
        """Builds the solver at iteration 0, with each caffemodel's layers copied by name."""
        self._build(rate, seed)
        for caffemodel in weights:
            self._copy_from(caffemodel)
        self._place(seed, 0)
        self.seed, self.passes = seed, 0

    def restore(self, snapshot: Snapshot, rate: float, seed: int, passes: int, fresh: bool = False) -> None:
        """Builds the solver anew at a snapshot of either engine, under `seed`, with the data `passes` passes on. With
        `fresh` nothing is left of the updates so far, as at iteration 0: no momentum, nor what Adam and others keep."""
        self._build(rate, seed)
        self._restore_state(snapshot, fresh)
        self._place(seed, passes)
        self.seed, self.passes = seed, passes

    def set_rate(self, rate: float) -> bool:
        """Sets the learning rate in place; False where the engine cannot."""
        try:
            self._solver.param.base_lr = rate
        except AttributeError:  # the pycaffe of release 1.0
            return False
        return True

    def step(self) -> dict[str, float]:
        """One iteration; the losses by name, each the mean over the iteration's passes, without its weight."""
        self._every_pass.clear()
        means = np.mean(self._iterate(), axis=0, dtype=np.float64)
        self.passes += self._given.iter_size
        return dict(zip((loss.name for loss in self._inputs.losses), means.tolist()))

    def test_batches(self) -> Iterator[dict[str, np.ndarray]]:
        """Forwards the validation set once with the weights as they are; yields for each batch, by blob name,
        fc_HEAD (N, outputs), HEAD_label (N, P or 1), NAME_loss () of each of its losses, and of a net that proposes
        regions DEAD_PROPOSALS (N,), whether those of an image are."""
        for _ in range(self._inputs.test_passes):
            blob, found = self._test_pass(), {}
            for head in self._inputs.names:
                found[f"fc_{head}"], labels = blob(f"fc_{head}"), blob(f"{head}_label")
                found[f"{head}_label"] = labels.reshape(len(labels), -1)
            for loss in self._inputs.test_losses:
                found[f"{loss.name}_loss"] = np.float32(blob(loss.top).sum())
            proposals = self._inputs.proposals
            if proposals:
                found[DEAD_PROPOSALS] = are_dead(blob(proposals.blob), proposals.anchors)
            yield found

    def weights_are_finite(self) -> bool:
        """Whether no parameter is NaN or infinite."""
        return all(np.isfinite(values).all() for values in self._parameters())

    def snapshot_bytes(self) -> int:
        """About how large a snapshot is: the parameters, and their history."""
        values = sum(values.size for values in self._parameters())
        return (2 + (self._given.type in TWO_HISTORIES)) * 4 * values + (1 << 20)

    @abstractmethod
    def snapshot(self) -> Path:
        """Writes caffemodel and solverstate; returns their path without the suffix."""

    @abstractmethod
    def close(self) -> None:
        """Ends reading threads and worker processes, and closes LMDBs, which no process may open twice."""

    @abstractmethod
    def _build(self, rate: float, seed: int) -> None:
        """Makes the engine's solver, and has the test net share its weights."""

    @abstractmethod
    def _copy_from(self, caffemodel: Path) -> None:
        """Fills layers by name."""

    @abstractmethod
    def _restore_state(self, snapshot: Snapshot, fresh: bool) -> None:
        """Takes weights, iteration and, unless it is to be `fresh`, history from a snapshot."""

    @abstractmethod
    def _place(self, seed: int, passes: int) -> None:
        """Has the data layers go on after `passes` passes under `seed`."""

    @abstractmethod
    def _iterate(self) -> np.ndarray | Sequence[Sequence[float]]:
        """One iteration; the losses (passes, losses), without their weights."""

    @abstractmethod
    def _test_pass(self) -> Callable[[str], np.ndarray]:
        """One forward pass of the test net; returns what leads from a blob's name to its numbers, float32."""

    @abstractmethod
    def _parameters(self) -> Iterable[np.ndarray]:
        """All blobs of all layers."""

    def _write_solver(self, rate: float, seed: int) -> Message:
        """The solver that the run is trained with from here on, and its file."""
        solver = effective_solver(self._given, self.train_net, rate, self._max_iter, self._prefix, seed)
        with new_file(self._solver_path) as partial:
            partial.write_text(solver_text(solver), encoding="utf-8")
        return solver
