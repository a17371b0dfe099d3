"""Reliability diagrams: a small panel a label, the share of positives over the probability that the net gives."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from matplotlib.figure import Figure

from skinmtl.figures.labels import label
from skinmtl.figures.panels import set_share_axes
from skinmtl.figures.shown import MOST_PANELS, said, shown
from skinmtl.figures.style import BLUE, SKY, new_figure


def reliability_figure(labels: Sequence[tuple[str, Mapping[str, Any]]], how: str) -> Figure:
    """`labels` are names, each with what `label_figures` has of it; those without a diagram are left out. `how` is a
    line of the title.

    Each point is an interval of probabilities; its area grows with its images, and the bars say their share. Points
    below the diagonal are of probabilities that are too high. ValueError where no label has a diagram.
    """
    there = [(name, figures) for name, figures in labels if figures.get("reliability")]
    if not there:
        raise ValueError("no label has a reliability diagram")
    panels = [there[p] for p in shown([figures["n_positive"] for _, figures in there], MOST_PANELS)]
    across = min(5, len(panels))
    down = -(-len(panels) // across)
    figure = new_figure(2.15 * across + 0.6, 2.15 * down + 1.0)
    grid = figure.subplots(down, across, squeeze=False)
    figure.subplots_adjust(
        left=0.55 / figure.get_figwidth(), right=0.99, hspace=0.28, wspace=0.14,
        bottom=0.5 / figure.get_figheight(), top=1 - 0.75 / figure.get_figheight(),
    )  # fmt: skip
    for number, axes in enumerate(grid.flat):
        if number >= len(panels):
            axes.set_visible(False)
            continue
        name, figures = panels[number]
        title = f"{label(name, 25)} ({figures['n_positive']}), ECE {figures['ece']:.3f}"
        axes.set_title(title, fontsize=7.5, loc="left", pad=3)
        _panel(axes, figures["reliability"])
        set_share_axes(axes, number, across, len(panels), "mean probability", "share of positives")
    key = "bars: the share of the images; below the diagonal: too sure"
    text = f"Reliability: {how}{said(len(panels), len(there))}\n{key}"
    figure.suptitle(text, x=0.02, y=0.99, ha="left", va="top", fontsize=8.5, linespacing=1.5)
    return figure


def _panel(axes: Any, points: Sequence[Mapping[str, Any]]) -> None:
    images = sum(point["n"] for point in points)
    x, y = ([point[name] for point in points] for name in ("mean_probability", "share_positive"))
    shares = [point["n"] / images for point in points]
    axes.bar(x, shares, width=0.06, color=SKY, alpha=0.45, linewidth=0)
    axes.plot([0, 1], [0, 1], color="0.55", linewidth=0.8, linestyle=":")
    axes.plot(x, y, color=BLUE, linewidth=1)
    axes.scatter(x, y, s=[8 + 60 * share for share in shares], color=BLUE, zorder=3)
