"""Figure 3: rows of pictures, each a query, where the net looks, and the training images nearest to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Sequence

import cv2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.textpath import TextPath

from skinmtl.figures.labels import label
from skinmtl.figures.overlay import FAINT, scale
from skinmtl.figures.style import GREEN, new_figure

# inches
CELL = 1.25  # a picture's longer side
GAP, GROUP_GAP = 0.14, 0.16  # between two columns; more between a query's columns and its neighbours'
HEAD, LEFT, FOOT = 0.3, 0.24, 0.6  # above the first row, left of the first column, below the last row
LINE = 0.125  # of a caption
POINTS = 72
TEXT_SIZE, MOST_LINES = 7.5, 3
DPI = 300  # of the figure as PNG: photographs are looked at closely, and printed
THUMBNAIL = 384  # pixels of a picture's longer side: CELL at DPI
FRAME_RED = "#cc0000"  # the red of charts is orange on skin; who sees no red sees that the frame is dotted
SHARED, NONE_SHARED = True, False
FRAMES = {
    SHARED: {"edgecolor": GREEN, "linestyle": "-", "linewidth": 2.2},
    NONE_SHARED: {"edgecolor": FRAME_RED, "linestyle": (0, (1, 1.3)), "linewidth": 2.2},
}
IN_GREY = f"in grey: all below {FAINT}, where a map shows at most what speaks least against them"
MEANINGS = {SHARED: "shares a lesion with the query", NONE_SHARED: "shares none"}


@dataclass(frozen=True, eq=False)
class Picture:
    """An (H, W, 3) uint8 BGR image, what stands below it, a line or more an entry, and whether it is framed."""

    image: np.ndarray
    captions: Sequence[str]
    shared: bool | None = None


@dataclass(frozen=True)
class PictureRow:
    """`of_query`: the query and its attention; `neighbours`: nearest first. `name` stands at the side."""

    name: str
    of_query: Sequence[Picture]
    neighbours: Sequence[Picture]


def retrieval_rows(rows: Sequence[PictureRow], heads: Sequence[str]) -> Figure:
    """The figure of rows that are all as long as the first row's query part, with `heads` above that part's columns.

    Pictures keep their aspect. A frame is green and solid where the neighbour shares a lesion with the query, red and
    dotted where it does not. A caption has MOST_LINES lines at most and ends in an ellipsis where it has more.
    """
    neighbours = max(len(row.neighbours) for row in rows)
    columns = [*heads, *(f"neighbour {n + 1}" for n in range(neighbours))]
    lefts = [LEFT + n * (CELL + GAP) + GROUP_GAP * (n >= len(heads)) for n in range(len(columns))]
    captions = [[_wrapped(one.captions) for one in (*row.of_query, *row.neighbours)] for row in rows]
    heights = [CELL + LINE * (1.5 + max(map(len, of_row))) for of_row in captions]
    figure = new_figure(lefts[-1] + CELL, HEAD + sum(heights) + FOOT)
    page = _Page(figure)
    for left, head in zip(lefts, columns):
        page.text(left + CELL / 2, 0.1, head, ha="center", fontsize=9)
    top = HEAD
    for row, of_row, height in zip(rows, captions, heights):
        page.text(0.0, top + CELL / 2, label(row.name, 26), rotation=90, fontsize=6, color="0.35", va="center")
        pictures = [*row.of_query, *row.neighbours]
        places = [*lefts[: len(row.of_query)], *lefts[len(heads) :]]
        for left, picture, lines in zip(places, pictures, of_row):
            page.picture(left, top, picture)
            for n, line in enumerate(lines):
                page.text(left + CELL / 2, top + CELL + (n + 0.45) * LINE, line, ha="center", fontsize=TEXT_SIZE)
        top += height
    kinds = {one.shared for row in rows for one in row.neighbours}
    page.legend(lefts, len(heads), top + 0.1, [kind for kind in FRAMES if kind in kinds])
    return figure


class _Page:
    """Draws at inches from a figure's upper left corner."""

    def __init__(self, figure: Figure) -> None:
        self._figure = figure
        self._width, self._height = figure.get_size_inches()

    def text(self, x: float, y: float, text: str, va: str = "top", **how: object) -> Text:
        return self._figure.text(x / self._width, 1 - y / self._height, text, va=va, **how)

    def picture(self, left: float, top: float, picture: Picture) -> None:
        """In the middle of the cell's width, at the bottom of its height, so that the caption is near."""
        height, width = (CELL * side / max(picture.image.shape[:2]) for side in picture.image.shape[:2])
        x, y = left + (CELL - width) / 2, top + CELL - height
        axes = self._axes(x, y, width, height)
        axes.imshow(_thumbnail(picture.image)[:, :, ::-1], aspect="auto", interpolation="bilinear")
        if picture.shared is not None:
            self._frame(x, y, width, height, picture.shared)

    def legend(self, lefts: Sequence[float], heads: int, top: float, kinds: Sequence[bool]) -> None:
        """What colours mean: of the attention below its columns, of the frames below the neighbours."""
        if heads > 1:
            left, width = lefts[1], 0.9
            words = self.text(left, top, "attention, in each picture: lowest", fontsize=TEXT_SIZE)
            left += _width(words.get_text()) + 0.08
            self._axes(left, top + 0.01, width, 0.1).imshow(scale(64), aspect="auto")
            self.text(left + width + 0.06, top, "highest; numbers are probabilities", fontsize=TEXT_SIZE)
            self.text(lefts[1], top + 0.17, IN_GREY, fontsize=TEXT_SIZE)
        left = lefts[heads] if heads < len(lefts) else 0.0
        if heads > 1:
            left = max(left, lefts[1] + 4.9)
        for kind in kinds:
            self._frame(left + 0.03, top + 0.01, 0.2, 0.1, kind)
            self.text(left + 0.32, top, MEANINGS[kind], fontsize=TEXT_SIZE)
            left += 0.32 + _width(MEANINGS[kind]) + 0.3

    def _axes(self, x: float, y: float, width: float, height: float):  # noqa: ANN202  (its module differs by version)
        box = (x / self._width, 1 - (y + height) / self._height, width / self._width, height / self._height)
        axes = self._figure.add_axes(box)
        axes.set_axis_off()
        return axes

    def _frame(self, x: float, y: float, width: float, height: float, shared: bool) -> None:
        out = 1.6 / POINTS  # so that the frame lies on white, not on the picture
        corner = ((x - out) / self._width, 1 - (y + height + out) / self._height)
        size = ((width + 2 * out) / self._width, (height + 2 * out) / self._height)
        style = {"fill": False, "clip_on": False, "transform": self._figure.transFigure, **FRAMES[shared]}
        frame = Rectangle(corner, *size, **style)
        frame.set_figure(self._figure)
        self._figure.patches.append(frame)  # matplotlib 3.0 has no Figure.add_artist


def _thumbnail(image: np.ndarray) -> np.ndarray:
    share = THUMBNAIL / max(image.shape[:2])
    if share >= 1:
        return image
    size = tuple(max(1, round(side * share)) for side in image.shape[1::-1])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _wrapped(captions: Sequence[str]) -> list[str]:
    """Lines no wider than a cell: each caption's, MOST_LINES at most."""
    lines = []
    for caption in captions:
        of_caption = _lines(caption)
        if len(of_caption) > MOST_LINES:
            of_caption = of_caption[:MOST_LINES]
            last = of_caption[-1].rstrip(",; ")
            while last and _width(f"{last}…") > CELL:
                last = last[:-1].rstrip(",; ")
            of_caption[-1] = f"{last}…"
        lines.extend(line.replace("$", r"\$") for line in of_caption)
    return lines


def _lines(text: str) -> list[str]:
    """Broken at spaces; a word that is wider than a cell also at hyphens and slashes, or anywhere."""
    lines, line = [], ""
    for word in text.split():
        parts = [word] if _width(word) <= CELL else re.findall(r"[^/-]+[/-]*|[/-]+", word)
        for part in [f" {parts[0]}", *parts[1:]]:
            if line and _width(line + part) > CELL:
                lines.append(line)
                line = ""
            line = line + part if line else part.lstrip()
            while _width(line) > CELL and len(line) > 1:
                fits = next((n for n in range(len(line) - 1, 1, -1) if _width(line[:n]) <= CELL), 1)
                lines.append(line[:fits])
                line = line[fits:]
    return [*lines, line] if line else lines


def _width(text: str) -> float:
    """Inches of a line of a caption."""
    return sum(map(_advance, text))


@lru_cache(maxsize=None)
def _advance(character: str) -> float:
    """Inches that a character adds to a line."""
    with_it, without = (
        TextPath((0, 0), line, prop=FontProperties(size=TEXT_SIZE)).get_extents().width
        for line in (f"H{character}H".replace("$", r"\$"), "HH")
    )
    return (with_it - without) / POINTS
