"""Class activation maps (Zhou et al. 2016), merged over the crops of an image."""

from __future__ import annotations

from typing import Sequence

import numpy as np

from skinmtl.explanation.geometry import Cells, Place


def cut(image: np.ndarray, place: Place, side: int, mean: np.ndarray) -> np.ndarray:
    """(3, side, side) float32: a crop of an (H, W, 3) BGR image, less `mean` (3,)."""
    window = image[place.top : place.top + side, place.left : place.left + side]
    crop = (window.astype(np.float32) - mean.astype(np.float32)).transpose(2, 0, 1)
    return crop[:, :, ::-1] if place.mirrored else crop


def class_maps(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(N, L, h, w) float32: what each cell of `features` (N, C, h, w) says for each label of `weights` (L, C).

    The mean over a map's cells, plus the label's bias, is the label's logit, where the net has a global average
    pooling and one fully connected layer after the features. The bias is left out here: it lies nowhere in the image.
    """
    return np.einsum("nchw,lc->nlhw", features, weights, optimize=True).astype(np.float32, copy=False)


def merge(maps: np.ndarray, crops: Sequence[Place], shape: tuple[int, int], side: int, cells: Cells) -> np.ndarray:
    """(K, H, W) float32: the maps (N, K, h, w) of N crops laid over the image, each pixel the mean of what sees it.

    Each crop's maps are interpolated between the centres of the cells' receptive fields, and a mirrored crop's turned
    back. The sum is divided by how many crops show the pixel: the middle, which all show, would win otherwise.
    """
    rows, columns = (cells.weights(count, side) for count in maps.shape[2:])
    total = np.zeros((maps.shape[1], *shape))
    seen = np.zeros(shape)
    for one, crop in zip(maps, crops):
        laid = rows @ one @ columns.T
        window = (slice(crop.top, crop.top + side), slice(crop.left, crop.left + side))
        total[(slice(None), *window)] += laid[:, :, ::-1] if crop.mirrored else laid
        seen[window] += 1
    return (total / seen).astype(np.float32)
