"""A function over many items in worker processes: results in order, memory that does not grow with their number.

Each worker has a pipe of its own and nothing is shared, so that it may be killed at any time: the pools of the standard
library can hang for ever when they are stopped with work under way or lose a worker (seen with Python 3.9).
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from itertools import cycle, islice
from multiprocessing.connection import Connection
from typing import Any, Callable, Iterable, Iterator, TypeVar

import cv2

from skinmtl.common.errors import InputError

try:
    from multiprocessing import resource_tracker
except ImportError:  # Python 3.7
    from multiprocessing import semaphore_tracker as resource_tracker

Item = TypeVar("Item")
Result = TypeVar("Result")

WAITING_PER_WORKER = 8  # enough to keep every worker busy while the results are written
STOPS = (signal.SIGINT, signal.SIGTERM)


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yields function(item) in the items' order; `function` must be importable by name. One worker: this process.

    Items must be small (a path, a number): a pipe holds WAITING_PER_WORKER of them. InputError where a worker dies.
    """
    if workers == 1:
        yield from map(function, items)
        return
    items = iter(items)
    first = list(islice(items, WAITING_PER_WORKER * workers))
    crew: list[tuple[multiprocessing.process.BaseProcess, Connection]] = []
    try:
        for _ in range(min(workers, len(first))):
            crew.append(_start_worker(function))
        waiting: deque[Connection] = deque()  # who was given each item, in the items' order
        for item, (_, connection) in zip(first, cycle(crew)):
            _give(connection, item)
            waiting.append(connection)
        while waiting:
            connection = waiting.popleft()
            result = _take(connection)
            for item in islice(items, 1):
                _give(connection, item)
                waiting.append(connection)
            yield result
    finally:
        for process, connection in crew:
            process.kill()
            process.join()
            connection.close()


def _start_worker(function: Callable) -> tuple[multiprocessing.process.BaseProcess, Connection]:
    """Starts it with the signals blocked that stop a tool: they may reach the whole group, and the parent alone acts.

    Spawned, not forked: a forked worker would hold this process's locks and open files, and other workers' pipes.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, function), daemon=True)
    resource_tracker.ensure_running()  # it would unblock them when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()  # so that the worker's end tells
    return process, ours


def _work(connection: Connection, function: Callable) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])  # Python sends it at exit to workers that are left
    cv2.setNumThreads(1)  # the workers are the parallelism
    try:
        while True:
            item = connection.recv()
            try:
                answer = (function(item), None)
            except Exception as error:
                answer = (None, error)
            connection.send(answer)
    except (EOFError, ConnectionError):
        pass  # the parent was killed


def _give(connection: Connection, item: Any) -> None:
    try:
        connection.send(item)
    except ConnectionError:
        raise _lost() from None


def _take(connection: Connection) -> Any:
    try:
        result, error = connection.recv()
    except (EOFError, ConnectionError):
        raise _lost() from None
    if error is not None:
        raise error
    return result


def _lost() -> InputError:
    return InputError("a worker process was killed, most likely for want of memory; use fewer --workers")
