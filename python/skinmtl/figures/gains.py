"""What MTL gains over ResNet: lesion by lesion, and against how strongly each lesion depends on the location."""

from __future__ import annotations

from typing import Sequence

import numpy as np
from matplotlib.figure import Figure

from skinmtl.figures.gains_labels import place_labels
from skinmtl.figures.labels import label
from skinmtl.figures.style import BLUE, ORANGE, new_figure


def gains_figure(
    names: Sequence[str], gains: np.ndarray, low: np.ndarray, high: np.ndarray, n_means: int, note: str = ""
) -> Figure:
    """A line for each of `names`: (R,) gains with the ends of their intervals; the last `n_means` are set apart.

    A filled circle where the interval excludes 0, an open one where it does not; nothing where there is no figure.
    """
    places = np.arange(len(names), dtype=float)
    places[len(names) - n_means :] += 0.6
    figure = new_figure(6.4, 0.26 * len(names) + 1.3)
    axes = figure.subplots()
    axes.axvline(0, color="0.4", linewidth=1)
    for place, gain, start, end in zip(places, gains, low, high):
        if np.isnan(gain):
            axes.text(0, place, " no positive", va="center", fontsize=8)
            continue
        colour = BLUE if gain >= 0 else ORANGE
        clear = start > 0 or end < 0
        axes.plot([start, end], [place, place], color=colour, linewidth=1.6, solid_capstyle="butt")
        axes.plot(gain, place, "o", color=colour, markerfacecolor=colour if clear else "white", markersize=5.5)
    axes.set_yticks(places)
    axes.set_yticklabels([label(name) for name in names], fontsize=9)
    axes.set_ylim(places[-1] + 0.7, -0.7)
    axes.axhline(places[-n_means] - 0.8, color="0.8", linewidth=0.8)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("average precision of MTL minus that of ResNet (right of 0: MTL is better)")
    title = f"Gain of MTL over ResNet, 95 % intervals\nfilled: the interval excludes 0{note}"
    axes.set_title(title, loc="left", fontsize=11)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    return figure


def gain_against_strength_figure(
    names: Sequence[str], strengths: np.ndarray, gains: np.ndarray, low: np.ndarray, high: np.ndarray, note: str
) -> Figure:
    """A point for each lesion with both numbers, (P,) in bits and in average precision, its interval, and its name."""
    there = np.isfinite(strengths) & np.isfinite(gains)
    figure = new_figure(8.0, 5.6)
    axes = figure.subplots()
    axes.axhline(0, color="0.4", linewidth=1)
    x, y = strengths[there], gains[there]
    for at, start, end in zip(x, low[there], high[there]):
        axes.plot([at, at], [start, end], color="0.82", linewidth=1.2, zorder=1)
    axes.plot(x, y, "o", color=BLUE, markersize=5, zorder=3)
    axes.set_xlabel("strength of the lesion-location correlation (bits)")
    axes.set_ylabel("average precision of MTL minus that of ResNet")
    axes.set_title(f"Do lesions that depend on the location gain more?\n{note}", loc="left", fontsize=11)
    axes.margins(0.08, 0.1)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    place_labels(figure, axes, [label(name, 26) for name, is_there in zip(names, there) if is_there], x, y)
    return figure
