"""Layers of our own, for Caffe's type "Python": `python_param { module: "skinmtl.layers" layer: "..." }`."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """The layers by name, imported when Caffe asks for one: only there is pycaffe needed."""
    if name == "JitteredImageData":
        from skinmtl.layers.caffe_layer import JitteredImageData

        return JitteredImageData
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
