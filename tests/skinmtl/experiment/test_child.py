"""One run at a time works on a folder, and none of its processes outlives it, whatever ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from caffe_files.errors import InputError
from skinmtl.experiment.child import locked
from skinmtl.experiment.guard import end_all, workers_of

# what skinmtl run does: takes the lock and starts a guarded child, whose own child cleans up when it is told to stop
PROGRAM = """
import sys, time
from pathlib import Path
from skinmtl.experiment.child import Child, locked
out = Path(sys.argv[1])
with locked(out, print) as lock:
    child = Child(["sh", "-c", sys.argv[2]], out, out / "log", lock, {})
    print("begun", flush=True)
    status = child.status()
    while status is None:
        time.sleep(0.02)
        status = child.status()
    print("status", status, flush=True)
"""
# on SIGTERM it leaves something, as a training leaves a snapshot
TIDY = "trap 'touch cleaned; exit 0' TERM; touch running; while :; do sleep 0.05; done"


@pytest.fixture
def start(tmp_path):
    started = []

    def start(script):
        environment = dict(os.environ, PYTHONPATH=str(Path(__file__).resolve().parents[3] / "python"))
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "out"), f"cd '{tmp_path}'; {script}"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    end_all(str(tmp_path / "out"), grace=0)


def wait_for(what, seconds=30):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_a_command_that_a_signal_ended_has_a_status_as_in_a_shell(start):
    assert start("kill -9 $$").communicate(timeout=30)[0] == "begun\nstatus 137\n"


def test_a_command_that_ends_by_itself_has_its_status_told_and_its_output_kept(start, tmp_path):
    process = start("echo said; exit 3")
    assert process.communicate(timeout=30)[0] == "begun\nstatus 3\n"
    assert (tmp_path / "out" / "log").read_text() == "said\n"


def test_what_a_command_leaves_behind_is_ended_with_it(start, tmp_path):
    process = start("(touch running; exec sleep 100) & until [ -e running ]; do sleep 0.02; done")
    assert process.communicate(timeout=30)[0].endswith("status 0\n")
    assert workers_of(str(tmp_path / "out")) == []


def test_a_killed_run_leaves_no_process_and_lets_them_clean_up(start, tmp_path):
    process = start(TIDY)
    wait_for((tmp_path / "running").exists)
    assert workers_of(str(tmp_path / "out"))
    process.kill()
    wait_for(lambda: not workers_of(str(tmp_path / "out")))
    assert (tmp_path / "cleaned").exists()


def test_the_next_run_waits_until_what_a_killed_one_left_is_gone(start, tmp_path):
    process = start(TIDY)
    wait_for((tmp_path / "running").exists)
    process.kill()
    lines = []
    with locked(tmp_path / "out", lines.append):
        assert (tmp_path / "cleaned").exists()
        assert workers_of(str(tmp_path / "out")) == []
    assert lines in ([], ["What a killed run left is coming to its end ..."])


def test_where_the_guard_was_killed_too_the_next_run_ends_what_is_left(start, tmp_path):
    process = start(TIDY)
    wait_for((tmp_path / "running").exists)
    (guard,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(process.pid, signal.SIGKILL)
    os.kill(int(guard), signal.SIGKILL)
    process.wait()
    wait_for(lambda: not Path(f"/proc/{guard}/cmdline").exists() or not Path(f"/proc/{guard}/cmdline").read_bytes())
    if not workers_of(str(tmp_path / "out")):
        pytest.skip("the guard was quicker than the second signal")
    lines = []
    with locked(tmp_path / "out", lines.append):
        assert workers_of(str(tmp_path / "out")) == []
        assert (tmp_path / "cleaned").exists()
    assert "processes that a killed run left are ended" in lines[-1]


def test_a_second_run_at_the_same_time_is_refused_by_the_firsts_number(start, tmp_path):
    process = start(TIDY)
    wait_for((tmp_path / "running").exists)
    with pytest.raises(InputError, match=f"process {process.pid} is running this experiment"), locked(
        tmp_path / "out", print
    ):
        pass


def test_two_experiments_do_not_know_of_each_other(start, tmp_path):
    start(TIDY)
    wait_for((tmp_path / "running").exists)
    with locked(tmp_path / "another", print):
        assert workers_of(str(tmp_path / "another")) == []
    assert workers_of(str(tmp_path / "out"))


def test_a_process_that_does_not_stop_is_killed(start, tmp_path):
    start("trap '' TERM; touch running; while :; do sleep 0.05; done")
    wait_for((tmp_path / "running").exists)
    end_all(str(tmp_path / "out"), grace=0.3)
    assert workers_of(str(tmp_path / "out")) == []
