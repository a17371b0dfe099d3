"""Training as Caffe's solvers do it (BVLC: solver.cpp, sgd_solver.cpp), number by number.

An iteration: gradients of iter_size batches are summed; clipped by their common norm; divided by iter_size; weight
decay is added; what the solver's type makes of it is taken from the weight (updates.py). SGD: momentum x history +
rate x lr_mult x gradient, which becomes the history.
"""

from __future__ import annotations

from collections import deque
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Callable, ContextManager

import torch
from google.protobuf.message import Message
from torch import Tensor, nn

from caffe_torch.distributed import NetLoss, Ranks
from caffe_torch.errors import NetError
from caffe_torch.hdf5_files import check_names, write_hdf5
from caffe_torch.hdf5_library import h5py_for
from caffe_torch.hdf5_states import write_hdf5_state
from caffe_torch.model_files import copy_weights, model_of, read_solverstate, write_caffemodel, write_solverstate
from caffe_torch.net import Net
from caffe_torch.precision import casting, numerics
from caffe_torch.rates import check_policy, learning_rate
from caffe_torch.updates import TWO_HISTORIES, UPDATES, check_type


class Solver:
    """One training: the net of the phase TRAIN, its learning, its place in the data.

    `precision` is fp32, tf32 or bf16 (weights stay float32). With fp32 on a CPU, and as many threads, the same seed
    gives the same bits, and a restored solver goes on as the undisturbed one: what is drawn depends on the seed and the
    iteration alone. A random_seed that is not set counts as 0, where Caffe takes another each time: a resumed run must
    know it. `ranks` are the processes that train together; the rate rises over the first `warm_up` iterations.
    """

    def __init__(
        self,
        param: Message,
        net: Net,
        device: str = "cpu",
        precision: str = "fp32",
        ranks: Ranks | None = None,
        warm_up: int = 0,
    ) -> None:
        check_solver(param)
        if in_hdf5(param):  # now, not when the first snapshot is due
            h5py_for("snapshot_format: HDF5")
            check_names(net)
        self.param, self.net, self.device, self.precision = param, net, torch.device(device), precision
        self.iteration = self.current_step = 0
        self.rate = 0.0  # of the last iteration
        self.warm_up = warm_up
        self.seed = max(0, param.random_seed)
        self.net.to(self.device, memory_format=torch.channels_last)  # faster in convolutions
        # numbers on the device: to read one makes the host wait for it, and so is left to who wants to see it
        self.losses: deque[Tensor] = deque(maxlen=max(1, param.average_loss))
        self.parameters = [net.parameter(learned) for learned in net.learned]
        histories = 2 if param.type in TWO_HISTORIES else 1
        self.history = [torch.zeros_like(each) for _ in range(histories) for each in self.parameters]
        for parameter, learned in zip(self.parameters, net.learned):
            parameter.requires_grad_(bool(learned.lr_mult))  # as Caffe, which computes no gradient for a rate of 0
        self.groups = self._groups()
        self.ranks = ranks or Ranks()
        self.place_data()

    @cached_property
    def loss(self) -> nn.Module:
        """The net with its loss; where several processes train, all make it at the same time: in their first step."""
        return self.ranks.parallel(NetLoss(self.net))

    def place_data(self) -> None:
        """Sets where the data layers read on: as after all iterations so far."""
        for source in self.net.sources():
            source.rank, source.world = self.ranks.rank, self.ranks.world
            source.place_in_training(self.iteration * self.param.iter_size, self.seed)

    def step(self) -> dict[str, Tensor]:
        """One iteration; returns the net's outputs of its last batch. The smoothed loss is in `smoothed_loss`."""
        for parameter in self.parameters:
            parameter.grad = None
        total = 0.0
        for number in range(self.param.iter_size):
            seed = hash((self.seed, self.iteration, number * self.ranks.world + self.ranks.rank))
            torch.manual_seed(seed & (2**63 - 1))  # Dropout, fillers of DummyData
            last = number == self.param.iter_size - 1
            with nullcontext() if last else self.ranks.unsynchronised(self.loss):
                with self.casting():
                    loss = self.loss()
                with numerics(self.precision):
                    loss.backward()
            total += loss.detach()
        self.losses.append(total.double() / self.param.iter_size)
        self.update()
        return getattr(self.loss, "module", self.loss).outputs

    def update(self) -> dict[int, Tensor]:
        """Ends an iteration with the gradients that the parameters have; returns what was taken from each parameter
        that learns, by its number. Valid until the next update."""
        self.rate, self.current_step = learning_rate(self.param, self.iteration, self.current_step, self.warm_up)
        taken = self._update(self.rate)
        self.iteration += 1
        return taken

    @property
    def smoothed_loss(self) -> float:
        """The mean loss of the last `average_loss` iterations."""
        return sum(map(float, self.losses)) / len(self.losses)

    def casting(self) -> ContextManager:
        """Where numbers are of less precision than float32."""
        return casting(self.precision, self.device)

    def copy_from(self, caffemodel: Path, tell: Callable[[str], None] | None = None) -> list[str]:
        """Fills layers by name; returns the caffemodel's layers that the net has not (see copy_weights)."""
        return copy_weights(self.net, caffemodel, tell)

    def snapshot_paths(self, prefix: str) -> tuple[Path, Path]:
        """PREFIX_iter_N.caffemodel and .solverstate; with snapshot_format HDF5 .caffemodel.h5 and .solverstate.h5."""
        name, ending = f"{prefix}_iter_{self.iteration}", ".h5" if in_hdf5(self.param) else ""
        return Path(f"{name}.caffemodel{ending}"), Path(f"{name}.solverstate{ending}")

    def snapshot(self, prefix: str) -> tuple[Path, Path]:
        """Writes these files, which BVLC Caffe reads too."""
        model, state = self.snapshot_paths(prefix)
        write_model, write_state = write_caffemodel, write_solverstate
        if in_hdf5(self.param):
            write_model, write_state = write_hdf5, write_hdf5_state
        write_model(self.net, model)
        write_state(state, self.iteration, self.current_step, model, self.history)
        return model, state

    def restore(self, state: Path, model: Path | None = None) -> None:
        """Goes on from a solverstate of this engine or of Caffe: weights, momentum, iteration, place in the data.

        `model` is the caffemodel; None: the one that the solverstate names.
        """
        found = read_solverstate(state, self.history)
        model = model or model_of(found, state)
        if model is not None:
            copy_weights(self.net, model)
        self.iteration, self.current_step = found.iter, found.current_step
        self.place_data()

    def _groups(self) -> dict[tuple[float, float], list[int]]:
        """Parameters of equal multipliers, which are updated together."""
        groups: dict[tuple[float, float], list[int]] = {}
        for number, learned in enumerate(self.net.learned):
            if learned.lr_mult:
                groups.setdefault((learned.lr_mult, learned.decay_mult), []).append(number)
        return groups

    @torch.no_grad()
    def _update(self, rate: float) -> dict[int, Tensor]:
        taken: dict[int, Tensor] = {}
        clip = self.param.clip_gradients
        share = 1.0 / self.param.iter_size
        two = len(self.history) > len(self.parameters)
        if clip >= 0:
            gradients = [each.grad for each in self.parameters if each.grad is not None]
            norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
            share = share * torch.clamp(clip / norm, max=1.0)
        for (lr_mult, decay_mult), numbers in self.groups.items():
            weights = [self.parameters[number].data for number in numbers]
            first = [self.history[number] for number in numbers]
            second = [self.history[number + len(self.parameters)] for number in numbers] if two else []
            steps = [
                torch.zeros_like(self.parameters[number])
                if self.parameters[number].grad is None
                else self.parameters[number].grad
                for number in numbers
            ]
            if clip >= 0 or share != 1:
                torch._foreach_mul_(steps, share)
            decay = self.param.weight_decay * decay_mult
            if decay and self.param.regularization_type == "L1":
                torch._foreach_add_(steps, torch._foreach_sign(weights), alpha=decay)
            elif decay:
                torch._foreach_add_(steps, weights, alpha=decay)
            update = UPDATES[self.param.type]
            steps = update(self.param, rate * lr_mult, self.iteration, steps, first, second)
            torch._foreach_sub_(weights, steps)
            taken.update(zip(numbers, steps))
        return taken


def in_hdf5(param: Message) -> bool:
    """Whether a solver's snapshots are to be in HDF5."""
    return bool(param.snapshot_format == param.HDF5)


def check_solver(param: Message) -> None:
    """NetError where the solver asks for what this engine has not."""
    check_policy(param)
    check_type(param)
    if param.regularization_type not in ("L1", "L2"):
        raise NetError(f"regularization_type {param.regularization_type!r} is neither L1 nor L2")
    if param.iter_size < 1:
        raise NetError(f"iter_size {param.iter_size}; it must be at least 1")
