"""A matrix of shares as a heat map: Figure 1 and the location confusion matrix."""

from __future__ import annotations

from typing import Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from skinmtl.figures.labels import label
from skinmtl.figures.style import new_figure

CELL, SMALLEST_CELL = 0.5, 0.34  # inches
WIDE_UP_TO = 15  # columns: more get the smallest cells
NUMBERS_UP_TO = 32  # columns: more make the figure so wide that its numbers are too small to read on a page
COLOURS = "Blues"  # nothing is white, as paper and page are; one hue, for readers of all colours
PER_CHARACTER = 0.085  # inches of a label


def heat_map(
    shares: np.ndarray,
    images: Sequence[int],
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    row_axis: str,
    column_axis: str,
    whole_scale: bool = False,
) -> Figure:
    """The figure of an (R, C) matrix of shares in [0, 1] of each row's number of `images`, drawn in percent.

    A row of nan is hatched and says "no image". The colours end at the largest share, or at 100 % (`whole_scale`).
    """
    row_labels = [f"{label(name)} ({n})" for name, n in zip(rows, images)]
    column_labels = [label(name) for name in columns]
    cell = CELL if len(columns) <= WIDE_UP_TO else SMALLEST_CELL
    height = max(len(rows) * min(cell, 0.4), 1.5)
    width = max(len(columns) * cell, 2.5)
    figure = new_figure(
        width + PER_CHARACTER * max(map(len, row_labels)) + 1.6, height + PER_CHARACTER * max(map(len, column_labels))
    )
    axes = figure.add_axes(_box(figure, width, height))
    largest = float(np.nanmax(shares)) if np.isfinite(shares).any() and not whole_scale else 1.0
    # edges in the cells' own colour: viewers of SVG show the background between cells that only touch
    mesh = axes.pcolormesh(
        np.ma.masked_invalid(100 * shares), cmap=COLOURS, vmin=0, vmax=100 * (largest or 1.0), edgecolors="face", lw=0.8
    )
    axes.set_xticks(np.arange(len(columns)) + 0.5)
    axes.set_yticks(np.arange(len(rows)) + 0.5)
    axes.set_xticklabels(column_labels, rotation=90)
    axes.set_yticklabels(row_labels)
    axes.set_xlim(0, len(columns))
    axes.set_ylim(len(rows), 0)
    axes.tick_params(length=0)
    axes.set_xlabel(column_axis)
    axes.set_ylabel(row_axis)
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_facecolor("0.88")  # where a single share is nan
    for row in np.flatnonzero(np.isnan(shares).all(axis=1)):
        axes.add_patch(Rectangle((0, row), len(columns), 1, facecolor="white", edgecolor="0.6", hatch="///", lw=0))
        axes.text(len(columns) / 2, row + 0.5, "no image", ha="center", va="center", fontsize=8, backgroundcolor="w")
    if len(columns) <= NUMBERS_UP_TO:
        _write_numbers(axes, shares, largest or 1.0, 8 if cell == CELL else 7)
    bar_axes = figure.add_axes(_box(figure, 0.16, min(height, 4.0), left=width + 0.2))
    bar = figure.colorbar(mesh, cax=bar_axes)
    bar.set_label("% of the row's images")
    bar.outline.set_visible(False)
    for side in axes.spines.values():
        side.set(color="0.8", linewidth=0.8)
    return figure


def _box(figure: Figure, width: float, height: float, left: float = 0.0) -> tuple[float, float, float, float]:
    """Inches from the upper left of the drawing area as parts of the figure; labels hang outside and are kept by
    the tight bounding box."""
    whole_width, whole_height = figure.get_size_inches()
    return left / whole_width, 1 - height / whole_height, width / whole_width, height / whole_height


def _write_numbers(axes: matplotlib.axes.Axes, shares: np.ndarray, largest: float, size: float) -> None:
    """Percent in each cell, dark on light and light on dark; zeros stay empty."""
    for (row, column), share in np.ndenumerate(shares):
        if share > 0:
            colour = "white" if share > 0.55 * largest else "black"
            text = f"{100 * share:.0f}" if share >= 0.005 else "<1"
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=size, color=colour)
