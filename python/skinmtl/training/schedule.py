"""When a training does what."""

from __future__ import annotations

from dataclasses import dataclass

from skinmtl.training.plateau import PlateauRule


@dataclass(frozen=True)
class Schedule:
    """When what is done, in iterations; and how the learning rate falls."""

    max_iter: int
    test_interval: int
    snapshot_interval: int
    display: int
    base_lr: float
    seed: int
    plateau: PlateauRule
    watch: str
    keep_snapshots: int | None
    rate_change: str
    resume_data: str
