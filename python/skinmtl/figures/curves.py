"""The curves of a training: losses, what is measured on the validation set, and the learning rate's steps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

from matplotlib.ticker import MaxNLocator

from caffe_files.caffe_log import CaffeLog
from skinmtl.figures.style import BLACK, BLUE, CYCLE, GREEN, ORANGE, PURPLE, RED, SKY, new_figure, save_figure

MOST_MARKERS = 60  # beyond that they would cover the line
MARKERS = "osD^vP*X"
VALIDATION = "validation_"  # before a loss's name in log.csv


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
    """Curves that share an axis: `scale` is "from 0", "0 to 1", "log" or "free"."""

    title: str
    curves: Sequence[Curve]
    scale: str


# the rate of a row of log.csv was that of the iterations up to it; Caffe logs that of those to come
RATE = Panel("learning rate", [Curve("lr", "learning rate", BLACK, steps="steps-pre")], "log")
CAFFES_RATE = Panel("learning rate", [Curve("lr", "learning rate", BLACK, steps="steps-post")], "log")
HEADS_LOSSES = Panel(
    "loss",
    [
        Curve("lesion_loss", "lesions, training", BLUE),
        Curve("validation_lesion_loss", "lesions, validation", BLUE, "--", "o"),
        Curve("location_loss", "location, training", ORANGE),
        Curve("validation_location_loss", "location, validation", ORANGE, "--", "s"),
    ],
    "from 0",
)
LOG_FILE = (
    Panel(
        "validation",
        [
            Curve("map_class", "mAP-class", GREEN, "-", "o"),
            Curve("map_image", "mAP-image", SKY, "--", "D"),
            Curve("location_top1", "location top-1", RED, ":", "s"),
            Curve("balanced_accuracy", "balanced accuracy", PURPLE, "-.", "^"),
        ],
        "0 to 1",
    ),
    RATE,
)


def draw_curves(rows: Sequence[Mapping[str, float | None]], path: Path) -> None:
    """Draws the rows of a log.csv, from one row on, to a PNG or SVG; a column without values is left out.

    The two heads' losses are in one panel; of a net with more, the losses in training and those of the validation set
    have a panel each, where a loss has the same colour.
    """
    losses = [name for name in (rows[0] if rows else ()) if name.endswith("_loss")]
    panels = [HEADS_LOSSES]
    if set(losses) - {curve.column for curve in HEADS_LOSSES.curves}:
        names = list(dict.fromkeys(_without(name) for name in losses))
        panels = [_losses("loss", names, "", losses), _losses("validation loss", names, VALIDATION, losses)]
    _draw([*panels, *LOG_FILE], rows, path)


def draw_caffe_log(log: CaffeLog, path: Path) -> None:
    """Draws a log of `caffe train`: all losses, the tests' other outputs, the learning rate."""
    columns = [column for column in log.columns if column != "lr"]
    losses = [column for column in columns if column.endswith("loss")]
    others = [column for column in columns if column not in losses]
    panels = [Panel("loss", _curves(losses), "from 0"), Panel("other outputs", _curves(others), "free"), CAFFES_RATE]
    _draw(panels, [{"iteration": iteration, **values} for iteration, values in log.rows], path)


def _losses(title: str, names: Sequence[str], before: str, columns: Sequence[str]) -> Panel:
    """Of the losses of these names, with `before` in front, those that are columns."""
    curves = [
        Curve(
            before + name, name[: -len("_loss")].replace("_", " "), CYCLE[number % len(CYCLE)], *_looks(number, before)
        )
        for number, name in enumerate(names)
        if before + name in columns
    ]
    return Panel(title, curves, "from 0")


def _looks(number: int, before: str) -> tuple[str, str]:
    """Line and marker."""
    return ("--", MARKERS[number % len(MARKERS)]) if before else ("-", "")


def _without(name: str) -> str:
    return name[len(VALIDATION) :] if name.startswith(VALIDATION) else name


def _curves(columns: Sequence[str]) -> list[Curve]:
    """Colour, line and marker differ from column to column; training outputs have lines only."""
    return [
        Curve(
            column,
            column,
            CYCLE[number % len(CYCLE)],
            "--" if column.startswith("test") else "-",
            MARKERS[number % len(MARKERS)] if column.startswith("test") else "",
        )
        for number, column in enumerate(columns)
    ]


def _draw(panels: Sequence[Panel], rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    panels = [panel for panel in panels if any(_points(rows, curve.column)[0] for curve in panel.curves)]
    figure = new_figure(8, 1 + 2.4 * max(len(panels), 1))
    if not panels:
        figure.text(0.5, 0.5, "nothing is logged yet", ha="center")
    first = None
    for number, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(len(panels), 1, number, sharex=first)
        first = first or axes
        values = [value for curve in panel.curves for value in _draw_curve(axes, rows, curve)]
        axes.set_ylabel(panel.title)
        axes.grid(True, color="0.9")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _set_scale(axes, panel.scale, values)
        if len(panel.curves) > 1:
            axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
        axes.tick_params(labelbottom=number == len(panels))
    if panels:
        axes.set_xlabel("iteration")
    figure.subplots_adjust(hspace=0.12)
    save_figure(figure, path)


def _set_scale(axes: Any, scale: str, values: Sequence[float]) -> None:
    if scale == "0 to 1":
        axes.set_ylim(0, 1.02)
    elif scale == "log" and min(values) > 0:
        axes.set_yscale("log")
        axes.set_ylim(min(values) / 2, max(values) * 2)
    elif scale == "from 0" and any(value > 0 for value in values):
        axes.set_ylim(bottom=0)


def _points(rows: Sequence[Mapping[str, Any]], column: str) -> tuple[list[float], list[float]]:
    points = [(row["iteration"], row[column]) for row in rows if row.get(column) is not None]
    return [x for x, _ in points], [y for _, y in points]


def _draw_curve(axes: Any, rows: Sequence[Mapping[str, Any]], curve: Curve) -> list[float]:
    """Returns the values drawn."""
    x, y = _points(rows, curve.column)
    if not x:
        return []
    marker = curve.marker if len(x) <= MOST_MARKERS else ""
    if len(x) == 1:
        marker = marker or "o"  # a line of one point cannot be seen
    style = {"color": curve.colour, "linestyle": curve.line, "drawstyle": curve.steps, "marker": marker}
    axes.plot(x, y, markersize=4, label=curve.label, **style)
    return y
