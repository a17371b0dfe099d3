"""A contact sheet of what training sees: a row an image, stored first, then one visit after the other."""

from __future__ import annotations

from pathlib import PurePosixPath
from textwrap import wrap

import cv2
import numpy as np

from skinmtl.description.sheet import CAPTION_SIZE, GAP, HEAD, Sheet
from skinmtl.description.training_views import Views
from skinmtl.figures.labels import label

TILE, CAPTION = 160, 40  # pixels: side of a tile, and below each row for the image's name and its lesions
LINE, TITLE = 15, 20  # pixels: of a line of words, and of the title
LETTER, TITLE_LETTER = 6.8, 8.0  # pixels, of a wide text
MOST_PIXELS = 16_000  # of a side: most viewers show no more


def largest_sheet() -> tuple[int, int]:
    """How many images, and how many visits, fit on a sheet."""
    images = (MOST_PIXELS - HEAD - 10 * LINE) // (TILE + CAPTION + GAP)
    return images, (MOST_PIXELS - GAP) // (TILE + GAP) - 1


def training_sheet(views: Views, title: str) -> np.ndarray:
    """(H, W, 3) uint8 BGR."""
    rows, columns = len(views.views), 1 + max(len(view.visits) for view in views.views)
    width = columns * (TILE + GAP) + GAP
    letters = int((width - 2 * GAP) / LETTER)
    drawn = wrap(views.drawn, letters)
    heads = GAP + TITLE + LINE * len(drawn) + LINE // 2
    first = heads + LINE + GAP // 2  # below the heads of the columns
    sheet = Sheet(width, first + rows * (TILE + CAPTION + GAP))
    sheet.write(GAP, GAP, label(title, int((width - 2 * GAP) / TITLE_LETTER)), 10)
    for number, line in enumerate(drawn):
        sheet.write(GAP, GAP + TITLE + number * LINE, line, CAPTION_SIZE, color="0.25")
    for column in range(columns):
        head = "stored" if column == 0 else f"visit {column}"
        sheet.write(GAP + column * (TILE + GAP) + TILE / 2, heads, head, CAPTION_SIZE, ha="center", color="0.25")
    for row, view in enumerate(views.views):
        bottom = first + row * (TILE + CAPTION + GAP) + TILE
        for column, image in enumerate([view.stored, *view.visits]):
            sheet.put(_fitted(image), GAP + column * (TILE + GAP), bottom, TILE)
        group = f"group {view.group}" if view.group else ""
        named = ", ".join(filter(None, [PurePosixPath(view.image).name, group]))
        sheet.write(GAP, bottom + 5, label(named, letters), CAPTION_SIZE)
        sheet.write(GAP, bottom + 5 + LINE, label(view.lesions, letters), CAPTION_SIZE, color="0.25")
    return sheet.drawn()


def _fitted(image: np.ndarray) -> np.ndarray:
    """The image with a longer side of TILE."""
    scale = TILE / max(image.shape[:2])
    size = tuple(max(1, round(side * scale)) for side in image.shape[1::-1])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
