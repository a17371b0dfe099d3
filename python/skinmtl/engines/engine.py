"""Which engine runs a net, where and how precisely.

This module stands on top of the engines, which know nothing of it. It imports the one that is asked for when it is
asked for: each needs packages that are large, and that may be absent.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caffe_files.errors import InputError
from caffe_files.processor import bf16_warning

if TYPE_CHECKING:
    from skinmtl.engines.open_net import OpenNet
    from skinmtl.nets.net_probe import NetShapes

NAMES = ("caffe", "torch")  # those that train, too
FORWARD_NAMES = (*NAMES, "onnx")
PRECISIONS = ("fp32", "tf32", "bf16")
TITLES = {"caffe": "Caffe", "onnx": "onnxruntime"}  # of those that compute in fp32 alone
# engine -> what it imports, and what that is called
LIBRARIES = {
    "torch": {"torch": "PyTorch"},
    "onnx": {"onnxruntime": "onnxruntime", "onnx": "onnx", "torch": "PyTorch"},  # the last reads the net
}
REMEDIES = {"torch": "make torch", "onnx": "pip install onnxruntime onnx torch, or make torch"}


@dataclass(frozen=True)
class Engine:
    """`name` of the engine, the GPU to run on (None: the CPU), and the precision of the computation.

    fp32 is the same in all engines up to rounding. tf32 (of NVIDIA GPUs) and bf16 are of PyTorch alone: about three
    digits a number, and faster where GPU or processor have them in hardware. `allowed` are layers beyond the usual
    that a net may have (see nets.allowed_layers).
    """

    name: str = "caffe"
    gpu: int | None = None
    precision: str = "fp32"
    allowed: tuple[str, ...] = ()

    def open(self, deploy: Path, weights: Path) -> OpenNet:
        """The net with these weights. InputError where it cannot be built, or where there is no such GPU."""
        return self.library().open_net(deploy, weights, self.gpu, self.precision, self.allowed)

    def shapes(self, prototxt: Path) -> NetShapes:
        """The shapes of any net, without the data that it would read. InputError says why it cannot be built."""
        return self.library().shapes_of(prototxt, self.gpu, self.allowed)

    @property
    def version(self) -> str:
        """Of the library that runs the nets."""
        return self.library().version()

    def record(self) -> dict[str, Any]:
        """What of the engine decides outputs, for the file that they are written to."""
        library = "onnxruntime" if self.name == "onnx" else self.name
        return {"engine": f"{library} {self.version}", "precision": self.precision}

    @property
    def has_gradients(self) -> bool:
        """Whether its open nets give gradients."""
        return self.name != "onnx"

    def library(self) -> Any:
        """The module that has `open_net`, `shapes_of` and `version` for this engine."""
        if self.name == "caffe":
            from skinmtl.engines import caffe_engine

            return caffe_engine
        for library, title in LIBRARIES[self.name].items():
            self._require(library, title)
        if self.name == "onnx":
            from skinmtl.engines import onnx_engine

            return onnx_engine
        from skinmtl.engines import torch_engine

        return torch_engine

    def _require(self, library: str, title: str) -> None:
        """Imports it by itself, so that no fault of ours is taken for one of its own."""
        try:
            importlib.import_module(library)
        except ModuleNotFoundError as error:
            if error.name != library:
                raise
            raise InputError(
                f"--engine {self.name} needs {title}, which this Python has not: {REMEDIES[self.name]}, then run with "
                ".venv/bin/python"
            ) from None
        except (ImportError, OSError) as error:
            said = (str(error).splitlines() or [""])[0]
            raise InputError(f"--engine {self.name}: {title} cannot be loaded ({said}); install it anew") from None


def unusable(name: str, gpu: int | None, precision: str) -> str:
    """Why the three cannot go together, in words; nothing where they can."""
    if name in TITLES and precision != "fp32":
        said = f"--precision {precision}: {TITLES[name]} computes in fp32 alone"
        return f"{said}; {'add' if name == 'caffe' else 'use'} --engine torch, or leave --precision out"
    if precision == "tf32" and gpu is None:
        return "--precision tf32: is a way of NVIDIA GPUs; add --gpu N, or leave --precision out"
    return ""


def slow(gpu: int | None, precision: str) -> str:
    """What of a precision would make this machine slower, in words; nothing where nothing does."""
    warning = bf16_warning(precision, gpu is not None)
    return warning and f"--precision {precision}: {warning}"
