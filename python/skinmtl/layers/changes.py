"""How an image is changed for training: flips, turns, colours, blur, cutout. All images are uint8, blue, green, red.

What is drawn at random is elsewhere: augment.py for crops, lesion_draw.py for images with masks.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from skinmtl.images.resizing import resize

LUMA = np.array([0.114, 0.587, 0.299])  # of blue, green, red: ITU-R BT.601, as OpenCV and torchvision make grey
# from red, green, blue to YIQ (FCC, 1953): the first row is LUMA, the others are of what has no luma
YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
LEAST_SIGMA = 0.1  # pixels: a smaller one changes no value of 8 bits


def flipped(pixels: np.ndarray, left_right: bool, up_down: bool) -> np.ndarray:
    """(H, W) or (H, W, C), as a view."""
    if left_right:
        pixels = pixels[:, ::-1]
    return pixels[::-1] if up_down else pixels


def multiplied(image: np.ndarray, factor: float) -> np.ndarray:
    """Every value times a factor, clipped at 255."""
    if factor == 1:
        return image
    return cv2.LUT(image, np.minimum(np.rint(np.arange(256) * factor), 255).astype(np.uint8))


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """Under a Gaussian of `sigma` pixels."""
    return cv2.GaussianBlur(image, (0, 0), sigma) if sigma >= LEAST_SIGMA else image


def turned_square(pixels: np.ndarray, top: int, left: int, side: int, crop: int, degrees: float) -> np.ndarray:
    """A square of (H, W, 3) of `side` pixels, turned about its centre against the clock, as (crop, crop, 3).

    What it shows beyond the edges is the image mirrored there (our choice: black corners would be something to learn
    from). It is made smaller before it is turned, bilinear.
    """
    angle = math.radians(degrees)
    reach = side * (abs(math.cos(angle)) + abs(math.sin(angle))) / 2
    centre_y, centre_x = top + side / 2, left + side / 2
    rows = math.floor(centre_y - reach) - 1, math.ceil(centre_y + reach) + 1
    columns = math.floor(centre_x - reach) - 1, math.ceil(centre_x + reach) + 1
    patch = _mirrored_beyond(pixels, rows, columns)
    shrink = min(1.0, crop / side)
    size = [max(1, round(length * shrink)) for length in patch.shape[:2]]
    if shrink < 1:
        patch = resize(patch, (size[1], size[0]))
    by_row, by_column = size[0] / (rows[1] - rows[0]), size[1] / (columns[1] - columns[0])
    step, sine, cosine = side / crop, math.sin(angle), math.cos(angle)
    # where the patch has the middle of the crop's pixel (u, v), counted from the crop's centre: right and down
    across = np.array([cosine, -sine]) * step * by_column
    down = np.array([sine, cosine]) * step * by_row
    first = 0.5 - crop / 2  # of pixel 0
    matrix = np.array(
        [
            [*across, (centre_x - columns[0]) * by_column - 0.5 + across.sum() * first],
            [*down, (centre_y - rows[0]) * by_row - 0.5 + down.sum() * first],
        ]
    )
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(patch, matrix, (crop, crop), flags=how, borderMode=cv2.BORDER_REFLECT_101)


def _mirrored_beyond(pixels: np.ndarray, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
    height, width = pixels.shape[:2]
    inside = pixels[max(0, rows[0]) : min(height, rows[1]), max(0, columns[0]) : min(width, columns[1])]
    beyond = max(0, -rows[0]), max(0, rows[1] - height), max(0, -columns[0]), max(0, columns[1] - width)
    return cv2.copyMakeBorder(inside, *beyond, borderType=cv2.BORDER_REFLECT_101) if any(beyond) else inside


def recoloured(
    image: np.ndarray,
    brightness: float = 1.0,
    contrast: float = 1.0,
    saturation: float = 1.0,
    hue: float = 0.0,
    gains: tuple[float, float] = (1.0, 1.0),
) -> np.ndarray:
    """The image in other colours, all steps as one linear map, rounded and clipped once at its end.

    In this order: `gains` of blue and red beside green's 1, as a camera's white balance has them; times brightness;
    away from the mean grey of the image by contrast, and each pixel from its own grey by saturation, as torchvision has
    both; colours turned about grey by hue degrees (in YIQ, which keeps the luma; torchvision turns HSV, which does
    not).
    """
    if (brightness, contrast, saturation, hue, *gains) == (1, 1, 1, 0, 1, 1):
        return image
    matrix = np.diag([gains[0] * brightness, brightness, gains[1] * brightness])
    mean_grey = LUMA @ matrix @ np.array(cv2.mean(image)[:3])
    matrix = (saturation * np.eye(3) + (1 - saturation) * LUMA) @ (contrast * matrix)
    matrix = _turn_of_colours(hue) @ matrix
    moved = np.full((3, 1), (1 - contrast) * mean_grey)  # a grey, which saturation and hue leave as it is
    mapped = cv2.transform(image.astype(np.float32), np.hstack([matrix, moved]))
    return np.rint(mapped).clip(0, 255).astype(np.uint8)


def _turn_of_colours(degrees: float) -> np.ndarray:
    angle = math.radians(degrees)
    turn = np.eye(3)
    turn[1:, 1:] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    of_rgb = np.linalg.inv(YIQ) @ turn @ YIQ
    return of_rgb[::-1, ::-1]


def cut_out(image: np.ndarray, side: int, centre_y: int, centre_x: int, colour: tuple[float, ...]) -> np.ndarray:
    """A copy with a square of one colour, as far as it lies inside (DeVries and Taylor 2017)."""
    if side < 1:
        return image
    image = image.copy()
    top, left = centre_y - side // 2, centre_x - side // 2
    image[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)] = np.rint(colour)
    return image
