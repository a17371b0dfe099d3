"""What every engine's open net can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Mapping, Sequence

import numpy as np

Inputs = Mapping[str, "Sequence[np.ndarray] | np.ndarray"]


class OpenNet(ABC):
    """A deploy net with its weights, ready for forward passes in the phase TEST.

    Inputs come by name, N of each: `data` (N, 3, S, S) float32, BGR less the mean, and in a mask net, of squares,
    `window` (N, 4). N is whatever the batch has.
    """

    @abstractmethod
    def forward(self, inputs: Inputs, blobs: Sequence[str], any_size: bool = False) -> list[np.ndarray]:
        """One forward pass over the layers that lead to some blobs; returns these, (N, ...) float32 each.

        A mask net's detections are (N, D, ...), its masks (N D, ...). The next pass may overwrite what was returned.
        With `any_size` images are of any H x W, but at least the net's own: what is too small for a kernel ends Caffe's
        process. The blobs are then what a net has before the layers that know its size.
        """

    @abstractmethod
    def gradients(
        self, inputs: Inputs, blob: str, output: str, directions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """`blob` (N, C, h, w) of N crops, and the gradients (K, N, C, h, w) by it of K weighted sums of `output`.

        directions  (K, N, L), the weights of the sums: of one output of one crop, a 1 among zeros. `output` is (N, L)
        """

    @abstractmethod
    def parameters(self, layer: str) -> list[np.ndarray]:
        """A layer's blobs, as in the caffemodel."""
