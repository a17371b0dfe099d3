"""Runs a command to its end and measures it: seconds of the clock and of cores, and the memory of all its processes."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Iterator, NamedTuple

from caffe_files.errors import InputError


class Run(NamedTuple):
    """A finished command: seconds of the clock, of cores, and the most memory in MB."""

    wall: float
    cores: float
    memory: float


def run_command(command: list[str]) -> Run:
    """Runs it to its end, and watches its memory."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=dict(os.environ, GLOG_minloglevel="2")
    )
    largest = [0]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            largest[0] = max(largest[0], sum(map(resident, family(process.pid))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        errors = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
    finally:
        ended.set()
        watcher.join()
    if status:
        raise InputError(f"{' '.join(command[:2])}: failed: {errors.decode(errors='replace').strip()[-300:]}")
    return Run(time.perf_counter() - started, used.ru_utime + used.ru_stime, largest[0] / 1e6)


def family(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = [
            int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()
        ]
    except OSError:  # it has just ended
        return
    for child in children:
        yield from family(child)


def resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
