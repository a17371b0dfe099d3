"""Learning rates by iteration: Caffe's seven policies (BVLC: sgd_solver.cpp, GetLearningRate), and two things that it
has not: a policy "cosine" (Loshchilov and Hutter 2017, one period, down to 0), and a warm-up before any of them.
"""

from __future__ import annotations

import numpy as np
from google.protobuf.message import Message

from caffe_torch.errors import NetError


def learning_rate(solver: Message, iteration: int, current_step: int, warm_up: int = 0) -> tuple[float, int]:
    """The rate at an iteration, and the step that multistep and step stand at, which a solverstate holds.

    In the first `warm_up` iterations the policy's rate is multiplied by 1 / warm_up, 2 / warm_up and so on (Goyal et
    al. 2017); a cosine begins after them.
    """
    with np.errstate(all="ignore"):  # what is too large is infinite, as in Caffe
        rate, current_step = _rate(solver, iteration, current_step, warm_up)
    return float(rate * min(1.0, (iteration + 1) / warm_up) if warm_up else rate), current_step


def _rate(solver: Message, iteration: int, current_step: int, warm_up: int) -> tuple[float, int]:
    base, gamma, power = np.float64(solver.base_lr), np.float64(solver.gamma), np.float64(solver.power)
    policy = solver.lr_policy
    if policy == "fixed":
        return base, current_step
    if policy == "cosine":
        done = max(0, iteration - warm_up) / max(1, solver.max_iter - warm_up)
        return base * (1 + np.cos(np.pi * min(1.0, done))) / 2, current_step
    if policy == "step":
        current_step = iteration // solver.stepsize
        return base * gamma**current_step, current_step
    if policy == "exp":
        return base * gamma**iteration, current_step
    if policy == "inv":
        return base * (1 + gamma * iteration) ** -power, current_step
    if policy == "multistep":
        if current_step < len(solver.stepvalue) and iteration >= solver.stepvalue[current_step]:
            current_step += 1  # one at a time, as in Caffe
        return base * gamma**current_step, current_step
    if policy == "poly":
        return base * (1 - np.float64(iteration) / solver.max_iter) ** power, current_step
    return base / (1 + np.exp(-gamma * (iteration - solver.stepsize))), current_step


NEEDED = {
    "fixed": (),
    "cosine": ("max_iter",),
    "step": ("gamma", "stepsize"),
    "exp": ("gamma",),
    "inv": ("gamma", "power"),
    "multistep": ("gamma",),
    "poly": ("power", "max_iter"),
    "sigmoid": ("gamma", "stepsize"),
}


def check_policy(solver: Message) -> None:
    """NetError where the policy is unknown or lacks a value."""
    if solver.lr_policy not in NEEDED:
        raise NetError(f"lr_policy {solver.lr_policy!r} is unknown; it is one of {', '.join(NEEDED)}")
    for field in ("base_lr", *NEEDED[solver.lr_policy]):
        if not solver.HasField(field):
            raise NetError(f"lr_policy {solver.lr_policy!r} needs {field}; add it to the solver")
    if solver.lr_policy == "step" and solver.stepsize < 1:
        raise NetError(f"stepsize {solver.stepsize}; it must be at least 1")
    if solver.gamma < 0:
        raise NetError(f"gamma {solver.gamma:g}; Caffe takes none below 0")
