"""Reads a .pth in a process of its own first, with limits of time and memory.

A small file can keep PyTorch busy for ever (its words for what is wrong in the file have the file's own objects in
them), or ask for any memory (a tensor of stride 0).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Callable

import skinmtl
from caffe_files.errors import InputError
from skinmtl.common.memory import limit_memory

SECONDS = 60  # and as many more as a slow disk needs for the file
SLOW_DISK = 10e6  # bytes a second
TIMES = 8  # the file's size: float16 that become float32, with copies
FOR_PYTORCH = 2 << 30  # bytes
FAULT = 3  # the exit status of a process that prints what is wrong with the file


def try_in_child(path: Path) -> None:
    """InputError where the checkpoint cannot be read, or not within the limits."""
    library = str(Path(skinmtl.__file__).resolve().parents[1])
    program = (
        f"import sys; sys.path[0] = {library!r}; from skinmtl.pretrained import checkpoint, checkpoint_trial; "
        "checkpoint_trial.main(checkpoint.tensors_of)"
    )
    seconds = SECONDS + path.stat().st_size / SLOW_DISK
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, str(path)], capture_output=True, encoding="utf-8", timeout=seconds
        )
    except subprocess.TimeoutExpired:
        raise InputError(
            f"{path}: PyTorch has not read it in {seconds:.0f} seconds, as no sound checkpoint needs; fetch it again"
        ) from None
    if done.returncode == FAULT:
        raise InputError(done.stdout.strip())
    if done.returncode:
        raise InputError(f"{path}: cannot be read in the memory that a checkpoint of its size needs; fetch it again")


def main(read: Callable[[Path], object]) -> None:
    import torch  # noqa: F401  (before the limit: it maps much more than it takes)

    path = Path(sys.argv[1])
    limit_memory(FOR_PYTORCH + TIMES * path.stat().st_size)
    try:
        read(path)
    except InputError as error:
        print(error)
        sys.exit(FAULT)
