"""A stand-in for downloaded weights: a ResNet-50's state dict as .safetensors, with small random values."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from skinmtl.pretrained.resnet50 import units


def write_checkpoint(path: Path) -> None:
    """Written without PyTorch: the length of the header, the header, and the values one after the other."""
    shapes = {"fc.weight": (1000, 2048), "fc.bias": (1000,)}
    for unit in units():
        shapes[f"{unit.torch_convolution}.weight"] = unit.shape
        for name in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{unit.torch_normal}.{name}"] = unit.shape[:1]
    header, at = {}, 0
    for name, shape in shapes.items():
        end = at + 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, end]}
        at = end
    raw = json.dumps(header).encode("utf-8")
    values = np.random.RandomState(1).uniform(0.001, 0.02, at // 4).astype("<f4")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + values.tobytes())
