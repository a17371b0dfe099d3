"""The ten crops of Caffe's test protocol."""

from __future__ import annotations

import numpy as np

CROPS = 10


def ten_crops(image: np.ndarray, crop: int, mean: np.ndarray) -> np.ndarray:
    """(10, 3, crop, crop) float32 of an (H, W, 3) BGR image, less `mean` (3,) in B, G, R.

    In the order of caffe.io.oversample: top left, top right, bottom left, bottom right, centre, then their mirrors.
    """
    height, width = image.shape[:2]
    bottom, right = height - crop, width - crop
    corners = ((0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2))
    planes = image.astype(np.float32).transpose(2, 0, 1) - mean.astype(np.float32).reshape(3, 1, 1)
    crops = np.stack([planes[:, top : top + crop, left : left + crop] for top, left in corners])
    return np.concatenate([crops, crops[:, :, :, ::-1]])
