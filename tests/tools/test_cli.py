"""What every tool promises from outside: exit status, one line on stderr, a clean stop, whole output or none."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import lmdb
import pytest

pytestmark = pytest.mark.once
TOOLS = Path(__file__).resolve().parents[2] / "tools"


def entries(folder):
    return sorted(entry.name for entry in folder.iterdir())


def session(leader):
    """The processes of a session that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, number = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(number) == leader and state != "Z":
            found.append(int(stat.parent.name))
    return found


def wait_for(what, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def options(make_dataset):
    data = make_dataset(6)
    return ["--manifest", data.manifest, "--images", data.images, "--short-side", 40, "--workers", 1]


@pytest.fixture
def long_run(make_dataset, tmp_path):
    """Starts make_lmdb.py on work for minutes, in a session of its own; returns it when records are being written."""
    data = make_dataset(6)
    started = []

    def start(workers):
        options = ["--manifest", data.manifest, "--images", data.images, "--jitter", 300, 480, "--copies", 5000]
        command = [sys.executable, TOOLS / "make_lmdb.py", *options, "--out", tmp_path / "out", "--workers", workers]
        process = subprocess.Popen(
            list(map(str, command)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's `&` has it ignored
        )
        started.append(process)
        wait_for(lambda: [path for path in tmp_path.glob(".out.*/*.unfinished") if path.stat().st_size > 100_000])
        return process

    yield start
    for process in started:
        for member in session(process.pid):
            os.kill(member, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize(
    "number, times, send, workers",
    [
        (signal.SIGINT, 1, os.killpg, 1),  # Ctrl-C reaches the whole group
        (signal.SIGINT, 3, os.killpg, 2),  # an impatient user must not disturb the cleaning
        (signal.SIGTERM, 1, os.kill, 2),
        (signal.SIGTERM, 1, os.killpg, 2),
    ],
    ids=["Ctrl-C", "Ctrl-C thrice with workers", "SIGTERM", "SIGTERM to the group"],
)
def test_a_stopped_run_leaves_nothing(long_run, tmp_path, number, times, send, workers):
    process = long_run(workers)
    for _ in range(times):
        send(process.pid, number)
        time.sleep(0.01)
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout, stderr) == (128 + number, "", f"make_lmdb.py: stopped by {number.name}\n")
    assert entries(tmp_path) == ["data"]
    wait_for(lambda: not session(process.pid))


def test_a_killed_run_leaves_nothing_that_could_be_taken_for_whole(long_run, tool, refused, options, tmp_path):
    process = long_run(2)
    assert len(session(process.pid)) >= 3
    process.kill()
    process.wait()
    wait_for(lambda: not session(process.pid))
    left, data = entries(tmp_path)
    assert data == "data"
    for folder in (tmp_path / left, tmp_path / "out"):
        refused(tool("check_lmdb.py", folder), "dataset.json: missing")
        for path in (folder, folder / "image_lmdb", folder / "image_lmdb.unfinished"):
            with pytest.raises(lmdb.Error):
                lmdb.open(str(path), readonly=True, create=False)
    assert tool("make_lmdb.py", *options, "--out", tmp_path / "out").returncode == 0
    assert entries(tmp_path) == ["data", "out"]


def test_a_killed_worker_is_said_in_one_line(long_run, tmp_path):
    process = long_run(2)
    workers = [n for n in session(process.pid) if b"spawn_main" in Path(f"/proc/{n}/cmdline").read_bytes()]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 1
    assert stderr == (
        "make_lmdb.py: a worker process was killed, most likely for want of memory; use fewer --workers\n"
    )
    assert entries(tmp_path) == ["data"]


def test_of_two_runs_at_once_one_wins(options, tmp_path):
    command = list(map(str, [sys.executable, TOOLS / "make_lmdb.py", *options, "--out", tmp_path / "out"]))
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, universal_newlines=True) for _ in range(2)]
    messages = [process.communicate(timeout=60)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1]
    (message,) = filter(None, messages)
    assert len(message.splitlines()) == 1
    assert f"{tmp_path / 'out'}: " in message
    assert entries(tmp_path) == ["data", "out"]


def test_a_folder_that_exists_is_refused(tool, refused, options, tmp_path):
    (tmp_path / "out").mkdir()
    finished = tool("make_lmdb.py", *options, "--out", tmp_path / "out")
    refused(finished, tmp_path / "out", "exists already", "name another folder")
    assert entries(tmp_path / "out") == []


@pytest.mark.parametrize(
    "mounted, words",
    [("size=20k", "the disk is full"), ("size=40k", "the disk is full"), ("ro", "cannot be written")],
    ids=["full while writing images", "full while writing labels", "read-only"],
)
def test_a_disk_that_takes_nothing(tool, refused, options, mount, mounted, words):
    at = mount(mounted)
    refused(tool("make_lmdb.py", *options, "--out", at / "out", "--workers", 1), at / "out", words)
    assert entries(at) == []


def test_bad_images_are_one_line_each(tool, make_dataset, tmp_path):
    data = make_dataset(5)
    files = [data.images / f"image {n}.jpg" for n in range(4)]
    files[0].write_bytes(files[0].read_bytes()[:-40])
    files[1].write_bytes(b"")
    files[2].write_text("not an image")
    command = ["make_lmdb.py", "--manifest", data.manifest, "--images", data.images, "--out", tmp_path / "out"]
    finished = tool(*command, "--workers", 1)
    assert finished.returncode == 1
    for line, file, words in zip(finished.stderr.splitlines(), files, ("truncated", "empty", "not an image")):
        assert f"{file}: " in line
        assert words in line
    assert len(finished.stderr.splitlines()) == 3
    files[3].unlink()
    assert "the file is missing; mend it or take the line out" in tool(*command).stderr
    assert entries(tmp_path) == ["data"]


def test_relative_paths_spaces_and_enlarged_images(tool, options, tmp_path):
    command = ["--manifest", "data/manifest.csv", "--images", "data/images", "--out", "deep er/out put"]
    finished = tool("make_lmdb.py", *command, "--short-side", 49, cwd=tmp_path)
    assert (finished.returncode, finished.stderr) == (0, ""), "quiet where stderr is no terminal"
    assert finished.stdout == (
        "deep er/out put: 6 records of 6 images, 2 lesions, 2 locations\n"
        "2 images were smaller and are enlarged; dataset.json lists them\n"
    )
    checked = tool("check_lmdb.py", tmp_path / "deep er" / "out put", "--crop", 49, cwd="/")
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_terminal_shows_the_progress(options, tmp_path):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [sys.executable, TOOLS / "make_lmdb.py", *options, "--out", tmp_path / "out", "--workers", 1]
    subprocess.run(list(map(str, command)), stderr=theirs, stdout=subprocess.PIPE, check=True)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal ends whose other side is closed
        while True:
            shown += os.read(ours, 4096)
    os.close(ours)
    assert b"images: 100%" in shown
    assert b"6/6" in shown


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--copies", 2], "--copies needs --jitter"),
        (["--jitter", 50, 40], "MIN is larger than MAX"),
        (["--fold", 0], "go together"),
        (["--workers", 0], "not a whole number from 1"),
        (["--seed", -1], "not a whole number from 0 to 4294967295"),
    ],
)
def test_wrong_usage_is_status_2(tool, options, tmp_path, arguments, words):
    finished = tool("make_lmdb.py", *options[:4], "--out", tmp_path / "out", *arguments)
    assert finished.returncode == 2
    assert words in finished.stderr.splitlines()[-1]
    assert "Traceback" not in finished.stderr


def test_a_reader_that_leaves_is_no_error(options, tmp_path):
    command = [sys.executable, TOOLS / "make_folds.py", *options[:2], "--n-folds", 3, "--out", tmp_path / "f.csv"]
    reader, writer = os.pipe()
    os.close(reader)
    finished = subprocess.run(list(map(str, command)), stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (finished.returncode, finished.stderr) == (0, b"")
    assert (tmp_path / "f.csv").exists()
