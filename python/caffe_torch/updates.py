"""How each type of solver makes a step of a gradient, for many parameters at once (BVLC: sgd_solvers.hpp and the
solvers' own files).

A step is what is taken from the weights. `rate` is the parameters' own; `first` and `second` are their histories, which
are changed in place and stand in a solverstate: all the first of them, then all the second.
"""

from __future__ import annotations

import math
from typing import Callable, Sequence

import torch
from google.protobuf.message import Message
from torch import Tensor

from caffe_torch.errors import NetError

Tensors = Sequence[Tensor]


def _sgd(solver: Message, rate: float, _: int, gradients: Tensors, first: Tensors, second: Tensors) -> Tensors:
    torch._foreach_mul_(first, solver.momentum)
    torch._foreach_add_(first, gradients, alpha=rate)
    return first


def _nesterov(solver: Message, rate: float, _: int, gradients: Tensors, first: Tensors, second: Tensors) -> Tensors:
    """Back by the momentum of before, and forth by that of now."""
    before = torch._foreach_mul(first, solver.momentum)
    torch._foreach_mul_(first, solver.momentum)
    torch._foreach_add_(first, gradients, alpha=rate)
    steps = torch._foreach_mul(first, 1 + solver.momentum)
    torch._foreach_sub_(steps, before)
    return steps


def _adagrad(solver: Message, rate: float, _: int, gradients: Tensors, first: Tensors, second: Tensors) -> Tensors:
    torch._foreach_addcmul_(first, gradients, gradients)
    return _by_root(solver, rate, gradients, first)


def _rmsprop(solver: Message, rate: float, _: int, gradients: Tensors, first: Tensors, second: Tensors) -> Tensors:
    _take_in_squares(first, gradients, solver.rms_decay)
    return _by_root(solver, rate, gradients, first)


def _adadelta(solver: Message, rate: float, _: int, gradients: Tensors, first: Tensors, second: Tensors) -> Tensors:
    """The roots of the mean squares of steps by those of gradients, each with delta, times the gradients."""
    _take_in_squares(first, gradients, solver.momentum)
    steps = torch._foreach_add(second, solver.delta)
    torch._foreach_div_(steps, torch._foreach_add(first, solver.delta))
    torch._foreach_sqrt_(steps)
    torch._foreach_mul_(steps, gradients)
    _take_in_squares(second, steps, solver.momentum)
    torch._foreach_mul_(steps, rate)
    return steps


def _adam(solver: Message, rate: float, iteration: int, gradients: Tensors, first: Tensors, second: Tensors) -> Tensors:
    torch._foreach_mul_(first, solver.momentum)
    torch._foreach_add_(first, gradients, alpha=1 - solver.momentum)
    _take_in_squares(second, gradients, solver.momentum2)
    times = iteration + 1
    corrected = rate * math.sqrt(1 - solver.momentum2**times) / (1 - solver.momentum**times)
    return _by_root(solver, corrected, first, second)


def _take_in_squares(history: Tensors, numbers: Tensors, kept: float) -> None:
    torch._foreach_mul_(history, kept)
    torch._foreach_addcmul_(history, numbers, numbers, value=1 - kept)


def _by_root(solver: Message, rate: float, numbers: Tensors, squares: Tensors) -> Tensors:
    roots = torch._foreach_sqrt(squares)
    torch._foreach_add_(roots, solver.delta)
    steps = torch._foreach_div(numbers, roots)
    torch._foreach_mul_(steps, rate)
    return steps


UPDATES: dict[str, Callable[..., Tensors]] = {
    "SGD": _sgd,
    "Nesterov": _nesterov,
    "AdaGrad": _adagrad,
    "RMSProp": _rmsprop,
    "AdaDelta": _adadelta,
    "Adam": _adam,
}
TWO_HISTORIES = ("AdaDelta", "Adam")


def check_type(solver: Message) -> None:
    """NetError where a type is unknown, or a value is none of its."""
    if solver.type not in UPDATES:
        raise NetError(f"solver type {solver.type!r} is not supported; this engine has {', '.join(UPDATES)}")
    if solver.type in ("AdaGrad", "RMSProp") and solver.momentum:
        raise NetError(f"solver type {solver.type!r} has no momentum; leave it out")
    if solver.type == "RMSProp" and not 0 <= solver.rms_decay < 1:
        raise NetError(f"rms_decay {solver.rms_decay:g}; it must be at least 0 and below 1")
    if solver.type == "Adam" and not (0 <= solver.momentum < 1 and 0 <= solver.momentum2 < 1):
        raise NetError("momentum and momentum2 of Adam must be at least 0 and below 1")  # else it divides by 0
