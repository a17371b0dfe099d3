"""Schedules of the learning rate: the paper's plateau, a constant rate, a cosine, Caffe's policies; with a warm-up.

The rate is a function of the iteration (within its phase, where there are phases), so that a training that goes on has
the rates of one that was not stopped; at plateaus it is multiplied by what the plateaus have left of it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from google.protobuf.message import Message

from caffe_files.errors import InputError
from caffe_files.schema import caffe_messages
from caffe_torch.rates import check_policy, learning_rate

SCHEDULES = ("plateau", "fixed", "cosine", "solver")


@dataclass(frozen=True)
class RateShape:
    """policy   fixed, cosine or one of Caffe's, with its settings as a solver has them
    warm_up  iterations in which the rate rises along a line, from a first step above 0 (Goyal et al. 2017)
    """

    policy: str = "fixed"
    warm_up: int = 0
    gamma: float = 0.0
    power: float = 0.0
    stepsize: int = 0
    stepvalue: tuple[int, ...] = ()

    @property
    def varies(self) -> bool:
        """Whether two iterations may have different rates, without a plateau."""
        return self.policy != "fixed" or self.warm_up > 0

    @property
    def needs_length(self) -> bool:
        """Whether the rate of an iteration depends on how many there are."""
        return self.policy in ("cosine", "poly")

    def factor(self, iteration: int, length: int) -> float:
        """What the rate of an iteration is multiplied by, of `length` iterations from 0 on.

        >>> [RateShape("cosine", warm_up=2).factor(iteration, 6) for iteration in (0, 1, 2, 4)]
        [0.5, 1.0, 1.0, 0.5]
        """
        solver = self._solver(length)
        passed = sum(value <= iteration for value in self.stepvalue)  # where multistep stands, whatever came before
        return learning_rate(solver, iteration, passed, self.warm_up)[0]

    def record(self, length: int) -> dict[str, Any]:
        """What args.json says of it: nothing of a constant rate, as before there were others."""
        if not self.varies:
            return {}
        told = {name: value for name, value in asdict(self).items() if value}
        if "stepvalue" in told:
            told["stepvalue"] = list(told["stepvalue"])
        named = {"policy": "lr_policy"}
        return {
            **{named.get(name, name): value for name, value in told.items()},
            **({"schedule_until": length} if self.needs_length else {}),
        }

    def words(self) -> str:
        """For the reader of a log."""
        shape = {"fixed": "", "cosine": "along a cosine to 0"}.get(self.policy, f"by Caffe's policy {self.policy}")
        rising = f"rising for {self.warm_up} iterations" if self.warm_up else ""
        return ", then ".join(filter(None, [rising, shape]))

    def _solver(self, length: int) -> Message:
        solver = caffe_messages().SolverParameter(
            **{"base_lr": 1, "lr_policy": self.policy, "max_iter": length},
            **{"gamma": self.gamma, "power": self.power, "stepsize": self.stepsize},
        )
        solver.stepvalue.extend(self.stepvalue)
        return solver


def shape_of(schedule: str, warm_up: int, given: Message, where: str) -> RateShape:
    """The shape of one of SCHEDULES; `given` is the user's solver, in the file `where`."""
    if schedule != "solver":
        return RateShape("cosine" if schedule == "cosine" else "fixed", warm_up)
    try:
        check_policy(given)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    values = {"gamma": given.gamma, "power": given.power}
    shape = {name: float(f"{value:.6g}") for name, value in values.items()}  # of a float32, as it is written
    return RateShape(given.lr_policy, warm_up, **shape, stepsize=given.stepsize, stepvalue=tuple(given.stepvalue))
