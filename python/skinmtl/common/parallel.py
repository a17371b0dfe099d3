"""A function over many items in worker processes: results in order, memory that does not grow with their number.

Each worker has a pipe of its own and nothing is shared, so that it may be killed at any time: the pools of the standard
library can hang for ever when they are stopped with work under way or lose a worker (seen with Python 3.9).
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from itertools import chain, islice
from multiprocessing.connection import Connection, wait
from typing import Any, Callable, Iterable, Iterator, TypeVar

import cv2

from caffe_files.errors import InputError

try:
    from multiprocessing import resource_tracker
except ImportError:  # Python 3.7
    from multiprocessing import semaphore_tracker as resource_tracker

Item = TypeVar("Item")
Result = TypeVar("Result")

WAITING_PER_WORKER = 8  # given and not yet yielded: the others go on while one has a large item
IN_HAND = 3  # of a worker at once: one at work, the next ones there while this process is busy
STOPS = (signal.SIGINT, signal.SIGTERM)


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yields function(item) in the items' order; `function` must be importable by name. For one worker or one item,
    which would be done before a worker has loaded its libraries, this process.

    Who is done first gets the next item. Items must be small (a path, a number): a pipe holds IN_HAND of them.
    InputError where a worker dies.
    """
    if workers == 1:
        yield from map(function, items)
        return
    numbered = enumerate(items)
    first = list(islice(numbered, WAITING_PER_WORKER * workers))
    if len(first) < 2:
        yield from (function(item) for _, item in first)
        return
    left = chain(first, numbered)
    crew: list[tuple[multiprocessing.process.BaseProcess, Connection]] = []
    try:
        for _ in range(min(workers, len(first))):
            crew.append(_start_worker(function))
        in_hand: dict[Connection, deque[int]] = {connection: deque() for _, connection in crew}
        answers: dict[int, tuple[Any, Exception | None]] = {}
        given = wanted = 0
        while True:
            room = wanted + WAITING_PER_WORKER * workers - given
            for connection, item in zip(_free(in_hand, room), left):
                number, task = item
                _give(connection, task)
                in_hand[connection].append(number)
                given += 1
            if wanted == given:
                return
            at_work = [connection for connection, numbers in in_hand.items() if numbers]
            for connection in wait(at_work, 0 if wanted in answers else None):
                answers[in_hand[connection].popleft()] = _take(connection)
            if wanted in answers:
                result, error = answers.pop(wanted)
                if error is not None:
                    raise error
                wanted += 1
                yield result
    finally:
        for process, connection in crew:
            process.kill()
            process.join()
            connection.close()


def _free(in_hand: dict[Connection, deque[int]], room: int) -> Iterator[Connection]:
    """Yields whom to give the next items, at most `room` of them: who has the fewest, none more than IN_HAND."""
    for _ in range(room):
        connection = min(in_hand, key=lambda one: len(in_hand[one]))
        if len(in_hand[connection]) == IN_HAND:
            return
        yield connection


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


def _take(connection: Connection) -> tuple[Any, Exception | None]:
    try:
        return connection.recv()
    except (EOFError, ConnectionError):
        raise _lost() from None


def _lost() -> InputError:
    return InputError("a worker process was killed, most likely for want of memory; use fewer --workers")
