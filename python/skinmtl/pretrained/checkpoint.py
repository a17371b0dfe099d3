"""A checkpoint of PyTorch as names and arrays: .safetensors by numpy, .pth by PyTorch without running what is in it."""

from __future__ import annotations

import argparse
import re
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from caffe_files.errors import InputError
from caffe_files.inputs import regular_file
from caffe_files.prototxt import read_caffemodel
from skinmtl.pretrained.checkpoint_trial import try_in_child
from skinmtl.pretrained.safetensors_file import LENGTH, read_safetensors

# where training scripts keep the weights; timm and torchvision's own script average them too, and then mean those
ENTRIES = ("state_dict_ema", "model_ema", "state_dict", "model")
# before, weights_only=True could be made to run code (CVE-2025-32434, to 2.5) or to write where it must not
# (CVE-2026-24747, to 2.9)
SAFE_TORCH = (2, 10)
DEEPEST = 3  # entries within entries; a pickle can hold itself
TENSOR_FILES = (b"PK", b"\x80")  # a zip archive; a pickle, as PyTorch saved before 1.6


class Checkpoint(NamedTuple):
    """The arrays by name, those of fractions as float32, and which entry of the file they were, if any."""

    tensors: dict[str, np.ndarray]
    entry: str


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads the weights of a file. InputError where it is no checkpoint, is cut short or holds code."""
    try:
        with open(str(regular_file(path)), "rb") as file:
            start = file.read(LENGTH + 1)
        if start[LENGTH:] == b"{":
            return _named(path, Checkpoint(read_safetensors(path), ""))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    if not start.startswith(TENSOR_FILES):
        if _is_caffemodel(path):
            raise InputError(
                f"{path}: is a caffemodel already, which needs no conversion; give it to train.py --weights, with a "
                "net that has its layers by name (make_prototxt.py --trunk-net; check_weights.py says what it fills)"
            )
        what = "is empty" if not start else "is no checkpoint"
        raise InputError(f"{path}: {what}; give a .safetensors or .pth file of PyTorch weights")
    _require_safe_torch(path)
    try_in_child(path)
    return _named(path, tensors_of(path))


def _is_caffemodel(path: Path) -> bool:
    try:
        return any(layer.blobs for layer in read_caffemodel(path).layer)
    except InputError:
        return False


def tensors_of(path: Path) -> Checkpoint:
    """The weights of a .pth, which is known to be read in good time."""
    return _unwrapped(path, _load(path))


def _require_safe_torch(path: Path) -> None:
    try:
        import torch  # only here: .safetensors need none
    except ImportError:
        raise InputError(
            f"{path}: needs PyTorch to be read, which this Python has not: make torch, then .venv/bin/python; or give "
            "the weights as .safetensors"
        ) from None
    version = tuple(int(number) for number in re.findall(r"\d+", torch.__version__)[:2])
    if version < SAFE_TORCH:
        raise InputError(
            f"{path}: PyTorch {torch.__version__} can be made to run code by such a file; install 2.10 or later, or "
            "give the weights as .safetensors"
        )


def _load(path: Path) -> Any:
    import torch

    try:
        # timm's and torchvision's scripts save their arguments too: a Namespace holds values and does nothing
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what PyTorch has to say of an odd file is said below
            return torch.load(str(path), map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # what PyTorch raises on a damaged file is no closed list
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"Python code ({code.group(1)})" if code else "a program" if "TorchScript" in str(error) else ""
        if what:
            raise InputError(
                f"{path}: holds {what}, which was not run; where you trust the file, save its model.state_dict() alone"
            ) from None
    raise InputError(f"{path}: no checkpoint that can be read, or one cut short; fetch it again")


def _unwrapped(path: Path, loaded: Any) -> Checkpoint:
    """The state dict itself, or within what a training script saved."""
    entry: list[str] = []
    while isinstance(loaded, dict) and len(entry) < DEEPEST:
        name = next((name for name in ENTRIES if isinstance(loaded.get(name), dict)), None)
        if name is None:
            break
        entry.append(name)
        loaded = loaded[name]
    tensors = loaded if isinstance(loaded, dict) else {}
    arrays = {str(name): _array(path, name, value) for name, value in tensors.items() if _is_tensor(value)}
    if not arrays:
        raise InputError(f"{path}: holds no weights by name, alone or in {', '.join(ENTRIES)}; save a state_dict()")
    return Checkpoint(arrays, ".".join(entry))


def _named(path: Path, checkpoint: Checkpoint) -> Checkpoint:
    """The same; InputError where a name could not be shown to anybody: it goes into messages and records."""
    for name in checkpoint.tensors:
        if not name.isprintable():
            raise InputError(f"{path}: {name!r} is no name of a tensor; give another checkpoint")
    return checkpoint


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "detach") and hasattr(value, "is_floating_point")


def _array(path: Path, name: str, tensor: Any) -> np.ndarray:
    try:
        return (tensor.detach().float() if tensor.is_floating_point() else tensor.detach()).numpy()
    except (RuntimeError, TypeError):  # a NotImplementedError is a RuntimeError too
        raise InputError(
            f"{path}: the tensor {name!r} is no plain array of numbers; save the weights as float32"
        ) from None
