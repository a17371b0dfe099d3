"""Figure 4: location top-1 and top-3 of two models, with intervals."""

from __future__ import annotations

from typing import Sequence

import numpy as np
from matplotlib.figure import Figure

from skinmtl.figures.style import BLUE, ORANGE, new_figure

WIDTH = 0.36  # of a bar, where the two figures are 1 apart


def location_figure(
    models: Sequence[str], values: Sequence[Sequence[tuple[float, float, float]]], chance: Sequence[float]
) -> Figure:
    """`values[m]` has (value, low, high) of top-1 and of top-3 of model m; two models.

    low and high are nan where there is no interval. A line at the `chance` of either figure, without looking.
    """
    figure = new_figure(5.0, 3.6)
    axes = figure.subplots()
    for number, (title, colour, hatch) in enumerate(zip(models, (ORANGE, BLUE), ("///", ""))):
        for figure_number, (value, low, high) in enumerate(values[number]):
            at = figure_number + (number - 0.5) * (WIDTH + 0.04)
            axes.bar(
                at, value, WIDTH, color=colour, hatch=hatch, edgecolor="white", linewidth=0,
                label=title if not figure_number else None,
            )  # fmt: skip
            if not np.isnan(low):
                ends = [[max(value - low, 0)], [max(high - value, 0)]]
                axes.errorbar(at, value, ends, color="black", capsize=4, lw=1.2)
            axes.text(at, np.nanmax([value, high]) + 0.015, f"{value:.3f}", ha="center", va="bottom", fontsize=9)
    for figure_number, value in enumerate(chance):
        ends = [figure_number - WIDTH - 0.08, figure_number + WIDTH + 0.08]
        label = None if figure_number else "without looking: the most frequent"
        axes.plot(ends, [value, value], color="black", linestyle=(0, (4, 2)), linewidth=1.4, zorder=3, label=label)
    axes.set_xticks([0, 1])
    axes.set_xticklabels(["top-1", "top-3"])
    axes.set_xlim(-0.6, 1.6)
    axes.set_ylim(0, 1.08)
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axes.set_ylabel("location accuracy")
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_title("Body location: accuracy and 95 % intervals", loc="left", fontsize=11, pad=44)
    handles, labels = axes.get_legend_handles_labels()
    last = [*range(1, len(handles)), 0]  # the bars first
    handles, labels = [handles[n] for n in last], [labels[n] for n in last]
    axes.legend(handles, labels, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncol=2, frameon=False, fontsize=9)
    return figure
