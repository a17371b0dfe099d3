"""Batches of samples, made in this process or ahead of it by worker processes: the same numbers in both."""

from __future__ import annotations

import json
import mmap
import os
import select
import signal
import subprocess
import sys
import tempfile
import weakref
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

import caffe_files
from caffe_files.errors import InputError
from caffe_files.streams import Plan, Recipe, put

DONE = b"\0"  # a worker's byte for its share of a batch; no message begins with it: many begin with a path
ALIGNED = 64  # bytes: where each part begins in the shared memory
# for glibc: each image is decoded into the memory of the one before, which else goes back to the system and is cleared
KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 25), "MALLOC_TRIM_THRESHOLD_": str(1 << 26)}
# in place of the working folder, whose files might have the names of modules
PROGRAM = "import sys; sys.path[0] = {!r}; from caffe_files.batch_worker import main; main()"


class Advice(NamedTuple):
    """How a user asks for fewer workers, for none, and for less memory: words after "give"."""

    fewer: str
    none: str
    less_memory: str


class BatchesHere:
    """Each batch is made when it is asked for."""

    def __init__(self, recipe: Recipe, plan: Plan, start: int) -> None:
        self._reader, self._plan, self._batch = recipe.make(), plan, start
        self._arrays: tuple[np.ndarray, ...] = ()

    def next_batch(self) -> tuple[np.ndarray, ...]:
        """Each part as (N, ...); valid until the next call. InputError where a sample cannot be had."""
        for place in range(self._plan.batch_size):
            sample = self._reader.sample(self._plan.visit(self._batch, place), self._plan.seed)
            if place == 0:
                self._make_room(sample)
            put(sample, self._arrays, place)
        self._batch += 1
        return self._arrays

    def is_ready(self) -> bool:
        """Whether the next batch lies ready."""
        return False

    def close(self) -> None:
        """Closes what is read from."""
        self._reader.close()

    def _make_room(self, first: tuple[np.ndarray, ...]) -> None:
        if self._arrays and all(part.shape is not None for part in self._plan.parts):
            return
        shapes = [sample.shape if part.shape is None else part.shape for part, sample in zip(self._plan.parts, first)]
        self._arrays = tuple(
            np.empty((self._plan.batch_size, *shape), part.dtype) for part, shape in zip(self._plan.parts, shapes)
        )


class BatchesAhead:
    """Batches that worker processes make, `plan.prefetch` of them ahead, in memory that all share.

    Worker w of W makes the samples at the places p of batch k with (k N + p) mod W = w. A byte to a worker allows it
    one more batch, a byte from it tells that its share of one is done; beyond that nothing is exchanged. A worker reads
    its pipe's end and goes when this process ends, in whatever way. Workers are programs of their own, not forks: a
    fork would hold this process's locks, threads' memory and GPU. They are told names and plain settings, no pickles.
    """

    def __init__(self, recipe: Recipe, plan: Plan, start: int, workers: int, advice: Advice) -> None:
        self._taken, self._advice = 0, advice
        self._workers: list[subprocess.Popen] = []
        self._end = weakref.finalize(self, _end, self._workers)
        with _shared_memory(memory_size(plan), advice) as memory:
            self._slots = mapped(memory.fileno(), plan)
            task = {"reader": asdict(recipe), "plan": asdict(plan), "start": start, "memory": memory.fileno()}
            try:
                for number in range(workers):
                    self._workers.append(_start_worker({**task, "number": number, "workers": workers}, advice))
            except BaseException:
                self.close()
                raise
        self._allow(len(self._slots))

    def next_batch(self) -> tuple[np.ndarray, ...]:
        """Each part as (N, ...); valid until the next call. InputError where a worker found fault or was killed."""
        if self._taken:
            self._allow(1)  # the batch before is no longer needed
        for worker in self._workers:
            said = os.read(worker.stdout.fileno(), 1)
            if said != DONE:
                raise self._fault(worker, said)
        batch = self._slots[self._taken % len(self._slots)]
        self._taken += 1
        return batch

    def is_ready(self) -> bool:
        """Whether the next batch lies ready."""
        pipes = [worker.stdout for worker in self._workers]
        return len(select.select(pipes, [], [], 0)[0]) == len(pipes)

    def close(self) -> None:
        """Ends the workers."""
        self._end()

    def _allow(self, batches: int) -> None:
        for worker in self._workers:
            with suppress(BrokenPipeError):  # it says why, or that it has gone, where its batch is waited for
                os.write(worker.stdin.fileno(), DONE * batches)

    def _fault(self, worker: subprocess.Popen, said: bytes) -> InputError:
        message = (said + worker.stdout.read()).decode("utf-8", errors="replace")
        status = worker.wait()
        if message:
            return InputError(message)
        if status < 0:
            how, what = f"by {signal.Signals(-status).name}", f"if memory was short, give {self._advice.fewer}"
        else:  # it has failed to import something, and Python says what
            how = f"with status {status}"
            what = f"see that {sys.executable} has the packages, or give {self._advice.none}"
        return InputError(f"a worker process that reads data ended {how}; {what}")


def batches_of(recipe: Recipe, plan: Plan, start: int, workers: int, advice: Advice) -> BatchesHere | BatchesAhead:
    """The batches of a stream from batch `start` on."""
    return BatchesAhead(recipe, plan, start, workers, advice) if workers else BatchesHere(recipe, plan, start)


def memory_size(plan: Plan) -> int:
    """Bytes of the batch in use and of those ahead."""
    return (1 + plan.prefetch) * sum(_bytes_of_parts(plan))


def mapped(file: int, plan: Plan) -> list[tuple[np.ndarray, ...]]:
    """The shared memory as batches, each with its parts as (N, ...); the file may be closed."""
    memory, slots, at = mmap.mmap(file, memory_size(plan)), [], 0
    for _ in range(1 + plan.prefetch):
        parts = []
        for part, size in zip(plan.parts, _bytes_of_parts(plan)):
            shape = (plan.batch_size, *part.shape)
            values = np.frombuffer(memory, part.dtype, int(np.prod(shape, dtype=np.int64)), at)
            parts.append(values.reshape(shape))
            at += size
        slots.append(tuple(parts))
    return slots


def _bytes_of_parts(plan: Plan) -> list[int]:
    """Of each part of a batch, with what lies between it and the next."""
    numbers = [plan.batch_size * int(np.prod(part.shape, dtype=np.int64)) for part in plan.parts]
    sizes = [number * np.dtype(part.dtype).itemsize for number, part in zip(numbers, plan.parts)]
    return [-(-size // ALIGNED) * ALIGNED for size in sizes]


def _shared_memory(size: int, advice: Advice) -> BinaryIO:
    """An open file without a name, in memory where it can be had; InputError where there is no room. Not in /dev/shm,
    which is small in containers."""
    try:
        file = _nameless_file()
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError:
            file.close()
            raise
    except OSError as error:
        raise InputError(
            f"no room for {size / 1e6:.0f} MB of data that workers read ahead ({error.strerror}); "
            f"give {advice.less_memory}"
        ) from None
    return file


def _nameless_file() -> BinaryIO:
    """In memory; where Python (before 3.8) or the kernel has no such thing, in the folder for temporary files."""
    try:
        return os.fdopen(os.memfd_create("batches"), "r+b")
    except (AttributeError, OSError):
        return tempfile.TemporaryFile()


def _start_worker(task: dict, advice: Advice) -> subprocess.Popen:
    """Starts it in a session of its own: Ctrl-C is for the training alone."""
    library = str(Path(caffe_files.__file__).resolve().parents[1])
    environment = {**KEPT_MEMORY, **os.environ, "OPENBLAS_NUM_THREADS": "1"}  # its threads start before it is asked
    try:
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(library), json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[task["memory"]],
            bufsize=0,
            env=environment,
            start_new_session=True,
        )
    except (OSError, TypeError) as error:  # inside `caffe`, the Python is the first python3 on PATH, or None
        raise InputError(
            f"no worker process can be started with the Python {sys.executable!r} ({error}); put python3 on PATH, or "
            f"give {advice.none}"
        ) from None


def _end(workers: list[subprocess.Popen]) -> None:
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.wait()
        worker.stdin.close()
        worker.stdout.close()
    workers.clear()
