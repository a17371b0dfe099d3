"""Blobs as pycaffe shows them: numbers that numpy and the net read and write in the same memory."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from caffe_torch.layers.pycaffe import Blob as Sides


class Memory:
    """float32 numbers on the CPU, and a copy on a GPU where a net runs there: the newer of the two is handed out, and
    counts as written by whoever asked for it (Caffe's SyncedMemory)."""

    def __init__(self, host: np.ndarray) -> None:
        self.host, self._copy = host, None

    def array(self) -> np.ndarray:
        """All numbers, flat, for numpy to read and write."""
        if self._copy is not None:
            self.host[...] = self._copy.cpu().numpy()
            self._copy = None
        return self.host

    def tensor(self, device: torch.device) -> Tensor:
        """All numbers, flat, for PyTorch to read and write: the very memory of `array` on a CPU."""
        if device.type == "cpu":
            return torch.from_numpy(self.array())
        if self._copy is None or self._copy.device != device:
            self._copy = torch.from_numpy(self.array()).to(device)
        return self._copy


class Blob(Sides):
    """`data` and `diff` are arrays of `shape` over the net's own memory."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.memory = {}
        super().__init__(shape)

    def reshape(self, *shape: int) -> None:
        """Another shape; numbers stay where their memory is large enough, and are zeros elsewhere (Blob::Reshape)."""
        self.shape = tuple(int(side) for side in shape)
        for which in ("data", "diff"):
            if which not in self.memory or self.memory[which].host.size < self.count:
                self.memory[which] = Memory(np.zeros(self.count, np.float32))

    @property
    def data(self) -> np.ndarray:
        """The numbers."""
        return self.memory["data"].array()[: self.count].reshape(self.shape)

    @property
    def diff(self) -> np.ndarray:
        """The gradient of the loss by the numbers, once `backward` has come here."""
        return self.memory["diff"].array()[: self.count].reshape(self.shape)

    @property
    def count(self) -> int:
        """How many numbers."""
        return math.prod(self.shape)

    def tensor(self, which: str, device: torch.device) -> Tensor:
        """`data` or `diff` for PyTorch, on a device."""
        return self.memory[which].tensor(device)[: self.count].reshape(self.shape)
