"""Grad-CAM (Selvaraju et al. 2017): maps of any net that has a feature map somewhere below its heads.

The weight of a channel is the gradient of the label's logit by that channel, and the map is the positive part of the
channels' weighted sum. The paper takes the mean of the gradient over the cells; here it is their sum, a factor that is
the same everywhere: so that, of a net whose heads stand on the average of these channels, the map is exactly the
positive part of the class activation map, in units of the logit.
"""

from __future__ import annotations

from typing import Sequence

import numpy as np

from skinmtl.explanation.attention_passes import Lens, over_crops
from skinmtl.explanation.photograph import Photograph


def gradient_maps(lens: Lens, photograph: Photograph, chosen: dict[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """head -> (K, H, W) float64: the maps of the `chosen` labels over `photograph.pixels`, the mean over all sides."""

    def maps_of(crops: list[np.ndarray]) -> dict[str, np.ndarray]:
        return {head: crop_maps(lens, crops, head, labels) for head, labels in chosen.items()}

    return over_crops(lens, photograph, chosen, maps_of)


def crop_maps(lens: Lens, crops: Sequence[np.ndarray], head: str, labels: Sequence[int]) -> np.ndarray:
    """(N, K, h, w): the maps of K labels of N crops (3, S, S), none below 0."""
    width = lens.snapshot.shapes.tops[lens.logits[head]][1]
    directions = np.zeros((len(labels), len(crops), width), np.float32)
    directions[np.arange(len(labels)), :, list(labels)] = 1
    features, gradients = lens.net.gradients({"data": crops}, lens.maps, lens.logits[head], directions)
    weights = gradients.sum(axis=(3, 4))
    return np.maximum(np.einsum("nchw,knc->nkhw", features, weights, optimize=True), 0)
