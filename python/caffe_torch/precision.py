"""With how many bits numbers are multiplied: fp32, tf32 (NVIDIA GPUs from Ampere on) or bf16. Weights stay float32."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import Iterator

import torch


@contextmanager
def numerics(precision: str) -> Iterator[None]:
    """PyTorch's settings for a precision, for the block: where not told else, its convolutions on a GPU are in TF32."""
    settings = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [each.allow_tf32 for each in settings]
    try:
        for each in settings:
            each.allow_tf32 = precision == "tf32"
        yield
    finally:
        for each, allowed in zip(settings, before):
            each.allow_tf32 = allowed


@contextmanager
def casting(precision: str, device: torch.device) -> Iterator[None]:
    """`numerics`, and for bf16 PyTorch's automatic casts: for a forward pass of training or testing."""
    low = precision == "bf16"
    with numerics(precision), torch.autocast(device.type, torch.bfloat16) if low else nullcontext():
        yield
