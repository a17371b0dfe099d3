"""How far a training is: a bar on a terminal, elsewhere a line now and then, both on stderr; its news on stdout."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import Callable

from tqdm import tqdm

from skinmtl.training.telling import line_between, line_within_test

SILENCE = 30.0  # seconds after which a training without a terminal says where it is
REDRAWN = 0.2  # seconds between two looks of the bar while a test runs; between tests tqdm sees to it


def say(*lines: str) -> None:
    """Prints each line at once, above the bar where there is one."""
    for line in lines:
        tqdm.write(line)
    sys.stdout.flush()  # a pipe or a file would have it much later


class ProgressBar:
    """Counts iterations from `begun` on; `now` is a clock of seconds. `a_plateau_ends`: there may be fewer."""

    def __init__(
        self,
        begun: int,
        max_iter: int,
        images_per_iteration: int,
        now: Callable[[], float] = time.monotonic,
        a_plateau_ends: bool = True,
    ) -> None:
        self._iteration = self._begun = begun
        self._max_iter, self._images, self._now = max_iter, images_per_iteration, now
        self._a_plateau_ends = a_plateau_ends
        self._started = self._spoken = self._drawn = now()
        self._counted = begun  # the iteration at which the last line was said
        self._shown = ""  # after the bar
        self._bar = tqdm(total=max_iter, initial=begun, unit="iteration", disable=None, smoothing=0.05)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.close()

    def step(self, losses: dict[str, float], rate: float) -> None:
        """After an iteration with these losses, by name."""
        self._iteration += 1
        if not self._bar.disable:
            shown = [f"{name} loss {loss:.3g}" for name, loss in losses.items()]
            self._shown = ", ".join([*shown, f"lr {rate:g}"])
            self._bar.set_postfix_str(self._shown, refresh=False)
            self._bar.update()
        elif self._now() - self._spoken >= SILENCE:
            speed = (self._iteration - self._counted) * self._images / (self._now() - self._spoken)
            left = self.seconds_left()
            ends = self._a_plateau_ends
            self._mumble(line_between(self._iteration, self._max_iter, losses, speed, left, ends))

    def testing(self, done: int, passes: int) -> None:
        """After `done` of the `passes` of a test."""
        if not self._bar.disable:
            if self._now() - self._drawn >= REDRAWN:
                self._bar.set_postfix_str(f"testing, batch {done} of {passes}")
                self._drawn = self._now()
        elif self._now() - self._spoken >= SILENCE:
            self._mumble(line_within_test(self._iteration, self._max_iter, done, passes))

    def say(self, line: str) -> None:
        """Prints a line of news."""
        self._bar.set_postfix_str(self._shown, refresh=False)  # a test that it showed is over
        say(line)
        self._heard()

    def seconds_left(self) -> float | None:
        """Until `max_iter`, tests and snapshots counted in; None where there is nothing to tell it by."""
        done = self._iteration - self._begun
        return (self._now() - self._started) / done * (self._max_iter - self._iteration) if done else None

    def _mumble(self, line: str) -> None:
        with suppress(OSError):  # nobody listens any more, which is no reason to end a training
            print(line, file=sys.stderr, flush=True)
        self._heard()

    def _heard(self) -> None:
        self._spoken, self._counted = self._now(), self._iteration
