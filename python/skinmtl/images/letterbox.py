"""The square that a net for boxes and masks sees: an image resized with its aspect kept, zeros around it.

The rule is matterport/Mask_RCNN's "square" (utils.resize_image): for 1024 pixels the shorter side becomes at least 800
and the longer one at most 1024; here for any side S, at the same ratio. The image lies in the middle; an odd pixel is
added at the bottom or at the right. Boxes are (x1, y1, x2, y2) in pixels, x2 and y2 exclusive.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

SHORTER, LONGER = 800, 1024  # matterport's IMAGE_MIN_DIM and IMAGE_MAX_DIM


def resized_size(height: int, width: int, side: int) -> tuple[int, int]:
    """(height, width) of an image after resizing, in a square of `side`; each at least a pixel.

    >>> resized_size(2016, 3024, 1024), resized_size(540, 576, 1024), resized_size(900, 1000, 1024)
    ((683, 1024), (800, 853), (900, 1000))
    """
    scale = max(1.0, side * SHORTER / LONGER / min(height, width))
    if round(max(height, width) * scale) > side:
        scale = side / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


class Letterbox(NamedTuple):
    """Where an image of a size lies in the square of a net, and the way back.

    height, width  of the image as it was, in pixels
    side           of the square
    rows, columns  of the image after resizing
    """

    height: int
    width: int
    side: int
    rows: int
    columns: int

    @classmethod
    def of(cls, height: int, width: int, side: int) -> Letterbox:
        """That of an image of (height, width) in a square of `side`."""
        return cls(height, width, side, *resized_size(height, width, side))

    @property
    def window(self) -> tuple[int, int, int, int]:
        """(x1, y1, x2, y2) of the area that is not padding."""
        left, top = (self.side - self.columns) // 2, (self.side - self.rows) // 2
        return left, top, left + self.columns, top + self.rows

    def turned(self) -> Letterbox:
        """That of the image turned by 90 degrees either way, after it was resized."""
        return Letterbox(self.width, self.height, self.side, self.columns, self.rows)

    def resized_image(self, image: np.ndarray) -> np.ndarray:
        """(rows, columns[, C]) uint8 of an image (height, width[, C]): bilinear, as matterport has it."""
        if (self.rows, self.columns) == (self.height, self.width):
            return image
        return cv2.resize(image, (self.columns, self.rows), interpolation=cv2.INTER_LINEAR)

    def resized_mask(self, mask: np.ndarray) -> np.ndarray:
        """(rows, columns) of a mask (height, width) of any kind: the nearest pixel by the pixels' middles.

        OpenCV's own INTER_NEAREST takes the nearest by their corners, so that a mask moves by up to half a pixel of it
        against its image.
        """
        return _nearest(mask, self.rows, self.columns)

    def padded(self, pixels: np.ndarray) -> np.ndarray:
        """(side, side[, C]) of (rows, columns[, C]): zeros around it."""
        x1, y1, x2, y2 = self.window
        square = np.zeros((self.side, self.side, *pixels.shape[2:]), pixels.dtype)
        square[y1:y2, x1:x2] = pixels
        return square

    def image(self, image: np.ndarray) -> np.ndarray:
        """The square (side, side[, C]) of an image (height, width[, C]) uint8, before a mean is subtracted."""
        return self.padded(self.resized_image(image))

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """The square (side, side) of a mask (height, width)."""
        return self.padded(self.resized_mask(mask))

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """(..., 4) float32 in the square of boxes (..., 4) in the image."""
        return (np.asarray(boxes, np.float64) * self._ratios() + self._offsets()).astype(np.float32)

    def boxes_back(self, boxes: np.ndarray) -> np.ndarray:
        """(..., 4) float32 in the image of boxes (..., 4) in the square, clipped to the image."""
        found = (np.asarray(boxes, np.float64) - self._offsets()) / self._ratios()
        return np.clip(found, 0, [self.width, self.height] * 2).astype(np.float32)

    def mask_back(self, mask: np.ndarray) -> np.ndarray:
        """(height, width) of a mask (side, side) of any kind: the nearest pixel of its window."""
        x1, y1, x2, y2 = self.window
        return _nearest(mask[y1:y2, x1:x2], self.height, self.width)

    def _ratios(self) -> np.ndarray:
        return np.array([self.columns / self.width, self.rows / self.height] * 2)

    def _offsets(self) -> np.ndarray:
        return np.array(self.window[:2] * 2, np.float64)


def _nearest(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """(height, width): pixel i of n shows pixel floor((i + 1/2) N / n) of N, in whole numbers."""
    for axis, length in ((0, height), (1, width)):
        there = pixels.shape[axis]
        if there != length:
            pixels = pixels.take((2 * np.arange(length) + 1) * there // (2 * length), axis=axis)
    return pixels
