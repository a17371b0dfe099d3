"""Decision curves: a small panel a lesion, the net benefit over the threshold, beside calling all images and none."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from skinmtl.figures.labels import label
from skinmtl.figures.precision_recall import LEGEND_ENTRY, LINES
from skinmtl.figures.shown import MOST_PANELS, said, shown
from skinmtl.figures.style import new_figure

CALL_ALL = {"color": "0.45", "linestyle": "solid", "linewidth": 0.8}
CALL_NONE = {"color": "0.45", "linestyle": (0, (1, 1.5)), "linewidth": 0.9}
NET = 2  # of LINES: the solid one
BELOW = 0.35  # of the prevalence: how far a panel goes below 0


def decision_curve_figure(
    lesions: Sequence[tuple[str, int, float]],
    thresholds: np.ndarray,
    models: Sequence[tuple[int, str]],
    curves: Sequence[Sequence[np.ndarray]],
    call_all: Sequence[np.ndarray],
    how: str,
    bands: Sequence[tuple[np.ndarray, np.ndarray]] | None = None,
) -> Figure:
    """`lesions` are (name, positives, prevalence), `models` (which line, title), `curves[p][m]` the net benefit (T,) of
    model m at the `thresholds`, `call_all[p]` that of calling all; `bands[p]` are the ends of the one model's interval,
    nan where it has none. `how` is a line of the title.

    Each panel has a scale of its own, from below 0 to above the prevalence, which is the most that a net can be worth.
    ValueError where there is no lesion.
    """
    if not lesions:
        raise ValueError("no lesion has a decision curve")
    panels = shown([positives for _, positives, _ in lesions], MOST_PANELS)
    across = min(5, len(panels)) if len(panels) != 6 else 3
    down = -(-len(panels) // across)
    width = max(2.3 * across + 0.5, 5.4)
    handles = [Line2D([], [], color=LINES[line][0], linestyle=LINES[line][1], label=title) for line, title in models]
    handles += [
        Line2D([], [], **CALL_ALL, label="calling all images"),
        Line2D([], [], **CALL_NONE, label="calling none"),
    ]
    if bands is not None:
        handles.append(Patch(facecolor=LINES[models[0][0]][0], alpha=0.2, label="interval of the net"))
    per_line = max(1, int(width // LEGEND_ENTRY))
    title = f"Decision curves: {how}{said(len(panels), len(lesions))}"
    head = 0.2 * -(-len(handles) // per_line) + 0.2 * title.count("\n")  # inches
    figure = new_figure(width, 1.95 * down + 1.0 + head)
    grid = figure.subplots(down, across, squeeze=False)
    figure.subplots_adjust(
        left=0.6 / figure.get_figwidth(), right=0.985, hspace=0.24, wspace=0.3,
        bottom=0.5 / figure.get_figheight(), top=1 - (0.7 + head) / figure.get_figheight(),
    )  # fmt: skip
    for number, axes in enumerate(grid.flat):
        if number >= len(panels):
            axes.set_visible(False)
            continue
        p = panels[number]
        name, positives, prevalence = lesions[p]
        axes.set_title(f"{label(name, 25)} ({positives})", fontsize=8, loc="left", pad=3)
        axes.axhline(0, **CALL_NONE)
        axes.plot(thresholds, call_all[p], **CALL_ALL)
        if bands is not None:
            axes.fill_between(thresholds, *bands[p], color=LINES[models[0][0]][0], alpha=0.2, linewidth=0)
        for (line, _), worth in zip(models, curves[p]):
            colour, dash = LINES[line]
            axes.plot(thresholds, worth, color=colour, linestyle=dash, linewidth=1.2)
        top = 1.08 * prevalence if bands is None else np.nanmax([1.08 * prevalence, *bands[p][1]])
        _set_axes(axes, prevalence, top, number % across == 0, number + across >= len(panels))
    left, below_title = 0.5 / figure.get_figwidth(), 0.3 + 0.2 * title.count("\n")
    figure.suptitle(title, x=left, y=1 - 0.12 / figure.get_figheight(), ha="left", va="top", fontsize=9)
    figure.legend(
        handles=handles, loc="upper left", ncol=per_line, frameon=False, handlelength=3.2, fontsize=9,
        bbox_to_anchor=(left - 0.1 / figure.get_figwidth(), 1 - below_title / figure.get_figheight()),
    )  # fmt: skip
    return figure


def evaluated_curves_figure(figures: Mapping[str, Any], name: str) -> Figure:
    """That of what `evaluating.evaluated` returns, of the scores file `name`; lesions without a curve are left out."""
    found = figures["decision_curves"]
    of_lesions = {lesion: curve for lesion, curve in found["of_lesions"].items() if curve is not None}
    counts = [(figures["of_lesions"][lesion], lesion) for lesion in of_lesions]
    bands = None
    if figures.get("bootstrap"):
        bands = [_band(curve["intervals"]) for curve in of_lesions.values()]
    of_images = f"{name}, {figures['n_images']} images; in brackets the images with the lesion"
    how = f"{of_images}\nprobabilities {found['probabilities']}"
    return decision_curve_figure(
        [(lesion, of["n_positive"], of["prevalence"]) for of, lesion in counts],
        np.array(found["thresholds"]),
        [(NET, "calling by the net")],
        [[np.array(curve["net_benefit"])] for curve in of_lesions.values()],
        [np.array(curve["call_all"]) for curve in of_lesions.values()],
        how,
        bands,
    )


def _band(intervals: Sequence[Sequence[float] | None]) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.array([ends or (np.nan, np.nan) for ends in intervals]).T
    return low, high


def _set_axes(axes: Any, prevalence: float, top: float, first: bool, last: bool) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(-BELOW * prevalence, top)
    axes.set_xticks([0, 0.5, 1])
    axes.set_yticks([0, prevalence])
    axes.set_yticklabels(["0", f"{prevalence:.2g}"])
    axes.grid(color="0.9", linewidth=0.6)
    axes.tick_params(labelsize=7, labelbottom=last, length=2, pad=2)
    if last:
        axes.set_xlabel("threshold of the probability", fontsize=8)
    if first:
        axes.set_ylabel("net benefit", fontsize=8)
