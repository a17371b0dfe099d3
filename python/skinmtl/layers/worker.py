"""A worker process of BatchesAhead: `main` there prepares its share of each batch."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Iterator

import cv2

from caffe_files.errors import InputError
from skinmtl.layers.batches import DONE, Preparation, mapped, memory_shape
from skinmtl.layers.settings import JitterSettings

STDIN, STDOUT = 0, 1


def main() -> None:
    """Runs until its standard input ends, as it does when the training's process ends."""
    task = json.loads(sys.argv[1])
    try:
        for _ in _batches(task):
            os.write(STDOUT, DONE)
    except BrokenPipeError:
        pass
    except InputError as error:
        os.write(STDOUT, str(error).encode(errors="backslashreplace"))
    except Exception as error:
        os.write(STDOUT, f"a worker process failed: {type(error).__name__}: {error}".encode(errors="backslashreplace"))


def _batches(task: dict[str, Any]) -> Iterator[None]:
    """Yields when this worker's share of a batch is done."""
    settings = JitterSettings(**task["settings"])
    preparation = Preparation(settings)
    cv2.setNumThreads(1)  # the workers are the parallelism
    memory = mapped(task["memory"], memory_shape(settings))
    first = settings.start
    while os.read(STDIN, 1):
        slot = memory[(first - settings.start) // settings.batch_size % len(memory)]
        for visit in range(first, first + settings.batch_size):
            if visit % task["workers"] == task["number"]:
                preparation.fill(visit, slot[visit - first])
        first += settings.batch_size
        yield
