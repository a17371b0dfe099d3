"""White paper for pictures and the words beside them."""

from __future__ import annotations

import numpy as np

from skinmtl.description.charts import unknown_signs_pass
from skinmtl.figures.style import new_figure

GAP, HEAD = 10, 34  # pixels: between tiles, of the sheet's title
DPI = 100  # text is drawn in points: pixels are 72 / DPI of one
CAPTION_SIZE = 8.5  # points


class Sheet:
    """Pictures are put on `pixels`, (height, width, 3) uint8 BGR; what is written lies over them."""

    def __init__(self, width: int, height: int) -> None:
        self.pixels = np.full((height, width, 3), 255, np.uint8)
        self._figure = new_figure(width / DPI, height / DPI)
        self._figure.set_dpi(DPI)

    def put(self, image: np.ndarray, left: int, bottom: int, tile: int) -> tuple[int, int]:
        """Puts an image in the middle of a tile's width, at its bottom, so that its caption is near; returns where its
        left and top edges are."""
        height, width = image.shape[:2]
        top, left = bottom - height, left + (tile - width) // 2
        self.pixels[top : top + height, left : left + width] = image
        return left, top

    def write(self, x: float, y: float, text: str, size: float, **how: str) -> None:
        """From the point (x, y) down, in pixels; `size` in points, `how` as of matplotlib's text."""
        height, width = self.pixels.shape[:2]
        self._figure.text(x / width, 1 - y / height, text, fontsize=size, va="top", **how)

    def drawn(self) -> np.ndarray:
        """(height, width, 3) uint8 BGR, with what was written."""
        self._figure.figimage(self.pixels[:, :, ::-1])
        with unknown_signs_pass():
            drawn, _ = self._figure.canvas.print_to_buffer()
        return np.ascontiguousarray(np.frombuffer(drawn, np.uint8).reshape(*self.pixels.shape[:2], 4)[:, :, 2::-1])
