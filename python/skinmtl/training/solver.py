"""What the driver of a training sees of an engine's solver, and what both engines' solvers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Iterator

import numpy as np
from google.protobuf.message import Message

from caffe_files.outputs import new_file
from skinmtl.training.inputs import TrainingInputs
from skinmtl.training.snapshots import Snapshot
from skinmtl.training.solver_file import effective_solver, solver_text


class TrainingSolver(ABC):
    """One training: the solver, its net, and a test net that shares the weights.

    seed and passes say where the data stands: the data layers of the net, built under `seed`, have been forwarded
    `passes` times. `reads_again`: to find its place in the data, a restored solver reads what was read before.
    train_net is the net that it is built with next: the one given, or that of a phase.
    """

    reads_again: bool

    def __init__(self, given: Message, inputs: TrainingInputs, solver_path: Path, prefix: Path, max_iter: int) -> None:
        self.seed = self.passes = 0
        self.train_net = inputs.train_net
        self._given, self._inputs, self._max_iter = given, inputs, max_iter
        self._solver_path, self._prefix = solver_path, prefix

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

    @abstractmethod
    def start(self, weights: list[Path], rate: float, seed: int) -> None:
        """Builds the solver at iteration 0, with each caffemodel's layers copied by name."""

    @abstractmethod
    def restore(self, snapshot: Snapshot, rate: float, seed: int, passes: int, fresh: bool = False) -> None:
        """Builds the solver anew at a snapshot, under `seed`, with the data `passes` passes on. With `fresh` nothing is
        left of the updates so far, as at iteration 0: no momentum, nor what Adam and others keep."""

    @abstractmethod
    def set_rate(self, rate: float) -> bool:
        """Sets the learning rate in place; False where the engine cannot."""

    @abstractmethod
    def step(self) -> dict[str, float]:
        """One iteration; the losses by name, each the mean over the iteration's passes, without its weight."""

    @abstractmethod
    def test_batches(self) -> Iterator[dict[str, np.ndarray]]:
        """Forwards the validation set once with the weights as they are; yields for each batch, by blob name,
        fc_HEAD (N, outputs), HEAD_label (N, P or 1), NAME_loss () of each of its losses, and of a net that proposes
        regions DEAD_PROPOSALS (N,), whether those of an image are."""

    @abstractmethod
    def weights_are_finite(self) -> bool:
        """Whether no parameter is NaN or infinite."""

    @abstractmethod
    def snapshot_bytes(self) -> int:
        """About how large a snapshot is: the parameters, and their history."""

    @abstractmethod
    def snapshot(self) -> Path:
        """Writes caffemodel and solverstate; returns their path without the suffix."""

    @abstractmethod
    def close(self) -> None:
        """Ends reading threads and worker processes, and closes LMDBs, which no process may open twice."""

    def _write_solver(self, rate: float, seed: int) -> Message:
        """The solver that the run is trained with from here on, and its file."""
        solver = effective_solver(self._given, self.train_net, rate, self._max_iter, self._prefix, seed)
        with new_file(self._solver_path) as partial:
            partial.write_text(solver_text(solver), encoding="utf-8")
        return solver
