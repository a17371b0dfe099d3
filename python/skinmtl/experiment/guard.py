"""Runs a command as the child of `skinmtl run`, and leaves none of its processes behind, however that ends.

usage: guard.py OUT COMMAND [ARGUMENT ...]    started by skinmtl.experiment.child alone

All that the command starts carries OUT in its environment. When standard input ends, since `skinmtl run` closed it or
was killed, they get SIGTERM, on which a training leaves a snapshot, and SIGKILL where that does not end them. Until
the last is gone this process holds the experiment's lock, which it has from `skinmtl run`.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

MARK = "SKINMTL_EXPERIMENT"
GRACE = 120  # seconds from SIGTERM to SIGKILL: the last iteration and a snapshot of a large net on a CPU


def main() -> int:
    """The command's status, as a shell has it: 128 and the signal's number where one has ended it."""
    out, command = sys.argv[1], sys.argv[2:]
    stops = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=dict(os.environ, **{MARK: out}))
    for number in stops:  # after the child, which must not have them ignored
        signal.signal(number, signal.SIG_IGN)
    while child.poll() is None:
        if select.select([sys.stdin], [], [], 0.1)[0]:
            end_all(out, child)
            return 128 + signal.SIGTERM
    end_all(out)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def end_all(out: str, child: subprocess.Popen[bytes] | None = None, grace: float = GRACE) -> None:
    """Ends every process that works for the experiment in OUT: SIGTERM, and after `grace` seconds SIGKILL."""
    deadline = time.monotonic() + grace
    told: set[int] = set()
    while True:
        if child is not None:
            child.poll()  # so that it is no zombie
        found = workers_of(out)
        if not found:
            return
        late = time.monotonic() > deadline
        for process in found:
            if late or process not in told:
                _send(process, signal.SIGKILL if late else signal.SIGTERM)
        told.update(found)
        time.sleep(0.05)


def workers_of(out: str) -> list[int]:
    """The processes that work for the experiment in OUT, by the mark in their environment."""
    mark = f"{MARK}={out}".encode("utf-8", "surrogateescape")
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                if state not in "ZX":
                    found.append(int(folder.name))
        except OSError:
            continue  # it has ended, or is another user's
    return found


def _send(process: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


if __name__ == "__main__":
    sys.exit(main())
