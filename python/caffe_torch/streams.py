"""Batches of samples, made in this process or ahead of it by worker processes: the same numbers in both.

Batch k has the visits k N to k N + N - 1 of its stream. With `world` devices side by side the device `rank` takes every
world-th visit, as Caffe's solvers of several GPUs do: together they see what one device with world x N would.
"""

from __future__ import annotations

import mmap
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import tempfile
import weakref
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

import caffe_torch
from caffe_torch.errors import NetError

DONE = b"\0"  # a worker's byte for its share of a batch; a message never begins with it
PREFETCHED = 4  # batches, as Caffe's own
# in place of the working folder, whose files might have the names of modules
PROGRAM = "import sys; sys.path[0] = {!r}; from caffe_torch.stream_worker import main; main()"


class Reader(Protocol):
    """What makes samples; it can be pickled."""

    def sample(self, visit: int) -> tuple[np.ndarray, int]:
        """The values and the label that a visit shows. InputError where they cannot be had."""


@dataclass(frozen=True)
class Plan:
    """Which samples a stream has, and of what form: `shape` (None: as the first of each batch) and `dtype`."""

    batch_size: int
    shape: tuple[int, ...] | None
    dtype: str
    first: int = 0  # the visit of place 0 of batch 0
    rank: int = 0
    world: int = 1

    def visit(self, batch: int, place: int) -> int:
        """The visit at a place of a batch."""
        return self.first + (batch * self.batch_size + place) * self.world + self.rank


class BatchesHere:
    """Each batch is made when it is asked for."""

    def __init__(self, reader: Reader, plan: Plan, start: int) -> None:
        self._reader, self._plan, self._batch = reader, plan, start

    def next_batch(self) -> tuple[np.ndarray, np.ndarray]:
        """(N, ...) values and (N) float32 labels; valid until the next call."""
        values, labels = None, np.empty(self._plan.batch_size, np.float32)
        for place in range(self._plan.batch_size):
            sample, labels[place] = self._reader.sample(self._plan.visit(self._batch, place))
            if values is None:
                shape = self._plan.shape or sample.shape
                values = np.empty((self._plan.batch_size, *shape), sample.dtype)
            put(sample, values[place])
        self._batch += 1
        return values, labels

    def is_ready(self) -> bool:
        """Whether the next batch lies ready."""
        return False

    def close(self) -> None:
        """Nothing is to be ended."""


class BatchesAhead:
    """Batches that worker processes make, PREFETCHED ahead, in memory that all share.

    Worker w of W makes the visits at the places p of batch k with (k N + p) mod W = w. A byte to a worker allows it one
    more batch, a byte from it tells that its share of one is done. A worker reads its pipe's end and goes when this
    process ends, in whatever way. Workers are programs of their own, not forks: a fork would hold this process's locks,
    threads' memory and GPU; and they do not import PyTorch.
    """

    def __init__(self, reader: Reader, plan: Plan, start: int, workers: int) -> None:
        self._taken = 0
        self._workers: list[subprocess.Popen] = []
        self._end = weakref.finalize(self, _end, self._workers)
        with _shared_memory(memory_size(plan)) as memory:
            self._values, self._labels = mapped(memory.fileno(), plan)
            for number in range(workers):
                self._workers.append(_start_worker(memory.fileno()))
                task = {"reader": reader, "plan": plan, "start": start, "number": number, "workers": workers}
                told = pickle.dumps({**task, "memory": memory.fileno()})
                with suppress(BrokenPipeError):  # it says why where its batch is waited for
                    _write_all(self._workers[-1].stdin.fileno(), struct.pack("<Q", len(told)) + told)
            self._allow(len(self._values))

    def next_batch(self) -> tuple[np.ndarray, np.ndarray]:
        """(N, ...) values and (N) float32 labels; valid until the next call. NetError where a worker found fault."""
        if self._taken:
            self._allow(1)  # the batch before is no longer needed
        for worker in self._workers:
            said = os.read(worker.stdout.fileno(), 1)
            if said != DONE:
                raise self._fault(worker, said)
        slot = self._taken % len(self._values)
        self._taken += 1
        return self._values[slot], self._labels[slot]

    def is_ready(self) -> bool:
        """Whether the next batch lies ready."""
        pipes = [worker.stdout for worker in self._workers]
        return len(select.select(pipes, [], [], 0)[0]) == len(pipes)

    def close(self) -> None:
        """Ends the workers."""
        self._end()

    def _allow(self, batches: int) -> None:
        for worker in self._workers:
            with suppress(BrokenPipeError):
                os.write(worker.stdin.fileno(), DONE * batches)

    def _fault(self, worker: subprocess.Popen, said: bytes) -> NetError:
        message = (said + worker.stdout.read()).decode("utf-8", errors="replace")
        status = worker.wait()
        if message:
            return NetError(message)
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        return NetError(f"a worker process that reads data ended {how}; if memory was short, give fewer -workers")


def put(sample: np.ndarray, place: np.ndarray) -> None:
    """Copies a sample to its place in a batch. NetError where it is of another form."""
    if sample.shape != place.shape or sample.dtype != place.dtype:
        form, others = (f"{each.dtype} of shape {each.shape}" for each in (sample, place))
        raise NetError(f"a record is {form} where others are {others}; set a crop_size, and make all records alike")
    place[...] = sample


def batches_of(reader: Reader, plan: Plan, start: int, workers: int) -> BatchesHere | BatchesAhead:
    """The batches of a stream from batch `start` on."""
    return BatchesAhead(reader, plan, start, workers) if workers else BatchesHere(reader, plan, start)


def memory_size(plan: Plan) -> int:
    """Bytes of the batch in use and of those ahead, and of their labels."""
    values = np.dtype(plan.dtype).itemsize * int(np.prod(plan.shape, dtype=np.int64))
    return (1 + PREFETCHED) * plan.batch_size * (values + np.dtype(np.float32).itemsize)


def mapped(file: int, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """The shared memory as values (batches, N, ...) and labels (batches, N); the file may be closed."""
    memory, slots = mmap.mmap(file, memory_size(plan)), 1 + PREFETCHED
    labels = np.frombuffer(memory, np.float32, slots * plan.batch_size).reshape(slots, plan.batch_size)
    values = np.frombuffer(memory, plan.dtype, offset=labels.nbytes)
    return values.reshape(slots, plan.batch_size, *plan.shape), labels


def _shared_memory(size: int) -> BinaryIO:
    """An open file without a name, in memory where it can be had. Not in /dev/shm, which is small in containers."""
    try:
        try:
            file = os.fdopen(os.memfd_create("caffe_torch"), "r+b")
        except (AttributeError, OSError):
            file = tempfile.TemporaryFile()  # noqa: SIM115  (the caller closes it)
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError:
            file.close()
            raise
    except OSError as error:
        raise NetError(
            f"no room for {size / 1e6:.0f} MB of data read ahead ({error.strerror}); give -workers 0"
        ) from None
    return file


def _start_worker(memory: int) -> subprocess.Popen:
    """Starts it in a session of its own: Ctrl-C is for the training alone."""
    library = str(Path(caffe_torch.__file__).resolve().parents[1])
    environment = dict(os.environ, OPENBLAS_NUM_THREADS="1")  # it starts its threads before anything is asked of it
    try:
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(library)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[memory],
            bufsize=0,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise NetError(f"no worker process can be started ({error.strerror}); give fewer -workers") from None


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _end(workers: list[subprocess.Popen]) -> None:
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.wait()
        worker.stdin.close()
        worker.stdout.close()
    workers.clear()
