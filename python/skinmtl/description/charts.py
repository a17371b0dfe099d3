"""Charts of a data set: how frequent labels are, which come together, how large the images are."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from skinmtl.description.file_summary import SIDES, FileSummary
from skinmtl.description.headers import read_header
from skinmtl.description.labels import RARE_BELOW, LabelCounts, Labels, shares
from skinmtl.figures.heat_map import heat_map
from skinmtl.figures.labels import label
from skinmtl.figures.shown import most_frequent, said, shown
from skinmtl.figures.style import BLUE, DPI, ORANGE, RED, new_figure, save_figure

BARS = 100  # labels of a chart at most, and of a side of a heat map: more cannot be read (our choice)
CELLS = 60
BINS = 40
PHONE = 4.4  # inches: a chart's width, of which a phone's page shows nearly nine tenths
BAR_ROW, LONGEST_NAME = 0.36, 60  # inches of a bar with its name, and characters of the name
SHOWN_DPI = 96  # of a page's pixel: a chart of style.DPI is shown smaller, so that its text has the page's size


def label_bars(counts: LabelCounts, what: str) -> Figure:
    """A bar a label, the most frequent first, below its name: images, and groups as a mark on it. BARS at most."""
    order = most_frequent(counts.images, BARS)
    images, groups = counts.images[order], counts.groups[order]
    places = np.arange(len(order))
    body, head = BAR_ROW * len(order), 0.7
    figure = new_figure(PHONE, body + head + 0.5)
    axes = figure.add_axes((0.01, 0.5 / (body + head + 0.5), 0.98, body / (body + head + 0.5)))
    colours = [ORANGE if n < RARE_BELOW else BLUE for n in images]
    axes.set_axisbelow(True)
    axes.barh(places, images, 0.36, color=colours)
    axes.barh(places, groups, 0.1, color="white", alpha=0.85)
    largest = max(int(images.max()), 1)
    for place, n in zip(places, images):
        axes.text(n + 0.01 * largest, place, f"{n:,}", va="center", fontsize=8.5)
    axes.set_yticks(places - 0.22)
    axes.set_yticklabels([label(counts.names[n], LONGEST_NAME) for n in order], fontsize=9, ha="left", va="bottom")
    axes.set_ylim(len(order) - 0.7, -0.8)
    axes.set_xlim(0, 1.14 * largest)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.tick_params(axis="y", length=0, pad=0)
    axes.tick_params(axis="x", labelsize=8.5)
    axes.grid(axis="x", color="0.9")
    axes.set_xlabel("images; the thin line inside: groups", fontsize=9)
    rare = f"\norange: fewer than {RARE_BELOW} images" if (images < RARE_BELOW).any() else ""
    axes.set_title(f"Images of each {what}{said(len(order), len(counts.names))}{rare}", loc="left", fontsize=10.5)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    return figure


def together_map(labels: Labels) -> Figure:
    """Of the images with the row's lesion, the share that has the column's lesion too; the diagonal is left out."""
    counts = labels.lesions
    order = shown(counts.images, CELLS)
    part = shares(labels.together, counts.images)
    np.fill_diagonal(part, np.nan)
    names = [counts.names[p] for p in order]
    title = f"Which lesions come together, in % of the row's images{said(len(order), len(counts.names))}"
    return heat_map(
        part[np.ix_(order, order)], counts.images[order], names, names, title, "lesion (images)", "and this lesion"
    )


def location_map(labels: Labels) -> Figure:
    """Equation 1: of the images with the row's lesion, the share at each location."""
    rows = shown(labels.lesions.images, CELLS)
    columns = shown(labels.locations.images, CELLS)
    part = shares(labels.at_location, labels.lesions.images)[np.ix_(rows, columns)]
    cut = said(len(rows), len(labels.lesions.names), "lesions")
    cut += said(len(columns), len(labels.locations.names), "locations")
    return heat_map(
        part,
        labels.lesions.images[rows],
        [labels.lesions.names[p] for p in rows],
        [labels.locations.names[q] for q in columns],
        f"Where each lesion is seen, in % of its images{cut}",
        "lesion (images)",
        "body location",
    )


def size_histograms(files: FileSummary) -> Figure:
    """The shorter sides, on a scale of doublings, with the net's sides marked; and the aspect ratios."""
    short, aspect = files.short_sides(), files.aspects()
    figure = new_figure(PHONE, 5.2)
    upper, lower = figure.subplots(2, 1)
    low, high = min(short.min(), SIDES[0]) / 1.1, max(short.max(), SIDES[-1]) * 1.1
    upper.hist(short, np.geomspace(low, high, BINS), color=BLUE)
    upper.set_xscale("log")
    ticks = [side for side in (2**n for n in range(1, 18)) if low <= side <= high]
    upper.set_xticks(ticks)
    upper.set_xticks([], minor=True)
    upper.set_xticklabels([str(side) for side in ticks])
    upper.set_xlim(low, high)
    for side in SIDES:
        upper.axvline(side, color=RED, linewidth=1, linestyle="--")
        place = "right" if side == SIDES[0] else "left"  # 224 and 256 are too near for both in the middle
        upper.text(side, 1.01, str(side), transform=upper.get_xaxis_transform(), ha=place, fontsize=8, color=RED)
    upper.set_xlabel("shorter side, pixels", fontsize=9)
    lower.hist(np.minimum(aspect, 4), np.linspace(1, 4, BINS), color=BLUE)
    lower.set_xlim(1, 4)
    lower.set_xlabel("longer / shorter side (4: 4 or more)", fontsize=9)
    for axes in (upper, lower):
        axes.set_ylabel("images", fontsize=9)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.tick_params(labelsize=8.5)
        axes.grid(axis="y", color="0.9")
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.subplots_adjust(hspace=0.42)
    return figure


def save_picture(figure: Figure, path: Path) -> tuple[int, int]:
    """Writes the figure as a PNG; returns the width and height to show it with, in a page's pixels."""
    with unknown_signs_pass():
        save_figure(figure, path)
    header = read_header(path.read_bytes())
    return round(header.width * SHOWN_DPI / DPI), round(header.height * SHOWN_DPI / DPI)


@contextmanager
def unknown_signs_pass() -> Iterator[None]:
    """A sign that matplotlib's font lacks is drawn as a box, without a warning for each: the page has the name."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield
