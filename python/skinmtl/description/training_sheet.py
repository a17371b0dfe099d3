"""A contact sheet of what training sees: a row an image, stored first, then one visit after the other."""

from __future__ import annotations

from pathlib import PurePosixPath

import cv2
import numpy as np

from skinmtl.description.charts import unknown_signs_pass
from skinmtl.description.sheets import CAPTION_SIZE, DPI, GAP, HEAD
from skinmtl.description.training_views import Views
from skinmtl.figures.labels import label
from skinmtl.figures.style import new_figure

TILE, CAPTION = 160, 34  # pixels: side of a tile, and below each row for the image's name and its lesions
MOST_PIXELS = 16_000  # of a side: most viewers show no more


def largest_sheet() -> tuple[int, int]:
    """How many images, and how many visits, fit on a sheet."""
    images = (MOST_PIXELS - HEAD - GAP) // (TILE + CAPTION + GAP)
    return images, (MOST_PIXELS - GAP) // (TILE + GAP) - 1


def training_sheet(views: Views, title: str) -> np.ndarray:
    """(H, W, 3) uint8 BGR."""
    rows, columns = len(views.views), 1 + max(len(view.visits) for view in views.views)
    width, height = columns * (TILE + GAP) + GAP, HEAD + CAPTION + rows * (TILE + CAPTION + GAP) + GAP
    sheet = np.full((height, width, 3), 255, np.uint8)
    figure = new_figure(width / DPI, height / DPI)
    figure.set_dpi(DPI)

    def write(x: float, y: float, text: str, size: float, **how: str) -> None:
        figure.text(x / width, 1 - y / height, text, fontsize=size, va="top", **how)

    write(GAP, GAP, title, 10)
    write(GAP, GAP + HEAD // 2 + 4, views.drawn, CAPTION_SIZE, color="0.25")
    for column in range(columns):
        head = "stored" if column == 0 else f"visit {column}"
        write(GAP + column * (TILE + GAP) + TILE / 2, HEAD + 14, head, CAPTION_SIZE, ha="center", color="0.25")
    for row, view in enumerate(views.views):
        top = HEAD + CAPTION + row * (TILE + CAPTION + GAP)
        for column, image in enumerate([view.stored, *view.visits]):
            tile = _fitted(image)
            y, x = top + TILE - tile.shape[0], GAP + column * (TILE + GAP) + (TILE - tile.shape[1]) // 2
            sheet[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
        longest = int(width / 5.2)  # characters of this size
        caption = ": ".join(filter(None, [PurePosixPath(view.image).name, view.lesions]))
        write(GAP, top + TILE + 5, label(caption, longest), CAPTION_SIZE, color="0.25")
    figure.figimage(sheet[:, :, ::-1])
    with unknown_signs_pass():
        drawn, _ = figure.canvas.print_to_buffer()
    pixels = np.frombuffer(drawn, np.uint8).reshape(height, width, 4)
    return np.ascontiguousarray(pixels[:, :, 2::-1])


def _fitted(image: np.ndarray) -> np.ndarray:
    """The image with a longer side of TILE."""
    scale = TILE / max(image.shape[:2])
    size = tuple(max(1, round(side * scale)) for side in image.shape[1::-1])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
