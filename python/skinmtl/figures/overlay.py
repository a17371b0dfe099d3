"""A map of attention over its image: a colour for the value, the image's shapes in grey below it."""

from __future__ import annotations

import cv2
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

DISPLAY = (
    "an overlay shows the mean of its labels' maps, from its lowest value in the image (dark) to its highest (bright): "
    "colours of two overlays are no common scale"
)
# as safe for colour-blind readers as cividis, whose middle is a grey that would be lost on a grey image
HEAT = "viridis"
SHARE = 0.5  # of the colour; the rest is the image


def overlay(image: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 BGR of an (H, W, 3) uint8 BGR image and its attention (h, w), which is stretched to the image.

    The attention is scaled to its own lowest and highest value, as class activation maps usually are shown, so that a
    weak map looks as strong as a strong one; a map that is the same everywhere is dark everywhere. The image is grey
    below the colour: skin has the colours of a heat map.
    """
    height, width = image.shape[:2]
    values = cv2.resize(scaled(attention).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    heat = ScalarMappable(Normalize(0, 1), HEAT).to_rgba(values)[:, :, 2::-1] * 255
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)[:, :, None]
    return np.rint(SHARE * heat + (1 - SHARE) * grey).astype(np.uint8)


def scaled(attention: np.ndarray) -> np.ndarray:
    """The values moved and stretched to 0 ... 1; zeros where they are all the same."""
    low, high = float(attention.min()), float(attention.max())
    if high - low <= 1e-6 * max(abs(low), abs(high)):  # what rounding leaves of a map that is the same everywhere
        return np.zeros_like(attention)
    return (attention - low) / (high - low)


def png_bytes(image: np.ndarray) -> bytes:
    """PNG of a BGR image."""
    return cv2.imencode(".png", image)[1].tobytes()
