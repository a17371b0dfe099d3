"""The GPUs that a net is to run on: whether PyTorch can use them, and its names of them."""

from __future__ import annotations

import os
from typing import Sequence

import torch

from caffe_torch.errors import NetError


def devices_of(gpu: str) -> list[str]:
    """PyTorch's names of the devices of -gpu."""
    if gpu == "cpu":
        return ["cpu"]
    numbers = list(map(str, range(torch.cuda.device_count()))) if gpu == "all" else gpu.split(",")
    for each in numbers:
        if not each.isdecimal() or len(set(numbers)) < len(numbers):
            raise NetError(f"-gpu {gpu}: give numbers joined by commas, each once; or all, or cpu")
    return usable([int(each) for each in numbers], f"-gpu {gpu}", "give -gpu cpu")


def device_of_rank(devices: list[str], gpu: str) -> str:
    """That of a process which torchrun, or `launch`, has started beside others."""
    rank, count = int(os.environ["LOCAL_RANK"]), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if devices == ["cpu"]:
        return "cpu"
    if count > len(devices):
        raise NetError(f"-gpu {gpu}: {count} processes on this machine; start as many as there are GPUs, with -gpu all")
    return devices[rank]


def usable(gpus: Sequence[int], asked: str, without: str) -> list[str]:
    """PyTorch's names of GPUs. NetError where it cannot use them: with what was `asked`, and how to do
    `without`."""
    there = torch.cuda.device_count()
    if not there:
        why = "has no GPU that PyTorch can use" if torch.backends.cuda.is_built() else "has a PyTorch without CUDA"
        raise NetError(f"{asked}: this machine {why}; {without}")
    if max(gpus) >= there:
        raise NetError(f"{asked}: PyTorch can use {there} GPUs here, numbered from 0; give smaller numbers")
    return [f"cuda:{each}" for each in gpus]
