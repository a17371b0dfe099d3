"""A map of attention over its photograph, whose own colours stay where the map is high."""

from __future__ import annotations

from typing import Callable, Sequence

import cv2
import numpy as np

VEIL, CONTOURS = "veil", "contours"
# Our choice. A map is stretched from its lowest to its highest value, so that a label that the net all but excludes
# gets a bright spot too, where there is merely the least evidence against it: such a map is drawn without colours.
FAINT = 0.05
_SCALE = (
    f"colours of two overlays are no common scale; all in grey where no label of the map has a probability of {FAINT}"
)
_MEAN = "an overlay shows the mean of its labels' maps, from its lowest value in the image to its highest"
DISPLAY = {
    VEIL: f"{_MEAN}: the photograph's own colours where it is highest, dark blue where it is lowest; {_SCALE}",
    CONTOURS: f"{_MEAN}: lines at a quarter (blue), half (white) and three quarters (thick, cyan) of the way; {_SCALE}",
}
# BGR of the veil: blue, which neither skin nor a lesion's red, brown and black has, so that no part of a map is taken
# for one of the photograph. What is veiled keeps its shapes, in shades of that blue.
BLUE = np.array((0.62, 0.36, 0.2), np.float32)
SKIN = (150, 180, 225)  # BGR, for a legend
# value -> BGR and width in parts of the thinnest: light, and one dark edge around each, for dark and light skin
LINES = {0.25: ((235, 120, 40), 1), 0.5: ((255, 255, 255), 1), 0.75: ((230, 220, 0), 2)}
PER_WIDTH = 320  # pixels of the shorter side for each pixel of a thin line's width


def overlay(image: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 BGR of an (H, W, 3) uint8 BGR image and its attention (h, w), which is stretched to the image.

    The attention is scaled to its own lowest and highest value, as class activation maps usually are shown, so that a
    weak map looks as strong as a strong one; a map that is the same everywhere is veiled everywhere. Colours of a heat
    map over skin would hide the redness that the net may have looked at, and look like it; a veil hides the rest.
    """
    values = stretched(attention, image.shape[:2])[:, :, None]
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)[:, :, None]
    return np.rint(values * image + (1 - values) * (grey * BLUE)).astype(np.uint8)


def contours(image: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """The same as lines over the photograph, which keeps all of its colours."""
    values = stretched(attention, image.shape[:2])
    drawn, thin = image.copy(), max(1, round(min(image.shape[:2]) / PER_WIDTH))
    around = thin * 4  # so that no line runs along the picture's edges
    values = cv2.copyMakeBorder(values, *[around] * 4, borderType=cv2.BORDER_REPLICATE)
    found = {level: _lines(values >= level, around) for level in LINES} if values.any() else {}
    for level, lines in found.items():
        cv2.drawContours(drawn, lines, -1, (0, 0, 0), thin * LINES[level][1] + 2 * thin, cv2.LINE_AA)
    for level, lines in found.items():
        colour, width = LINES[level]
        cv2.drawContours(drawn, lines, -1, colour, thin * width, cv2.LINE_AA)
    return drawn


DRAWN: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {VEIL: overlay, CONTOURS: contours}


def is_faint(probabilities: Sequence[float]) -> bool:
    """Whether the net all but excludes each of the labels that a map is of."""
    return max(probabilities) < FAINT


def in_grey(drawn: np.ndarray) -> np.ndarray:
    """The same picture (H, W, 3) without its colours: the map of a label that the net all but excludes."""
    return cv2.cvtColor(cv2.cvtColor(drawn, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


def stretched(attention: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) float32: the attention from 0 to 1, as large as the picture."""
    values = cv2.resize(scaled(attention).astype(np.float32), shape[::-1], interpolation=cv2.INTER_LINEAR)
    return values.clip(0, 1)


def scale(steps: int) -> np.ndarray:
    """(1, steps, 3) uint8 RGB: skin under the veil of the lowest to the highest value, for a legend."""
    return overlay(np.full((1, steps, 3), SKIN, np.uint8), np.linspace(0, 1, steps)[None])[:, :, ::-1]


def _lines(inside: np.ndarray, around: int) -> list[np.ndarray]:
    """The outlines of what is inside, where the picture begins after `around` pixels."""
    # OpenCV 3 returns the image before them
    found = cv2.findContours(inside.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[-2]
    return [line - around for line in found]


def scaled(attention: np.ndarray) -> np.ndarray:
    """The values moved and stretched to 0 ... 1; zeros where they are all the same."""
    low, high = float(attention.min()), float(attention.max())
    if high - low <= 1e-6 * max(abs(low), abs(high)):  # what rounding leaves of a map that is the same everywhere
        return np.zeros_like(attention)
    return (attention - low) / (high - low)


def png_bytes(image: np.ndarray) -> bytes:
    """PNG of a BGR image."""
    return cv2.imencode(".png", image)[1].tobytes()
