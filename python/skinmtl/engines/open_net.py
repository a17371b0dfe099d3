"""What every engine's open net can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Mapping, Sequence

import numpy as np


class OpenNet(ABC):
    """A deploy net with its weights, ready for forward passes in the phase TEST."""

    def forward(self, batch: Sequence[np.ndarray], blobs: Sequence[str]) -> list[np.ndarray]:
        """One forward pass of N crops (3, S, S) float32, BGR less the mean; returns the blobs, (N, ...) float32 each.

        N is whatever the batch has. The next pass may overwrite what was returned.
        """
        return self.forward_of({"data": batch}, blobs)

    @abstractmethod
    def forward_of(
        self, inputs: Mapping[str, Sequence[np.ndarray] | np.ndarray], blobs: Sequence[str]
    ) -> list[np.ndarray]:
        """The same of several inputs by name, N of each: a mask net has `data`, squares, and `window` (N, 4).

        Blobs come in the shapes that the net gives them for N, float32; a mask net's detections are (N, D, ...), its
        masks (N D, ...).
        """

    @abstractmethod
    def parameters(self, layer: str) -> list[np.ndarray]:
        """A layer's blobs, as in the caffemodel."""
