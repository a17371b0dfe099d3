"""Who works on an experiment's folder: one `skinmtl run` at a time, and Snakemake as its guarded child."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator, Sequence

from caffe_files.errors import InputError
from caffe_files.inputs import own_file
from caffe_files.outputs import disk_errors
from skinmtl.experiment.guard import GRACE, MARK, end_all, workers_of

LOCK = ".lock"
DYING = 1.0  # seconds that a process may take to end after it was killed


@contextmanager
def locked(out: Path, tell: Callable[[str], None]) -> Iterator[int]:
    """Makes OUT and holds its lock, whose descriptor is yielded. InputError where another run is alive.

    What a killed run has left is ended first.
    """
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        lock = open(str(own_file(out / LOCK)), "a+")  # noqa: SIM115  (held until the run ends)
    with lock:
        if not _take(lock.fileno()):
            lock.seek(0)
            holder = lock.read().strip()
            deadline = time.monotonic() + DYING
            while _is_alive(holder) and time.monotonic() < deadline:
                time.sleep(0.05)
            if _is_alive(holder):
                raise InputError(
                    f"{out}: process {holder.split()[0]} is running this experiment; wait, or stop that one"
                )
            tell("What a killed run left is coming to its end ...")
            deadline = time.monotonic() + GRACE + 60
            while not _take(lock.fileno()):
                if time.monotonic() > deadline:
                    raise InputError(f"{out}: a process still has its lock; end it (fuser {out / LOCK} names it)")
                time.sleep(0.1)
        left = workers_of(str(out))
        if left:
            tell(f"{len(left)} processes that a killed run left are ended ...")
            end_all(str(out))
        lock.seek(0)
        lock.truncate()
        lock.write(_identity(os.getpid()))
        lock.flush()
        yield lock.fileno()


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def _identity(process: int) -> str:
    """A process's number and when it was started, since numbers are given again; nothing where it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else f"{process} {fields[19]}"


def _is_alive(identity: str) -> bool:
    return bool(identity) and _identity(int(identity.split()[0])) == identity


class Child:
    """A command that works on OUT below a guard; its output goes to a file."""

    def __init__(self, command: Sequence[str], out: Path, log: Path, lock: int, variables: dict[str, str]) -> None:
        self._out = str(out)
        guard = [sys.executable, str(Path(__file__).with_name("guard.py")), self._out]
        environment = {name: value for name, value in os.environ.items() if name != MARK}
        environment.update(variables)
        with open(str(log), "wb") as file:
            self._process = subprocess.Popen(
                [*guard, *command],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
                pass_fds=[lock],
                start_new_session=True,  # Ctrl-C reaches skinmtl run, which ends the child in order
            )

    def status(self) -> int | None:
        """The command's exit status; None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Ends it and all that it has started; comes back when they are gone."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        end_all(self._out)  # nothing, unless the guard itself was killed
