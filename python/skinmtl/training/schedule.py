"""When a training does what."""

from __future__ import annotations

from dataclasses import dataclass

from skinmtl.training.phases import Phase
from skinmtl.training.plateau import PlateauRule, rounded
from skinmtl.training.rates import RateShape

CONSTANT = RateShape()


@dataclass(frozen=True)
class Schedule:
    """When what is done, in iterations; and how the learning rate falls.

    phases   empty where all layers learn from the first iteration to the last
    plateau  None: no plateau lowers the rate; with phases the rule begins anew in each, and ends none
    rates    what else decides the rate
    """

    max_iter: int
    test_interval: int
    snapshot_interval: int
    display: int
    base_lr: float
    seed: int
    plateau: PlateauRule | None
    watch: str
    keep_snapshots: int | None
    rate_change: str
    resume_data: str
    phases: tuple[Phase, ...] = ()
    rates: RateShape = CONSTANT

    @property
    def a_plateau_ends(self) -> bool:
        """Whether training may end before its last iteration."""
        return self.plateau is not None and not self.phases

    def rate(self, base: float, iteration: int, start: int, end: int) -> float:
        """The learning rate of an iteration of a phase, or of a training without, from `start` to `end`; `base` is what
        plateaus have left of it. Never 0."""
        return rounded(base * self.rates.factor(iteration - start, end - start)) if self.rates.varies else base
