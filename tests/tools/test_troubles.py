"""What the machine refuses is one line with a status, whatever a tool was doing: no traceback, nothing half-written."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from caffe_files.system_errors import of_anything, of_output
from skinmtl.scores.scores_file import Scores, write_scores

TOOLS = ROOT / "tools"


@pytest.fixture
def data(make_dataset):
    return make_dataset(6)


@pytest.fixture
def under(data):
    """Runs a tool on the data in a shell, `before` its command and `after` it; returns the CompletedProcess."""

    def run(before, name, *arguments, after="", python=sys.executable):
        command = [python, str(TOOLS / name), "--manifest", str(data.manifest), *map(str, arguments)]
        line = f"{before} exec {' '.join(map(shlex.quote, command))} {after}"
        return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120)

    return run


def entries(folder):
    return sorted(entry.name for entry in folder.iterdir())


STORE = ("--short-side", 40, "--workers", 1)


@pytest.mark.parametrize(
    ("limit", "workers", "words"),
    [
        ("ulimit -f 40;", 1, "is larger than a file may be here; raise the limit (ulimit -f)"),
        ("ulimit -n 12;", 4, "too many files are open; raise the limit (ulimit -n)"),
        ("ulimit -v 1100000;", 1, "there is not enough memory"),  # LMDB's map alone takes 1048576
    ],
    ids=["size of files", "open files", "memory"],
)
def test_a_limit_is_named(under, data, tmp_path, limit, workers, words):
    out = tmp_path / "out"
    done = under(
        limit, "make_lmdb.py", "--images", data.images, "--short-side", 300, "--workers", workers, "--out", out
    )
    assert done.returncode == 1, done
    (line,) = done.stderr.splitlines()
    assert line.startswith("make_lmdb.py: ") and words in line
    assert entries(tmp_path) == ["data"]


@pytest.mark.once
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full"])
def test_a_standard_stream_that_is_closed_or_full(under, data, tmp_path, closed):
    """Only what cannot be said where it was to be said is a fault; no file gets what is said."""
    done = under("", "make_lmdb.py", "--images", data.images, *STORE, "--out", tmp_path / "out", after=closed)
    assert "Traceback" not in done.stderr
    assert done.returncode == (1 if closed == ">/dev/full" else 0), done
    assert (tmp_path / "out" / "dataset.json").exists()
    done = under("", "make_lmdb.py", "--images", data.images, "--out", tmp_path / "out", after=closed)
    assert done.returncode == 1, "refused, also where that cannot be said"


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become a user without a name")
def test_a_user_without_a_name_and_a_home(data):
    """As in a container that is run with --user."""
    program = "import os, sys; os.setgid(54321); os.setuid(54321); os.execv(sys.argv[1], sys.argv[1:])"
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "USER", "LOGNAME")}

    def as_nobody(*command):
        words = [sys.executable, "-c", program, *map(str, command)]
        return subprocess.run(words, capture_output=True, text=True, env=environment)

    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        manifest = Path(folder, "manifest.csv")
        manifest.write_bytes(data.manifest.read_bytes())
        if as_nobody(sys.executable, "-c", f"open({str(TOOLS / 'cli.py')!r})").returncode:
            pytest.skip("another user can read neither this Python nor the project")
        out = Path(folder, "out")
        done = as_nobody(sys.executable, TOOLS / "correlate.py", "--manifest", manifest, "--out", out)
        assert (done.returncode, (out / "heat_map.png").exists()) == (0, True), done.stderr


@pytest.mark.once
def test_ctrl_c_while_a_tool_is_starting_is_no_traceback(tmp_path):
    """skinmtl holds it back from before it starts the tool's Python until the tool has handlers."""
    command = [sys.executable, str(TOOLS / "commands.py"), "describe", "--manifest", "no.csv", "--out", "x"]
    process = subprocess.Popen(
        command,
        cwd=str(tmp_path),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    blocked = Path(f"/proc/{process.pid}/status")
    while not int(re.search(r"SigBlk:\s*(\w+)", blocked.read_text()).group(1), 16) & 1 << signal.SIGINT - 1:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert (process.communicate(timeout=60)[1], process.returncode) == ("", 128 + signal.SIGINT)


DROPPED = """
import cli, os, signal, sys, time

class Dropping:
    def __del__(self):  # as a module of C does: what is raised here is dropped
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0)

def main():
    try:
        Dropping()
        while True:
            time.sleep(0.01)
    finally:
        for _ in range(250):  # cleaning takes longer than the stop is waited for
            time.sleep(0.01)
        print("cleaned")

cli.run(main)
"""


@pytest.mark.once
def test_a_stop_that_is_dropped_comes_again_and_none_disturbs_the_cleaning():
    environment = dict(os.environ, PYTHONPATH=str(TOOLS))
    command = [sys.executable, "-c", DROPPED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "cleaned\n")
    assert done.stderr.splitlines()[-1] == "-c: stopped by SIGTERM"


def lmdb_error(words):
    lmdb = pytest.importorskip("lmdb")
    return lmdb.Error(words)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device"), "x: the disk is full"),
        (OSError(122, "Disk quota exceeded"), "x: the disk is full"),
        (OSError(27, "File too large"), "x: is larger than a file may be here"),
        (OSError(24, "Too many open files"), "too many files are open"),
        (OSError(5, "Input/output error"), "x: cannot be written (Input/output error)"),
        (MemoryError(), "there is not enough memory"),
        (RuntimeError("can't start new thread"), "no more processes or threads"),
        (ImportError("libx.so: failed to map segment from shared object"), "there is not enough memory"),
    ],
)
def test_what_is_behind_an_error(tmp_path, error, words):
    assert words in of_output(error, tmp_path / "x").replace(f"{tmp_path}/", "")
    assert of_anything(error) or isinstance(error, OSError)


def test_lmdbs_short_write_is_a_full_disk_or_a_limit(mount):
    at = mount("size=64k")
    (at / "much").write_bytes(b"x" * 60_000)
    for words in ("mdb_txn_commit: Input/output error", "x: No space left on device"):
        assert "the disk is full" in of_output(lmdb_error(words), at / "out")


def test_what_another_error_has_hidden_is_found(tmp_path):
    try:
        try:
            raise OSError(28, "No space left on device")
        finally:
            raise ValueError("seek of closed file")  # zipfile, when it is closed
    except ValueError as error:
        assert "the disk is full" in of_output(error, tmp_path / "x")


def test_a_full_disk_names_the_folder_that_is_made(tool, refused, data, mount):
    at = mount("size=16k")
    refused(
        tool("correlate.py", "--manifest", data.manifest, "--out", at / "out"), f"{at / 'out' / 'heat_map.png'}: the"
    )
    assert entries(at) == []


def test_a_zip_file_that_could_not_be_written_adds_nothing(tool, mount, tmp_path):
    at = mount("size=8k")
    for name in ("a.npz", "b.npz"):
        scores = np.random.RandomState(1).rand(4000, 3).astype(np.float32)
        labels, names = np.ones((4000, 3), np.uint8), [f"{n}.jpg" for n in range(4000)]
        write_scores(tmp_path / name, Scores(names, {}, scores, labels, ["a", "b", "c"]))
    done = tool("ensemble.py", tmp_path / "a.npz", tmp_path / "b.npz", "--out", at / "e.npz")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "e.npz: the disk is full" in done.stderr and entries(at) == []


@pytest.mark.once
def test_a_fault_of_the_program_is_no_fault_of_the_machine(tmp_path):
    for error in (KeyError("x"), ValueError("no"), OSError("no errno")):
        assert of_output(error, tmp_path) is None and of_anything(error) is None
