"""Where nets run: pycaffe's set_mode_cpu, set_mode_gpu and set_device, which hold for all nets of the process."""

from __future__ import annotations

import torch

from caffe_torch.devices import usable

_CHOSEN = {"gpu": False, "number": 0}  # Caffe keeps it for the process too, and its interface asks for it


def set_mode_cpu() -> None:
    """Nets run on the CPU, as they do at first."""
    _CHOSEN["gpu"] = False


def set_mode_gpu() -> None:
    """Nets run on the GPU of `set_device`. NetError where PyTorch cannot use it."""
    usable([_CHOSEN["number"]], "set_mode_gpu", "call set_mode_cpu")
    _CHOSEN["gpu"] = True


def set_device(number: int) -> None:
    """The GPU of `set_mode_gpu`. NetError where PyTorch cannot use it."""
    usable([number], f"set_device({number})", "leave it out and call set_mode_cpu")
    _CHOSEN["number"] = number


def set_random_seed(seed: int) -> None:
    """Of fillers, Dropout and DummyData, from here on."""
    torch.manual_seed(seed)


def device() -> torch.device:
    """Where nets run now."""
    return torch.device("cuda", _CHOSEN["number"]) if _CHOSEN["gpu"] else torch.device("cpu")
