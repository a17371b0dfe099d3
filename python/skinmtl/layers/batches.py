"""Batches of jittered crops, prepared in this process or ahead of it by worker processes: the same numbers in both."""

from __future__ import annotations

import json
import mmap
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import numpy as np

import skinmtl
from caffe_files.errors import InputError
from skinmtl.layers.jitter import crop_of, draw
from skinmtl.layers.records import ImageRecords
from skinmtl.layers.settings import JitterSettings

DONE = b"\0"  # a worker's byte for its share of a batch; no message begins with it: many begin with a path
# in place of the working folder, whose files might have the names of modules
PROGRAM = "import sys; sys.path[0] = {!r}; from skinmtl.layers.worker import main; main()"


class Preparation:
    """Prepares crops, image by image, from an LMDB of its own."""

    def __init__(self, settings: JitterSettings) -> None:
        self._settings = settings
        self._records = ImageRecords(Path(settings.source))

    def fill(self, visit: int, planes: np.ndarray) -> None:
        """Writes the crop of a visit into `planes` (3, crop, crop) uint8: blue, green, red.

        InputError names the record where it cannot be used.
        """
        settings = self._settings
        drawn = draw(settings.seed, visit, settings.scales)
        try:
            crop = crop_of(self._records.image(visit), drawn, settings.crop, settings.scales[1])
        except InputError as error:
            raise InputError(f"{settings.source}: record {self._records.key(visit)}: {error}") from None
        planes[...] = crop.transpose(2, 0, 1)

    def close(self) -> None:
        """Closes the LMDB."""
        self._records.close()


class BatchesHere:
    """Each batch is prepared when it is asked for."""

    def __init__(self, settings: JitterSettings) -> None:
        self._preparation = Preparation(settings)
        self._visit = settings.start
        self._batch = np.empty((settings.batch_size, 3, settings.crop, settings.crop), np.uint8)

    def next_batch(self) -> np.ndarray:
        """(N, 3, crop, crop) uint8; valid until the next call."""
        for planes in self._batch:
            self._preparation.fill(self._visit, planes)
            self._visit += 1
        return self._batch

    def close(self) -> None:
        """Closes the LMDB."""
        self._preparation.close()


class BatchesAhead:
    """Batches that `workers` processes prepare, `prefetch` of them ahead, in memory that all share.

    Worker w of W prepares the visits v with v mod W = w. A byte to a worker allows it one more batch, a byte from it
    tells that its share of one is done; beyond that nothing is exchanged. A worker reads its pipe's end and goes when
    this process ends, in whatever way. Workers are programs of their own, not forks: a fork would hold this process's
    locks, threads' memory and GPU.
    """

    def __init__(self, settings: JitterSettings, workers: int) -> None:
        shape = memory_shape(settings)
        self._taken = 0
        self._workers: list[subprocess.Popen] = []
        with _shared_memory(int(np.prod(shape, dtype=np.int64))) as memory:
            self._memory = mapped(memory.fileno(), shape)
            try:
                for number in range(workers):
                    self._workers.append(_start_worker(settings, number, workers, memory.fileno()))
            except BaseException:
                self.close()
                raise
        self._allow(len(self._memory))

    def next_batch(self) -> np.ndarray:
        """(N, 3, crop, crop) uint8; valid until the next call. InputError where a worker found fault or was killed."""
        if self._taken:
            self._allow(1)  # the batch before is no longer needed
        for worker in self._workers:
            said = os.read(worker.stdout.fileno(), 1)
            if said != DONE:
                raise self._fault(worker, said)
        batch = self._memory[self._taken % len(self._memory)]
        self._taken += 1
        return batch

    def close(self) -> None:
        """Ends the workers."""
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.wait()
            worker.stdin.close()
            worker.stdout.close()
        self._workers = []

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
            how, what = f"by {signal.Signals(-status).name}", "if memory was short, give fewer workers"
        else:  # it has failed to import something, and Python says what
            how, what = f"with status {status}", f"see that {sys.executable} has the packages, or give workers 0"
        return InputError(f"a worker process that prepares images ended {how}; {what} in the param_str of the layer")


def memory_shape(settings: JitterSettings) -> tuple[int, ...]:
    """Of what is shared: batches (that in use, and those ahead), images, channels, rows, columns."""
    return (1 + settings.prefetch, settings.batch_size, 3, settings.crop, settings.crop)


def mapped(file: int, shape: tuple[int, ...]) -> np.ndarray:
    """The shared memory as an array of uint8; the file may be closed."""
    size = int(np.prod(shape, dtype=np.int64))
    return np.frombuffer(mmap.mmap(file, size), np.uint8).reshape(shape)


def batches_of(settings: JitterSettings, workers: int) -> BatchesHere | BatchesAhead:
    """The batches from visit `settings.start` on."""
    return BatchesAhead(settings, workers) if workers else BatchesHere(settings)


def _shared_memory(size: int) -> BinaryIO:
    """An open file without a name, in memory where it can be had; InputError where there is no room."""
    try:
        file = _nameless_file()
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError:
            file.close()
            raise
    except OSError as error:
        raise InputError(
            f"no room for {size / 1e6:.0f} MB that the layer's workers share ({error.strerror}); give less prefetch, "
            "or workers 0, in its param_str"
        ) from None
    return file


def _nameless_file() -> BinaryIO:
    """In memory; where Python (before 3.8) or the kernel has no such thing, in the folder for temporary files."""
    try:
        return os.fdopen(os.memfd_create("skinmtl"), "r+b")
    except (AttributeError, OSError):
        return tempfile.TemporaryFile()


def _start_worker(settings: JitterSettings, number: int, workers: int, memory: int) -> subprocess.Popen:
    """Starts it in a session of its own: Ctrl-C is for the training alone."""
    task = {"settings": asdict(settings), "number": number, "workers": workers, "memory": memory}
    library = str(Path(skinmtl.__file__).resolve().parents[1])
    environment = dict(os.environ, OPENBLAS_NUM_THREADS="1")  # it starts its threads before anything is asked of it
    try:
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(library), json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[memory],
            bufsize=0,
            env=environment,
            start_new_session=True,
        )
    except (OSError, TypeError) as error:  # inside `caffe`, the Python is the first python3 on PATH, or None
        raise InputError(
            f"no worker process can be started with the Python {sys.executable!r} ({error}); put python3 on PATH, or "
            "give workers 0 in the param_str of the layer"
        ) from None
