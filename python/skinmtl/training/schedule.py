"""When a training does what."""

from __future__ import annotations

from dataclasses import dataclass

from skinmtl.training.phases import Phase
from skinmtl.training.plateau import PlateauRule


@dataclass(frozen=True)
class Schedule:
    """When what is done, in iterations; and how the learning rate falls.

    phases   empty where all layers learn from the first iteration to the last
    plateau  None: the rate never falls; with phases the rule begins anew in each, and ends none
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
