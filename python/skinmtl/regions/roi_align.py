"""RoIAlign over the levels of a feature pyramid, as sparse matrices (He et al. 2017, section 3; Lin et al. 2017).

Of one level it is what torchvision.ops.roi_align(aligned=True) computes: a ROI's grid has pooled x pooled cells, each
the mean of samples x samples points that are read bilinearly. So it is linear in the features: a matrix times the
features, and its gradient is the transposed matrix times the gradient above. No gradient goes to the ROIs.
"""

from __future__ import annotations

from typing import NamedTuple, Sequence

import numpy as np
from scipy import sparse

from caffe_files.errors import InputError


class Part(NamedTuple):
    """The ROIs of one image on one level: rows of the output, and the matrix (ROIs * pooled^2, H * W) float32."""

    level: int
    image: int
    rows: np.ndarray
    matrix: sparse.csr_matrix


class RoIAlign:
    """Reads ROIs (R, 5), the image's number and a box in pixels of the input, from features of known sizes.

    strides    of the levels, finest first; sizes  (H, W) of the levels; images  N
    pooled     side of the grid; samples  points a cell along each axis
    canonical  side of a ROI that belongs to the level of stride 16; levels  "round" or "floor": see `level_of`
    """

    def __init__(
        self,
        rois: np.ndarray,
        sizes: Sequence[tuple[int, int]],
        images: int,
        strides: Sequence[int],
        pooled: int,
        samples: int,
        canonical: float,
        levels: str,
    ) -> None:
        if not np.isfinite(rois).all():
            raise InputError("rois hold NaN or infinite numbers: the training diverged; train with a lower base_lr")
        numbers = rois[:, 0].astype(int)
        if len(rois) and (numbers.min() < 0 or numbers.max() >= images):
            raise InputError(f"rois name the images {numbers.min()} to {numbers.max()}, but there are {images}")
        self._shape = (len(rois), pooled)
        self._parts = []
        of_level = level_of(rois[:, 1:], strides, canonical, levels)
        for level, (stride, size) in enumerate(zip(strides, sizes)):
            for image in range(images):
                rows = np.flatnonzero((of_level == level) & (numbers == image))
                if len(rows):
                    self._parts.append(Part(level, image, rows, _matrix(rois[rows, 1:], size, stride, pooled, samples)))

    def pooled(self, features: Sequence[np.ndarray]) -> np.ndarray:
        """(R, C, pooled, pooled) float32, in the order of the ROIs, of the levels' features (N, C, H, W) float32."""
        count, side = self._shape
        channels = features[0].shape[1]
        made = np.empty((count, channels, side, side), np.float32)
        for part in self._parts:
            flat = np.ascontiguousarray(features[part.level][part.image].reshape(channels, -1).T)
            cells = part.matrix.dot(flat).reshape(len(part.rows), side, side, channels)
            made[part.rows] = cells.transpose(0, 3, 1, 2)
        return made

    def gradients(self, above: np.ndarray, into: Sequence[np.ndarray | None]) -> None:
        """Writes the gradients (N, C, H, W) of the levels' features, given that of `pooled`; a level of None is left
        out.
        """
        for gradient in into:
            if gradient is not None:
                gradient[...] = 0
        for part in self._parts:
            gradient = into[part.level]
            if gradient is not None:
                cells = np.ascontiguousarray(above[part.rows].transpose(0, 2, 3, 1)).reshape(-1, above.shape[1])
                gradient[part.image] = part.matrix.T.dot(cells).T.reshape(gradient[part.image].shape)


def level_of(boxes: np.ndarray, strides: Sequence[int], canonical: float, levels: str) -> np.ndarray:
    """Which level (R) each box (R, 4) is read from: where the stride is 16, a box of the side `canonical` belongs.

    One twice as large belongs to the next (Lin et al. 2017, equation 1, with floor; matterport rounds, half to even).
    Beyond the levels there are, the nearest.
    """
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    sides = np.sqrt(np.maximum(widths.astype(np.float64) * heights, np.finfo(np.float64).tiny))
    steps = np.log2(sides / canonical) + np.log2(16 / strides[0])
    whole = np.rint(steps) if levels == "round" else np.floor(steps)
    return np.clip(whole, 0, len(strides) - 1).astype(int)


def _matrix(boxes: np.ndarray, size: tuple[int, int], stride: int, pooled: int, samples: int) -> sparse.csr_matrix:
    """The bilinear weights (R * pooled^2, H * W) of one level: a row a cell, a column a pixel."""
    height, width = size
    rows, down = _line(boxes[:, 1], boxes[:, 3], height, stride, pooled, samples)  # each (R, pooled, 2 samples)
    columns, across = _line(boxes[:, 0], boxes[:, 2], width, stride, pooled, samples)
    pixels = rows[:, :, None, :, None] * np.int32(width) + columns[:, None, :, None, :]
    weights = down[:, :, None, :, None] * across[:, None, :, None, :]
    a_cell = 4 * samples * samples
    starts = np.arange(0, weights.size + 1, a_cell, dtype=np.int32)
    shape = (len(boxes) * pooled * pooled, height * width)
    return sparse.csr_matrix((weights.ravel(), pixels.ravel(), starts), shape=shape)


def _line(
    low: np.ndarray, high: np.ndarray, length: int, stride: int, pooled: int, samples: int
) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of a line that a cell reads along one axis, int32, and their weights, float32: (R, pooled, 2 samples).

    Points beyond the middle of the outermost pixels read these; points a whole pixel further out read 0 (torchvision).
    """
    low, high = low.astype(np.float64) / stride - 0.5, high.astype(np.float64) / stride - 0.5
    steps = (np.arange(pooled * samples) + 0.5) / (pooled * samples)
    points = low[:, None] + (high - low)[:, None] * steps
    inside = (points >= -1) & (points <= length)
    points = np.clip(points, 0, length - 1)
    first = points.astype(np.int32)
    share = points - first
    pixels = np.stack([first, np.minimum(first + 1, length - 1)], axis=-1)
    weights = np.stack([(1 - share) * inside, share * inside], axis=-1) / samples
    shape = (len(low), pooled, 2 * samples)
    return pixels.reshape(shape).astype(np.int32), weights.reshape(shape).astype(np.float32)
