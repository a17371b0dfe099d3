"""One training on several devices, a process each, with what this means in Caffe (BVLC: parallel.cpp, solver.cpp):

batch_size is a device's; device r of n shows the records r, r + n, r + 2 n, ...; gradients are averaged over devices
once an iteration, whatever iter_size; the root alone tests, logs its own losses, and writes snapshots, with the running
statistics of its own batches. Dropout draws other masks on each device.

Processes are started by torchrun, or by `launch` on one machine; both say by the environment which is which.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Iterable

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from caffe_torch.net import Net

# our choice: the others wait for the root while it tests, so long that no test is taken for a dead process
PATIENCE = timedelta(hours=2)


class NetLoss(nn.Module):
    """A net as a module that returns its loss alone; the outputs of the last pass are kept, and no other blobs: with
    them all that the backward pass needs would stay in memory."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net
        self.outputs: dict[str, Tensor] = {}

    def forward(self) -> Tensor:
        blobs = self.net()
        self.outputs = {name: blobs[name].detach() for name in self.net.outputs}
        return self.net.loss(blobs)


class Ranks:
    """The processes of a training: this one is `rank` of `world`. By itself: the only one."""

    rank, world = 0, 1

    @property
    def is_root(self) -> bool:
        """Whether this one tests, logs and writes."""
        return self.rank == 0

    def parallel(self, loss: NetLoss) -> nn.Module:
        """The module whose backward pass averages gradients."""
        return loss

    def unsynchronised(self, loss: nn.Module) -> AbstractContextManager:
        """Where passes add to the gradients of this process alone."""
        return nullcontext()

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Gives all the root's numbers."""

    def largest(self, number: int) -> int:
        """The largest that any has."""
        return number

    def faults(self, fault: str) -> list[str]:
        """What each has to complain of, by rank."""
        return [fault]

    def is_lost(self, error: RuntimeError) -> bool:
        """Whether the error says that another process has gone."""
        return False

    def close(self) -> None:
        """Waits for all; then each is for itself again."""


class ManyRanks(Ranks):
    """Talks to the other processes: NCCL for what is on GPUs, gloo for all else."""

    def __init__(self, device: str) -> None:
        on_gpu = device != "cpu"
        if on_gpu:
            torch.cuda.set_device(device)
        distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
        self.rank, self.world = distributed.get_rank(), distributed.get_world_size()
        self._control = distributed.new_group(backend="gloo", timeout=PATIENCE) if on_gpu else None

    def parallel(self, loss: NetLoss) -> nn.Module:
        if not any(parameter.requires_grad for parameter in loss.parameters()):
            return loss
        unused = not all_learn(loss.net)
        return DistributedDataParallel(loss, broadcast_buffers=False, find_unused_parameters=unused)

    def unsynchronised(self, loss: nn.Module) -> AbstractContextManager:
        return loss.no_sync() if isinstance(loss, DistributedDataParallel) else nullcontext()

    def share(self, tensors: Iterable[Tensor]) -> None:
        with torch.no_grad():
            for tensor in tensors:
                if tensor.numel():
                    sent = tensor.contiguous()  # in whatever memory format the tensor itself is
                    distributed.broadcast(sent, 0)
                    tensor.copy_(sent)

    def largest(self, number: int) -> int:
        numbers = torch.tensor([number])
        distributed.all_reduce(numbers, distributed.ReduceOp.MAX, group=self._control)
        return int(numbers)

    def faults(self, fault: str) -> list[str]:
        found = [""] * self.world
        distributed.all_gather_object(found, fault, group=self._control)
        return found

    def is_lost(self, error: RuntimeError) -> bool:
        return isinstance(error, distributed.DistError) or "gloo" in str(error)

    def close(self) -> None:
        self.largest(0)
        distributed.destroy_process_group()


def ranks_here(device: str) -> Ranks:
    """Of a process that torchrun or `launch` has started, else of one by itself."""
    return ManyRanks(device) if int(os.environ.get("WORLD_SIZE", "1")) > 1 else Ranks()


def all_learn(net: Net) -> bool:
    """Whether the loss depends on every learned parameter, as the wiring shows."""
    wanted, reached = {net.values[name] for name, _ in net.loss_weights}, set()
    for layer in reversed(net.layers):
        bottoms = net.wires.bottoms[layer.index]
        if wanted.isdisjoint(net.wires.tops[layer.index]):
            continue
        reached.add(layer.index)
        passes = [*layer.param.propagate_down, *[True] * len(bottoms)]
        wanted.update(bottom for bottom, passed in zip(bottoms, passes) if passed)
    return all(learned.place in reached for learned in net.learned if learned.lr_mult)
