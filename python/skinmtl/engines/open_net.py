"""What every engine's open net can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Sequence

import numpy as np


class OpenNet(ABC):
    """A deploy net with its weights, ready for forward passes in the phase TEST."""

    @abstractmethod
    def forward(self, batch: Sequence[np.ndarray], blobs: Sequence[str]) -> list[np.ndarray]:
        """One forward pass of N crops (3, S, S) float32, BGR less the mean; returns the blobs, (N, ...) float32 each.

        N is whatever the batch has. The next pass may overwrite what was returned.
        """

    @abstractmethod
    def parameters(self, layer: str) -> list[np.ndarray]:
        """A layer's blobs, as in the caffemodel."""
