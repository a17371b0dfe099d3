"""Starts one process a device on this machine, for -gpu 0,1 and -gpu all; torchrun does the same for several machines.

Unlike torchrun it passes every signal on as it is, waits as long as a snapshot takes, and adds no lines of its own to
what a process says of a fault.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from typing import Sequence

PARENT = "CAFFE_TORCH_PARENT"  # the process that started this one, in the environment
GRACE = 10.0  # seconds for the others after one has failed: our choice; they wait for it in vain
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def launch(arguments: Sequence[str], count: int) -> int:
    """Runs `caffe-torch ARGUMENTS` in `count` processes; returns the first status that is not 0."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    common[PARENT] = os.getpid()
    processes: list[subprocess.Popen] = []
    for number in PASSED_ON:
        signal.signal(number, lambda number, _: _send(processes, number))
    try:
        for rank in range(count):
            environment = {name: str(value) for name, value in {**common, "RANK": rank, "LOCAL_RANK": rank}.items()}
            command = [sys.executable, "-m", "caffe_torch.command", *arguments]
            processes.append(subprocess.Popen(command, env={**os.environ, **environment}, start_new_session=True))
        return _ended(processes)
    finally:
        _send(processes, signal.SIGKILL)
        for process in processes:
            process.wait()


def parent_is_gone() -> bool:
    """Whether this process was started by `launch`, which has gone."""
    parent = os.environ.get(PARENT)
    return parent is not None and os.getppid() != int(parent)


def _ended(processes: list[subprocess.Popen]) -> int:
    status, until = 0, float("inf")
    while any(process.poll() is None for process in processes) and time.monotonic() < until:
        failed = [process.returncode for process in processes if process.returncode]
        if failed and not status:
            status, until = failed[0], time.monotonic() + GRACE
        time.sleep(0.05)
    status = status or next((process.returncode for process in processes if process.returncode), 0)
    return status if status >= 0 else 128 - status


def _send(processes: list[subprocess.Popen], number: int) -> None:
    for process in processes:
        if process.poll() is None:
            process.send_signal(number)
