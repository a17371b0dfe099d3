"""Where a benchmark ran, in a line."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

import numpy


def described() -> str:
    """Python, numpy, the processor, its cores for this process, and how many threads OpenBLAS was told to take."""
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    threads = os.environ.get("OPENBLAS_NUM_THREADS", "unset")
    return (
        f"Python {platform.python_version()}, numpy {numpy.__version__}, {names[0] if names else platform.machine()}, "
        f"{len(os.sched_getaffinity(0))} cores, OPENBLAS_NUM_THREADS {threads}"
    )
