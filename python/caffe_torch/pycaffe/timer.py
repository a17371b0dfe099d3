"""caffe.Timer: a clock for what a script does, on the GPU too where nets run there."""

from __future__ import annotations

import time

import torch

from caffe_torch.pycaffe.modes import device


class Timer:
    """`start`, `stop`, and between them `ms`."""

    def __init__(self) -> None:
        self._started: float | None = None
        self._elapsed = 0.0

    def start(self) -> None:
        """From here on; without effect where it runs already."""
        if self._started is None:
            self._started = _now()

    def stop(self) -> None:
        """Up to here; without effect where it does not run."""
        if self._started is not None:
            self._elapsed, self._started = _now() - self._started, None

    @property
    def ms(self) -> float:
        """The milliseconds from start to stop; it stops where it runs, and is 0 where it never did."""
        self.stop()
        return 1000 * self._elapsed


def _now() -> float:
    if device().type == "cuda":
        torch.cuda.synchronize(device())
    return time.perf_counter()
