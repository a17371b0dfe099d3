"""How much memory there is, to say of a file that it would take more."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from caffe_files.errors import InputError

# of a container or a batch job: version 2 of the kernel's groups, and version 1
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def memory_there() -> int:
    """Bytes that this process could have at most: the machine's, or less where a container or `ulimit -v` says so."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") + _of_meminfo("SwapTotal")]
    for limit in LIMITS:
        try:
            found.append(int(limit.read_text()))
        except (OSError, ValueError):  # "max" is no limit
            continue
    own, _ = resource.getrlimit(resource.RLIMIT_AS)
    if own != resource.RLIM_INFINITY:
        found.append(own)
    return min(found)


def require_memory(what: str, needed: int) -> None:
    """InputError, which begins with `what`, where there are not that many bytes of memory."""
    there = memory_there()
    if needed > there:
        raise InputError(
            f"{what}: would take {_gigabytes(needed)} of memory, and this machine has {_gigabytes(there)} for it; "
            "make it smaller, or use a machine with more"
        )


def limit_memory(most: int | None = None) -> None:
    """From here on this process gets no more than is free now, or `most` bytes: it ends by a refusal, and the system
    need not choose which process to end."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    free = min(memory_there(), _of_meminfo("MemAvailable", "SwapFree"))
    limit = used + (free if most is None else min(free, most))
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _of_meminfo(*names: str) -> int:
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return sum(1024 * int(words[1]) for words in lines if words[0].rstrip(":") in names)


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.1f} GB"
