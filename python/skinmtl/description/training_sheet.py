"""A contact sheet of what training sees: a row an image, stored first, then one visit after the other."""

from __future__ import annotations

from pathlib import PurePosixPath

import cv2
import numpy as np

from skinmtl.description.sheet import CAPTION_SIZE, GAP, HEAD, Sheet
from skinmtl.description.training_views import Views
from skinmtl.figures.labels import label

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
    sheet = Sheet(width, height)
    sheet.write(GAP, GAP, title, 10)
    sheet.write(GAP, GAP + HEAD // 2 + 4, views.drawn, CAPTION_SIZE, color="0.25")
    for column in range(columns):
        head = "stored" if column == 0 else f"visit {column}"
        sheet.write(GAP + column * (TILE + GAP) + TILE / 2, HEAD + 14, head, CAPTION_SIZE, ha="center", color="0.25")
    longest = int(width / 5.2)  # characters of this size
    for row, view in enumerate(views.views):
        bottom = HEAD + CAPTION + row * (TILE + CAPTION + GAP) + TILE
        for column, image in enumerate([view.stored, *view.visits]):
            sheet.put(_fitted(image), GAP + column * (TILE + GAP), bottom, TILE)
        caption = ": ".join(filter(None, [PurePosixPath(view.image).name, view.lesions]))
        sheet.write(GAP, bottom + 5, label(caption, longest), CAPTION_SIZE, color="0.25")
    return sheet.drawn()


def _fitted(image: np.ndarray) -> np.ndarray:
    """The image with a longer side of TILE."""
    scale = TILE / max(image.shape[:2])
    size = tuple(max(1, round(side * scale)) for side in image.shape[1::-1])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
