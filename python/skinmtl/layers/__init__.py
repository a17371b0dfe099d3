"""Layers of our own, for Caffe's type "Python": `python_param { module: "skinmtl.layers" layer: "..." }`.

Each is a class for pycaffe, and has a counterpart for caffe_torch, which looks it up here.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

PYCAFFE_LAYERS = {"JitteredImageData": "skinmtl.layers.caffe_layer"}
CAFFE_TORCH_LAYERS = {"JitteredImageData": "skinmtl.layers.torch_layer:JitteredImageData"}


def __getattr__(name: str) -> Any:
    """The layers by name, imported when Caffe asks for one: only there is pycaffe needed."""
    if name not in PYCAFFE_LAYERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(PYCAFFE_LAYERS[name]), name)
