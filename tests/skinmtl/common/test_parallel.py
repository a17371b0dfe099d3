"""Worker processes: order, bounded memory, and what happens when one dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import skinmtl
from caffe_files.errors import InputError
from skinmtl.common.parallel import IN_HAND, WAITING_PER_WORKER, ordered_map


def negative(number):
    return -number


def process_of(number):
    return os.getpid()


def kill_at_seven(number):
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def slow_at_nought(number):
    """The first item takes long; its result is larger than a pipe has room for, as all are."""
    if number == 0:
        time.sleep(1)
    return number, time.perf_counter(), bytes(500_000)


def fail_at_seven(number):
    if number == 7:
        raise ValueError("seven")
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers):
    assert list(ordered_map(negative, range(100), workers)) == [-number for number in range(100)]


@pytest.mark.parametrize("workers", [1, 3])
def test_no_items(workers):
    assert list(ordered_map(negative, [], workers)) == []


@pytest.mark.parametrize(("n_items", "workers"), [(3, 1), (1, 3)])
def test_one_worker_is_this_process_and_one_item_needs_no_other(n_items, workers):
    assert set(ordered_map(process_of, range(n_items), workers)) == {os.getpid()}


@pytest.mark.parametrize("number", [2, 3, 100])
def test_no_worker_outlives_the_map(number):
    before = multiprocessing.active_children()
    results = ordered_map(negative, range(number), 3)
    next(results)
    assert len(multiprocessing.active_children()) == len(before) + min(number, 3)
    results.close()
    assert multiprocessing.active_children() == before


def test_a_map_that_nobody_closes_does_not_hold_up_the_end():
    """An exception can keep a generator alive until Python ends: its frames refer to each other."""
    program = (
        "import operator\n"
        "from skinmtl.common.parallel import ordered_map\n"
        "if __name__ == '__main__':\n"
        "    kept = ordered_map(operator.neg, range(1000), 2)\n"
        "    print(next(kept))\n"
    )
    environment = dict(os.environ, PYTHONPATH=str(Path(skinmtl.__file__).parents[1]))
    command = [sys.executable, "-c", program]
    finished = subprocess.run(command, env=environment, capture_output=True, timeout=30)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, b"0\n", b"")


def test_only_a_bounded_number_of_items_is_in_flight():
    """Or memory would grow with the number of images when writing is slower than reading."""
    taken = []
    results = ordered_map(negative, (taken.append(n) or n for n in range(10_000)), 2)
    for wanted in range(50):
        assert next(results) == -wanted
        assert len(taken) <= wanted + 1 + 2 * WAITING_PER_WORKER
    results.close()
    assert len(taken) < 200


def test_a_slow_item_does_not_hold_up_the_others():
    """They are done meanwhile by who is free, as many as may wait, and still come after it."""
    results = list(ordered_map(slow_at_nought, range(2 * WAITING_PER_WORKER), 2))
    assert [number for number, _, _ in results] == list(range(2 * WAITING_PER_WORKER))
    first_done = results[0][1]
    assert sum(done < first_done for _, done, _ in results[1:]) >= 2 * WAITING_PER_WORKER - IN_HAND > WAITING_PER_WORKER


def test_it_waits_for_a_slow_reader():
    """Results larger than a pipe has room for, of workers that are done before anyone asks."""
    results = ordered_map(slow_at_nought, range(1, 60), 3)
    for wanted in range(1, 60):
        assert next(results)[0] == wanted
        time.sleep(0.005)
    with pytest.raises(StopIteration):
        next(results)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_comes_through(workers):
    with pytest.raises(ValueError, match="seven"):
        list(ordered_map(fail_at_seven, range(100), workers))


def test_a_killed_worker_is_an_input_error():
    with pytest.raises(InputError, match="a worker process was killed"):
        list(ordered_map(kill_at_seven, range(100), 2))
