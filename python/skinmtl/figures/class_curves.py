"""Precision-recall and ROC curves of one class against the rest, all nets in each."""

from __future__ import annotations

from typing import NamedTuple, Sequence

import numpy as np
from matplotlib.figure import Figure

from skinmtl.figures.style import CYCLE, new_figure

DASHES = ("solid", (0, (5, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (3, 1)), (0, (8, 2)))


class Ranked(NamedTuple):
    """The images of a set by one net: which are positive (N,) bool, and their scores (N,)."""

    title: str
    positive: np.ndarray
    scores: np.ndarray


def class_curves_figure(name: str, ranked: Sequence[Ranked]) -> Figure:
    """Two panels. No interpolation: precision over recall is drawn as the steps whose area is the AP."""
    figure = new_figure(9.5, 4.6)
    left, right = figure.subplots(1, 2)
    for number, each in enumerate(ranked):
        recall, precision, false, true = curve_points(each.positive, each.scores)
        style = {"color": CYCLE[number % len(CYCLE)], "linestyle": DASHES[number % len(DASHES)], "linewidth": 1.4}
        if len(recall):
            left.plot(np.append(0, recall), np.append(precision[:1], precision), drawstyle="steps-pre", **style)
        right.plot(false, true, label=each.title, **style)
    share = float(ranked[0].positive.mean()) if ranked else 0.0
    left.axhline(share, color="0.6", linewidth=0.8, linestyle=":")
    right.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, linestyle=":")
    for axes, across, up in ((left, "recall", "precision"), (right, "1 - specificity", "sensitivity")):
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.grid(color="0.9", linewidth=0.6)
    figure.suptitle(f"{name} against the rest; dotted: by chance", x=0.02, ha="left", fontsize=11)
    figure.subplots_adjust(left=0.07, right=0.99, top=0.9, bottom=0.25, wspace=0.18)
    handles, titles = right.get_legend_handles_labels()
    figure.legend(handles, titles, loc="lower center", ncol=min(3, max(len(titles), 1)), frameon=False, handlelength=3)
    return figure


def curve_points(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(recall, precision) at the thresholds that find a positive, and (1 - specificity, sensitivity) at all of them and
    at none, each (K,) rising. Tied images share one threshold. Empty where there is no positive or no negative."""
    positive = np.asarray(positive, bool)
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    hit, values = positive[order], np.asarray(scores)[order]
    last_of_tie = np.append(values[1:] != values[:-1], True) if len(values) else np.zeros(0, bool)
    found, wrong = np.cumsum(hit)[last_of_tie], np.cumsum(~hit)[last_of_tie]
    positives, negatives = positive.sum(), (~positive).sum()
    if not positives or not negatives:
        return (np.zeros(0),) * 4
    gains = np.diff(np.append(0, found)) > 0
    recall, precision = found[gains] / positives, found[gains] / (found + wrong)[gains]
    return recall, precision, np.append(0, wrong / negatives), np.append(0, found / positives)
