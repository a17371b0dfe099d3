"""A worker process of BatchesAhead: `main` there makes its share of each batch."""

from __future__ import annotations

import os
import pickle
import struct
from typing import Any, Iterator

import cv2

from caffe_files.errors import InputError
from caffe_torch.streams import DONE, mapped, put

STDIN, STDOUT = 0, 1


def main() -> None:
    """Runs until its standard input ends, as it does when the training's process ends."""
    try:
        for _ in _batches(pickle.loads(_read(struct.unpack("<Q", _read(8))[0]))):
            os.write(STDOUT, DONE)
    except (BrokenPipeError, EOFError):
        pass
    except InputError as error:
        _say(str(error))
    except Exception as error:
        _say(f"a worker process failed: {type(error).__name__}: {error}")


def _batches(task: dict[str, Any]) -> Iterator[None]:
    """Yields when this worker's share of a batch is done."""
    cv2.setNumThreads(1)  # the workers are the parallelism
    reader, plan, batch = task["reader"], task["plan"], task["start"]
    values, labels = mapped(task["memory"], plan)
    while os.read(STDIN, 1):
        slot = (batch - task["start"]) % len(values)
        for place in range(plan.batch_size):
            if (batch * plan.batch_size + place) % task["workers"] == task["number"]:
                sample, labels[slot, place] = reader.sample(plan.visit(batch, place))
                put(sample, values[slot, place])
        batch += 1
        yield


def _read(count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = os.read(STDIN, count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _say(message: str) -> None:
    os.write(STDOUT, message.encode(errors="backslashreplace"))
