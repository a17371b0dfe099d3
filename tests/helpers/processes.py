"""Processes as the kernel lists them: the workers of a training, the memory that a program takes."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path


def workers_of(pid):
    """The processes that read data ahead for a process, by their ids."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words, line = (folder / "stat").read_text(), (folder / "cmdline").read_bytes()
        except OSError:
            continue  # gone
        if int(words.rpartition(")")[2].split()[1]) == pid and b"caffe_files.batch_worker" in line:
            found.append(int(folder.name))
    return found


def still_there(processes, seconds=5):
    """Those of some processes that do not end within some seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and any(Path(f"/proc/{pid}").exists() for pid in processes):
        time.sleep(0.05)
    return [pid for pid in processes if Path(f"/proc/{pid}").exists()]


def run(*command, **options):
    """A program with text output, ended after two minutes."""
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


# For a program of its own: the most memory that it has had, in MB. ru_maxrss would begin at its parent's
PEAK_MEMORY = """
def peak_memory():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) // 1024
"""
