"""The crops of Caffe's test protocol: ten an image, or the centre alone."""

from __future__ import annotations

import numpy as np

CROPS = 10
CENTRE = 4  # its place among them


def ten_crops(image: np.ndarray, crop: int, mean: np.ndarray) -> np.ndarray:
    """(10, 3, crop, crop) float32 of an (H, W, 3) BGR image, less `mean` (3,) in B, G, R.

    In the order of caffe.io.oversample: top left, top right, bottom left, bottom right, centre, then their mirrors.
    """
    planes = _planes(image, mean)
    crops = np.stack([planes[:, top : top + crop, left : left + crop] for top, left in _corners(image, crop)])
    return np.concatenate([crops, crops[:, :, :, ::-1]])


def centre_crop(image: np.ndarray, crop: int, mean: np.ndarray) -> np.ndarray:
    """(1, 3, crop, crop) float32: the fifth of the ten crops."""
    top, left = _corners(image, crop)[CENTRE]
    return _planes(image[top : top + crop, left : left + crop], mean)[None]


CUTS = {1: centre_crop, CROPS: ten_crops}  # by how many crops they make


def _corners(image: np.ndarray, crop: int) -> list[tuple[int, int]]:
    bottom, right = image.shape[0] - crop, image.shape[1] - crop
    return [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]


def _planes(image: np.ndarray, mean: np.ndarray) -> np.ndarray:
    return image.astype(np.float32).transpose(2, 0, 1) - mean.astype(np.float32).reshape(3, 1, 1)
