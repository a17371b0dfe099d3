"""Batches of samples, with and without worker processes: the same numbers, and what is wrong in one line."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numbered_samples import Failing, NumberedSamples
from processes import still_there

from caffe_files import batches
from caffe_files.batches import Advice, batches_of
from caffe_files.errors import InputError
from caffe_files.streams import Part, Plan, Recipe

HELPERS = str(Path(__file__).parents[1] / "helpers")
ADVICE = Advice("fewer of them", "none of them", "less memory to them")
PARTS = (Part((2, 3), "uint8"), Part((), "float32"), Part((5, 4), "int64"))
PLAN = Plan(4, PARTS, seed=7)


@pytest.fixture(autouse=True)
def helpers(monkeypatch):
    """Workers find the readers of these tests."""
    monkeypatch.setenv("PYTHONPATH", HELPERS)


def stream(workers, plan=PLAN, start=0, kind=NumberedSamples, **settings):
    return batches_of(Recipe.of(kind, **{"boxes": 5, **settings}), plan, start, workers, ADVICE)


def taken(count, *which, **settings):
    """Some batches, each a list of its parts."""
    made = stream(*which, **settings)
    try:
        return [[np.array(part) for part in made.next_batch()] for _ in range(count)]
    finally:
        made.close()


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_sample_may_have_several_parts(workers):
    for number, (pixels, visits, boxes) in enumerate(taken(3, workers, PLAN, 2), 2):
        expected = 4 * number + np.arange(4)
        assert (pixels == (70 + expected)[:, None, None]).all()
        assert visits.tolist() == expected.tolist()
        assert (boxes == (1 if workers else expected[:, None, None])).all()  # a worker is told to use one core
        assert [part.dtype for part in (pixels, visits, boxes)] == ["uint8", "float32", "int64"]


@pytest.mark.parametrize("workers", [0, 2])
def test_devices_side_by_side_see_what_one_would(workers):
    found = [taken(2, workers, replace(PLAN, first=5, rank=rank, world=2)) for rank in (0, 1)]
    visits = [np.concatenate([batch[1] for batch in each]).tolist() for each in found]
    assert visits == [list(range(5, 21, 2)), list(range(6, 21, 2))]


def test_fewer_parts_than_a_sample_has_are_shown_where_the_plan_has_fewer():
    for workers in (0, 1):
        assert len(taken(1, workers, replace(PLAN, parts=PARTS[:1]))[0]) == 1


def test_a_part_without_a_shape_has_that_of_the_first_sample():
    plan = replace(PLAN, parts=(*PARTS[:2], Part(None, "int64")))
    assert taken(1, 0, plan, boxes=2)[0][2].shape == (4, 2, 4)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_sample_of_another_form_is_refused(workers):
    with pytest.raises(InputError, match=r"is int64 of shape \(6, 4\) where others are int64 of shape \(5, 4\)"):
        taken(1, workers, boxes=6)


@pytest.mark.parametrize("workers", [0, 2])
def test_what_the_reader_says_is_passed_on(workers):
    with pytest.raises(InputError, match=r"^a.lmdb: record 6: is bad$"):
        taken(3, workers, bad=6)


def without_memory_files(*_):
    raise OSError(errno.ENOSYS, "Function not implemented")


def test_batches_are_shared_through_a_file_where_there_is_no_memory_file(monkeypatch):
    expected = taken(2, 0)[1][0]
    monkeypatch.setattr("os.memfd_create", without_memory_files, raising=False)
    np.testing.assert_array_equal(taken(2, 1)[1][0], expected)
    monkeypatch.setattr("tempfile.TemporaryFile", without_memory_files)
    with pytest.raises(InputError, match=r"no room for 0 MB .* \(Function not implemented\); give less memory to them"):
        stream(1)


def test_no_worker_is_left_where_another_does_not_start(monkeypatch):
    start, started = batches._start_worker, []

    def one_alone(*which):
        if started:
            raise InputError("too many processes")
        started.append(start(*which))
        return started[0]

    monkeypatch.setattr(batches, "_start_worker", one_alone)
    with pytest.raises(InputError, match="too many processes"):
        stream(2)
    assert started[0].returncode is not None


def test_a_python_that_cannot_be_started_is_named(monkeypatch):
    for python in (None, "/no/such/python3"):
        monkeypatch.setattr(sys, "executable", python)
        with pytest.raises(InputError, match=r"no worker process .* put python3 on PATH, or give none of them"):
            stream(1)


def test_a_worker_that_ends_at_once_is_told():
    with pytest.raises(InputError, match=r"ended with status 3; see that /.* has the packages, or give none of them"):
        taken(1, 1, kind=Failing)


def test_a_worker_that_is_killed_is_told():
    ahead = stream(2)
    ahead.next_batch()
    ahead._workers[1].kill()
    with pytest.raises(InputError, match="reads data ended by SIGKILL; if memory was short, give fewer of them"):
        for _ in range(9):
            ahead.next_batch()
    ahead.close()


def test_a_reader_that_a_worker_cannot_import_is_named(monkeypatch):
    monkeypatch.delenv("PYTHONPATH")
    with pytest.raises(InputError, match="a worker process failed: ModuleNotFoundError: No module named 'numbered_"):
        taken(1, 1)


def test_nothing_is_imported_from_the_working_folder(tmp_path, monkeypatch):
    for name in ("numpy", "json", "caffe_files", "caffe_torch"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert len(taken(1, 1)) == 1


TRAINING = """
import sys, time
sys.path[0:1] = {paths!r}
from numbered_samples import NumberedSamples
from test_batches import stream
ahead = stream(2)
ahead.next_batch()
print(*(worker.pid for worker in ahead._workers), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_its_training(stop):
    paths = [str(Path(__file__).parent), HELPERS, str(Path(batches.__file__).parents[1])]
    training = subprocess.Popen(
        [sys.executable, "-c", TRAINING.format(paths=paths)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    workers = list(map(int, training.stdout.readline().split()))
    assert len(workers) == 2
    os.kill(training.pid, stop)
    training.communicate(timeout=30)
    assert still_there(workers) == []


@pytest.mark.parametrize("closed", [True, False])
def test_closed_or_forgotten_a_stream_leaves_no_worker(closed):
    ahead = stream(1)
    worker = ahead._workers[0]
    if closed:
        ahead.close()
    del ahead
    assert worker.returncode == -signal.SIGKILL
