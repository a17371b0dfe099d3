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
    def forward_to(self, blob: str, images: np.ndarray) -> np.ndarray:
        """A blob (N, C, h, w) float32 of images (N, 3, H, W) float32 of any size, BGR less the mean.

        Only the layers that lead to it are run, so that it may be what a net of one input size has before the layers
        that know its size. H and W are at least the net's own: what is too small for a kernel ends Caffe's process.
        """

    @abstractmethod
    def gradients(
        self, batch: Sequence[np.ndarray], blob: str, output: str, directions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """`blob` (N, C, h, w) of N crops, and the gradients (K, N, C, h, w) by it of K weighted sums of `output`.

        directions  (K, N, L), the weights of the sums: of one output of one crop, a 1 among zeros. `output` is (N, L)
        """

    @abstractmethod
    def parameters(self, layer: str) -> list[np.ndarray]:
        """A layer's blobs, as in the caffemodel."""
