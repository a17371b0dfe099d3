"""What signals ask a training for (BVLC: signal_handler.cpp)."""

from __future__ import annotations

import enum
import signal
from typing import Callable

from caffe_torch.launching import parent_is_gone


class Action(enum.Enum):
    """What a signal asks for."""

    NONE = "none"
    SNAPSHOT = "snapshot"
    STOP = "stop"


class Signals:
    """What signals ask for, looked at between two iterations; what one process is asked for, all do: `largest` gives
    the largest number that any process has.

    As in Caffe, they are heeded also where they were ignored before, as SIGINT is by what a script starts with `&`, and
    a training that they stop ends with status 0. SIGTERM, at which Caffe loses all, snapshots and stops with 143.
    """

    def __init__(self, effects: dict[signal.Signals, Action], largest: Callable[[int], int]) -> None:
        self.effects = {**effects, signal.SIGTERM: Action.STOP}
        self.status = 0
        self._largest = largest
        self._noted: list[int] = []
        for number in self.effects:
            signal.signal(number, self._note)

    def _note(self, number: int, _: object) -> None:
        effect = self.effects[signal.Signals(number)]
        self._noted.append({Action.NONE: 0, Action.SNAPSHOT: 1, Action.STOP: 128 + number}[effect])

    def requested(self) -> Action:
        """The strongest request since the last look, once; the same in all processes, which all must ask."""
        if parent_is_gone():
            self._note(signal.SIGTERM, None)
        mine = [0]
        while self._noted:  # one by one: a signal that comes meanwhile is for the next look
            mine.append(self._noted.pop())
        wanted = self._largest(max(mine))
        if wanted > 1:
            self.status = wanted if wanted == 128 + signal.SIGTERM else 0
            return Action.STOP
        return Action.SNAPSHOT if wanted else Action.NONE

    def is_stopping(self) -> bool:
        """Whether `requested` will say STOP, as far as this process knows."""
        return max(self._noted, default=0) > 1
