"""Stops that wait for the iteration to end, so that a snapshot can be made."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from types import FrameType
from typing import Iterator

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    """`signal` is the number of the first stop that came, or None."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.signal = self.signal or number


@contextmanager
def deferred_stops() -> Iterator[StopRequest]:
    """While the block runs, SIGINT, SIGTERM and SIGHUP are only noted; those that are ignored stay so (`nohup`)."""
    request = StopRequest()
    before = {number: signal.getsignal(number) for number in STOPS}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, request)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
