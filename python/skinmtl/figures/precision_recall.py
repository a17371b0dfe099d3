"""Precision-recall curves: a small panel a lesion, all models in each."""

from __future__ import annotations

from typing import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from skinmtl.figures.labels import label
from skinmtl.figures.panels import set_share_axes
from skinmtl.figures.style import BLACK, BLUE, GREEN, ORANGE, new_figure

# a colour and a dash for each model, so that neither has to be told apart alone
LINES = ((GREEN, (0, (1, 1.2))), (ORANGE, (0, (5, 1.5))), (BLUE, "solid"), (BLACK, (0, (6, 1.5, 1, 1.5))))
LEGEND_ENTRY = 2.6  # inches
WITHOUT_LOOKING = {"color": "0.45", "linestyle": "solid", "linewidth": 0.8}


def precision_recall_figure(
    lesions: Sequence[str],
    positives: Sequence[int],
    prevalence: Sequence[float],
    models: Sequence[tuple[int, str]],
    curves: Sequence[Sequence],
    note: str = "",
) -> Figure:
    """`curves[p][m]` is (recall, precision) of lesion p and model m; `models` are (which line, title).

    A thin line at the `prevalence` of each lesion, its share of the images: the precision without looking at an image.
    """
    across = min(5, len(lesions)) if len(lesions) != 6 else 3
    down = -(-len(lesions) // across)
    width = 2.15 * across + 0.5
    per_line = max(1, int(width // LEGEND_ENTRY))
    legend = 0.2 * -(-(len(models) + 1) // per_line)  # inches
    figure = new_figure(width, 1.95 * down + 0.95 + legend)
    grid = figure.subplots(down, across, squeeze=False)
    figure.subplots_adjust(
        left=0.5 / figure.get_figwidth(), right=0.995, hspace=0.2, wspace=0.12,
        bottom=0.45 / figure.get_figheight(), top=1 - (0.65 + legend) / figure.get_figheight(),
    )  # fmt: skip
    for number, axes in enumerate(grid.flat):
        if number >= len(lesions):
            axes.set_visible(False)
            continue
        axes.set_title(f"{label(lesions[number], 25)} ({positives[number]})", fontsize=8, loc="left", pad=3)
        if positives[number]:
            axes.axhline(prevalence[number], **WITHOUT_LOOKING)
        for (line, _), (recall, precision) in zip(models, curves[number]):
            colour, dash = LINES[line]
            if len(recall):
                axes.plot(
                    np.append(0, recall), np.append(precision[:1], precision), drawstyle="steps-pre", color=colour,
                    linestyle=dash, linewidth=1.2,
                )  # fmt: skip
        if not positives[number]:
            axes.text(0.5, 0.5, "no positive", ha="center", va="center", fontsize=9)
        set_share_axes(axes, number, across, len(lesions), "recall", "precision")
    handles = [Line2D([], [], color=LINES[line][0], linestyle=LINES[line][1], label=title) for line, title in models]
    handles.append(Line2D([], [], **WITHOUT_LOOKING, label="without looking: the lesion's share of the images"))
    figure.legend(
        handles=handles, loc="upper left", ncol=per_line, frameon=False, handlelength=3.2, fontsize=9,
        bbox_to_anchor=(0.4 / figure.get_figwidth(), 1 - 0.28 / figure.get_figheight()),
    )  # fmt: skip
    figure.suptitle(
        f"Precision and recall of each lesion (its images){note.replace(chr(10), ', ')}", x=0.5 / figure.get_figwidth(),
        y=1 - 0.12 / figure.get_figheight(), ha="left", va="top", fontsize=11,
    )  # fmt: skip
    return figure
