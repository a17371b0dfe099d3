"""A worker process of BatchesAhead: `main` there makes its share of each batch."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Iterator

from caffe_files.batches import DONE, mapped
from caffe_files.errors import InputError
from caffe_files.streams import Plan, Recipe, put

STDIN, STDOUT = 0, 1


def main() -> None:
    """Runs until its standard input ends, as it does when the training's process ends."""
    try:
        for _ in _batches(json.loads(sys.argv[1])):
            os.write(STDOUT, DONE)
    except BrokenPipeError:
        pass
    except InputError as error:
        _say(str(error))
    except Exception as error:
        _say(f"a worker process failed: {type(error).__name__}: {error}")


def _batches(task: dict[str, Any]) -> Iterator[None]:
    """Yields when this worker's share of a batch is done."""
    reader, plan, batch = Recipe(**task["reader"]).make(), Plan.from_plain(task["plan"]), task["start"]
    reader.use_one_core()
    slots = mapped(task["memory"], plan)
    while os.read(STDIN, 1):
        slot = slots[(batch - task["start"]) % len(slots)]
        for place in range(plan.batch_size):
            if (batch * plan.batch_size + place) % task["workers"] == task["number"]:
                put(reader.sample(plan.visit(batch, place), plan.seed), slot, place)
        batch += 1
        yield


def _say(message: str) -> None:
    os.write(STDOUT, message.encode(errors="backslashreplace"))
