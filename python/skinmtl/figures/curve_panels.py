"""Panels of curves below each other over one axis of iterations, on scales of their own, with their legends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from skinmtl.figures.style import BLACK, new_figure, save_figure

MOST_MARKERS = 60  # beyond that they would cover the line
MANY, SMOOTH = 400, 60  # of so many points a running mean is drawn too, over a 60th of them (our choice)
NAMED_PLATEAUS = 3  # more are counted
# inches: side by side on a page, and on a phone, the words must still be read
WIDTH, LEFT, RIGHT, BODY, SMALL_BODY, HEAD, FOOT, GAP = 5.4, 0.55, 0.12, 1.3, 0.55, 0.25, 0.5, 0.08
ROW, LEGEND_ROW = 0.2, 0.165  # of what is said of the marks, and of a legend
WORDS = 8.5  # points
LETTER, HANDLE = 0.068, 0.42  # inches of a letter of a legend, and of what stands before its words
FAR_ABOVE = 8  # times the median: a loss that is once so large is drawn on a scale of powers (our choice)
BEST = {"color": BLACK, "linewidth": 1.1, "linestyle": ":"}
PLATEAU = {"color": "0.55", "linewidth": 1.0, "linestyle": (0, (6, 3))}


@dataclass(frozen=True)
class Curve:
    """One line: where its values come from, and how it looks; `steps` as matplotlib's `drawstyle`."""

    column: str
    label: str
    colour: str
    line: str = "-"
    marker: str = ""
    steps: str = "default"


@dataclass(frozen=True)
class Panel:
    """Curves that share an axis: `scale` is "loss", "0 to 1", "rate" or "free"."""

    title: str
    curves: Sequence[Curve]
    scale: str


@dataclass(frozen=True)
class Marks:
    """What a training knows of its iterations beside its log: the best test so far, with what is said of it, and the
    tests that a plateau was found at. A log alone tells neither."""

    best: int | None = None
    best_words: str = ""
    plateaus: Sequence[int] = ()


NO_MARKS = Marks()


def draw_panels(
    panels: Sequence[Panel], rows: Sequence[Mapping[str, Any]], path: Path, marks: Marks = NO_MARKS
) -> None:
    """Draws the columns of `rows`, each with its iteration, to a PNG or SVG; what has no values is left out."""
    panels = [panel for panel in (_filled(panel, rows) for panel in panels) if panel.curves]
    legends = [_legend_columns(panel) for panel in panels]
    below = [0 if columns is None else -(-len(panel.curves) // columns) for panel, columns in zip(panels, legends)]
    bodies = [SMALL_BODY if panel.scale == "rate" else BODY for panel in panels]
    top = ROW * len(_marked(marks)) + GAP
    height = top + sum(HEAD + LEGEND_ROW * rows_below + body + GAP for rows_below, body in zip(below, bodies)) + FOOT
    figure = new_figure(WIDTH, max(height, 1.5))
    if not panels:
        figure.text(0.5, 0.5, "nothing is logged yet", ha="center")
    first = None
    for panel, columns, rows_below, body in zip(panels, legends, below, bodies):
        top += HEAD + LEGEND_ROW * rows_below + body
        box = (LEFT / WIDTH, 1 - top / height, 1 - (LEFT + RIGHT) / WIDTH, body / height)
        axes = figure.add_axes(box, sharex=first)
        top += GAP
        first = first or axes
        values = [value for curve in panel.curves for value in _draw_curve(axes, rows, curve)]
        axes.grid(True, color="0.9")
        axes.tick_params(labelsize=WORDS, labelbottom=panel is panels[-1])
        axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        _set_scale(axes, panel.scale, values)
        _mark(axes, marks)
        _head(axes, panel, columns, rows_below, body)
    if panels:
        axes.set_xlabel("iteration", fontsize=WORDS)
        _say_marks(figure, marks, height)
    save_figure(figure, path)


def _filled(panel: Panel, rows: Sequence[Mapping[str, Any]]) -> Panel:
    """The panel with the curves that have values; its title says where running means are drawn."""
    curves = [curve for curve in panel.curves if _points(rows, curve.column)[0]]
    window = max((_window(curve, len(_points(rows, curve.column)[0])) for curve in curves), default=0)
    means = f" (thick: means of {window} rows)" if window else ""
    return Panel(f"{panel.title}{means}", curves, panel.scale)


def _legend_columns(panel: Panel) -> int | None:
    """Of the legend in rows below the title; None where it stands beside the title, or where the title is enough."""
    if len(panel.curves) == 1 and panel.scale == "rate":
        return None
    room, width = WIDTH - LEFT - RIGHT, sum(map(_width, panel.curves))
    if width + LETTER * 1.25 * len(panel.title) <= room:
        return None
    columns = max(1, int(room / max(map(_width, panel.curves))))
    rows = -(-len(panel.curves) // columns)
    return -(-len(panel.curves) // rows)  # no row is much shorter than another


def _width(curve: Curve) -> float:
    return HANDLE + LETTER * len(curve.label)


def _head(axes: matplotlib.axes.Axes, panel: Panel, columns: int | None, rows_below: int, body: float) -> None:
    """Title and legend above the panel; a legend beside the title begins with the curve that is named first."""
    one_row = columns is None
    above = 1 + (0.07 + LEGEND_ROW * rows_below) / body
    axes.text(0, above, panel.title, transform=axes.transAxes, fontsize=9.5, va="bottom", fontweight="bold")
    if one_row and panel.scale == "rate":
        return
    axes.legend(
        loc="lower right" if one_row else "lower left", bbox_to_anchor=(1 if one_row else 0, 1), frameon=False,
        ncol=len(panel.curves) if one_row else columns, fontsize=WORDS, handlelength=2.0, columnspacing=1.0,
        handletextpad=0.5, borderpad=0, borderaxespad=0.35, labelspacing=0.3,
    )  # fmt: skip


def _mark(axes: matplotlib.axes.Axes, marks: Marks) -> None:
    for iteration in marks.plateaus:
        axes.axvline(iteration, **PLATEAU)
    if marks.best is not None:
        axes.axvline(marks.best, **BEST)


def _marked(marks: Marks) -> list[tuple[str, dict[str, Any]]]:
    """What is said of the marks, and how they are drawn."""
    said = []
    if marks.best is not None:
        said.append((f"best: {marks.best_words} at iteration {marks.best:,}", BEST))
    if marks.plateaus:
        several = len(marks.plateaus) > 1
        where = ", ".join(f"{iteration:,}" for iteration in marks.plateaus)
        words = f"plateau{'s' * several} at {where}" if len(marks.plateaus) <= NAMED_PLATEAUS else ""
        said.append((words or f"{len(marks.plateaus)} plateaus", PLATEAU))
    return said


def _say_marks(figure: Figure, marks: Marks, height: float) -> None:
    for number, (words, style) in enumerate(_marked(marks)):
        y = 1 - (ROW * (number + 0.5)) / height
        line = Line2D([LEFT / WIDTH, (LEFT + 0.3) / WIDTH], [y, y], transform=figure.transFigure, **style)
        line.set_figure(figure)
        figure.lines.append(line)
        figure.text((LEFT + 0.38) / WIDTH, y, words, fontsize=WORDS, va="center")


def _set_scale(axes: matplotlib.axes.Axes, scale: str, values: Sequence[float]) -> None:
    values = sorted(value for value in values if math.isfinite(value))
    if not values:
        return
    low, high = values[0], values[-1]
    if scale == "0 to 1":
        axes.set_ylim(0, 1.02)
    elif scale == "rate" and low > 0:
        axes.set_yscale("log")
        axes.set_ylim(low / 2, high * 2)
        _set_ticks(axes, _rates(values))
    elif scale == "loss" and low > 0 and high > FAR_ABOVE * values[len(values) // 2]:
        axes.set_yscale("log")
        _set_ticks(axes, _round_values(low, high))
    elif scale == "loss" and 0 <= low <= high / 2 and high > 0:
        axes.set_ylim(0, 1.05 * high)


def _set_ticks(axes: matplotlib.axes.Axes, ticks: Sequence[float]) -> None:
    axes.set_yticks(ticks)
    axes.set_yticks([], minor=True)
    axes.set_yticklabels([f"{tick:,.0f}" if tick >= 1 else f"{tick:.3g}" for tick in ticks])


def _rates(values: Sequence[float]) -> list[float]:
    """The rates themselves where they are few and far enough apart to be written, else the lowest and the highest."""
    rates = sorted(set(values))
    apart = all(high >= 5 * low for low, high in zip(rates, rates[1:]))
    return rates if len(rates) <= 4 and apart else [rates[0], rates[-1]]


def _round_values(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of 10 from about `low` to `high`; of many, the powers alone."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = (1,) if len(powers) > 3 else (1, 2, 5)
    return [digit * 10.0**power for power in powers for digit in digits if low / 2 <= digit * 10.0**power <= 2 * high]


def _points(rows: Sequence[Mapping[str, Any]], column: str) -> tuple[list[float], list[float]]:
    points = [(row["iteration"], row[column]) for row in rows if row.get(column) is not None]
    return [x for x, _ in points], [y for _, y in points]


def _draw_curve(axes: matplotlib.axes.Axes, rows: Sequence[Mapping[str, Any]], curve: Curve) -> list[float]:
    """Returns the values drawn."""
    x, y = _points(rows, curve.column)
    marker = curve.marker if len(x) <= MOST_MARKERS else ""
    if len(x) == 1:
        marker = marker or "o"  # a line of one point cannot be seen
    style = {"color": curve.colour, "linestyle": curve.line, "drawstyle": curve.steps, "marker": marker}
    window = _window(curve, len(x))
    if window:
        axes.plot(x, y, linewidth=0.5, alpha=0.3, **style)
    smooth = np.convolve(y, np.full(window, 1 / window), "valid") if window else y
    axes.plot(x[window // 2 :][: len(smooth)], smooth, markersize=3.5, linewidth=1.2, label=curve.label, **style)
    return y


def _window(curve: Curve, points: int) -> int:
    """How many rows the running mean of a curve is over; 0 where there is none."""
    return points // SMOOTH if points > MANY and curve.steps == "default" else 0
