"""One rule by which every image becomes smaller or larger, for LMDBs, crops of training, tests, maps and answers alike.

What is made so says the rule's name, RESIZING: scores of two rules differ, if by little.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

EXACT_BELOW = 1.2  # our choice: nearer to the size wanted, bilinear steps blur (53 dB) and the area filter is short
# for dataset.json and the protocols of scores, features and maps; another rule needs another name
RESIZING = "bilinear and mean, from 1.2 times on"


def resize(image: np.ndarray, to: tuple[int, int], extent: tuple[float, float] | None = None) -> np.ndarray:
    """(H, W) or (H, W, C) uint8 resized to (width, height) `to`.

    extent  the (width, height) that `to` stands for, in pixels of `image`, where it ends within its last row or column,
            as a JPEG that was decoded at a reduced scale; what is behind is cut off. By default the image's own.

    From EXACT_BELOW times the size on: bilinear to 2, 4, ... times the size, which takes in every pixel since that is
    less than halving, then the mean of 2 x 2, 4 x 4, .... Against the area filter that is half to an eighth of its
    time, for what JPEG coding hides: 53 to 57 dB from it up to three times the size, where coding at quality 95 leaves
    45. Nearer than that by exact area; bicubic where no side becomes smaller.
    """
    height, width = image.shape[:2]
    if (width, height) == to:
        return image
    across, down = extent or (width, height)
    to_width, to_height = to
    if to_width >= across or to_height >= down:
        is_smaller = to_width < width or to_height < height
        return cv2.resize(image, to, interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_CUBIC)
    larger = min(across, down) / min(to)
    times = 1 if larger < EXACT_BELOW else max(2, 2 ** int(math.log2(larger)))
    interpolation = cv2.INTER_LINEAR if times > 1 else cv2.INTER_AREA
    scale_x, scale_y = times * to_width / across, times * to_height / down
    between = cv2.resize(image, None, fx=scale_x, fy=scale_y, interpolation=interpolation)
    if between.shape[:2] != (times * to_height, times * to_width):
        between = np.ascontiguousarray(between[: times * to_height, : times * to_width])
    return cv2.resize(between, to, interpolation=cv2.INTER_AREA) if times > 1 else between
