"""A function over many items in worker processes: results in order, memory that does not grow with their number."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
from collections import deque
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from itertools import islice
from typing import Callable, Iterable, Iterator, TypeVar

import cv2

from skinmtl.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

WAITING_PER_WORKER = 16  # enough to keep every worker busy while the results are written
PR_SET_PDEATHSIG = 1


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yields function(item) in the items' order; `function` must be importable by name. One worker: this process."""
    if workers == 1:
        yield from map(function, items)
        return
    # spawned, not forked: a forked worker would hold this process's locks and open files
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as pool:
        items = iter(items)
        waiting = deque(pool.submit(function, item) for item in islice(items, WAITING_PER_WORKER * workers))
        try:
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(function, item) for item in islice(items, 1))
        except BrokenExecutor:
            raise InputError(
                "a worker process was killed, most likely for want of memory; use fewer --workers"
            ) from None
        finally:
            for future in waiting:
                future.cancel()


def _start_worker() -> None:
    """Ctrl-C reaches the whole process group: the parent alone acts on it. A killed parent takes its workers along."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    cv2.setNumThreads(1)  # the workers are the parallelism
