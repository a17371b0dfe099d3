"""Whether other programs keep the cores busy: threads that compute one pass together wait for the slowest."""

from __future__ import annotations

import os

BUSY = 0.75  # of the cores, by the load of the last minute; our choice
VARIABLE = "OMP_NUM_THREADS"  # of OpenMP, by which PyTorch and OpenBLAS share a multiplication out


def notes_on_busy_cores(load: float | None = None, cores: int | None = None, threads: str | None = None) -> list[str]:
    """What is to be said before hours of computing on the CPU: a line, or nothing where cores are free or one thread
    computes. By default the machine's own load average, its cores, and OMP_NUM_THREADS."""
    try:
        load = os.getloadavg()[0] if load is None else load
    except OSError:
        return []
    cores = cores or os.cpu_count() or 1
    threads = os.environ.get(VARIABLE, "") if threads is None else threads
    if cores == 1 or threads == "1" or load < BUSY * cores:
        return []
    return [
        f"note: {load:.1f} of {cores} cores were busy in the last minute: threads that wait for each other make a "
        f"training several times slower; {VARIABLE}=1, or as many as are free, may be faster"
    ]
