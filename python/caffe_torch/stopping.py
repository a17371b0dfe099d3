"""What signals ask a training for."""

from __future__ import annotations

import signal

from caffe_torch.distributed import Ranks
from caffe_torch.launching import parent_is_gone
from caffe_torch.training import Action


class Signals:
    """What signals ask for, looked at between two iterations; what one process is asked for, all do. SIGTERM snapshots
    and stops, where Caffe loses all."""

    def __init__(self, effects: dict[signal.Signals, Action], ranks: Ranks) -> None:
        self.effects = {**effects, signal.SIGTERM: Action.STOP}
        self.status = 0
        self._ranks = ranks
        self._noted: list[int] = []
        for number_of in self.effects:
            if signal.getsignal(number_of) != signal.SIG_IGN:
                signal.signal(number_of, self._note)

    def _note(self, number_of: int, _: object) -> None:
        effect = self.effects[signal.Signals(number_of)]
        self._noted.append({Action.NONE: 0, Action.SNAPSHOT: 1, Action.STOP: 128 + number_of}[effect])

    def requested(self) -> Action:
        """The strongest request since the last look, once."""
        if parent_is_gone():
            self._note(signal.SIGTERM, None)
        mine = [0]
        while self._noted:  # one by one: a signal that comes meanwhile is for the next look
            mine.append(self._noted.pop())
        wanted = self._ranks.largest(max(mine))
        if wanted > 1:
            self.status = wanted
            return Action.STOP
        return Action.SNAPSHOT if wanted else Action.NONE
