"""What every figure shares: a canvas without global state, colours, and how it is written.

The colours are Okabe and Ito's, which colour-blind readers can tell apart.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from caffe_files.outputs import new_file

BLACK, ORANGE, SKY, GREEN = "#000000", "#e69f00", "#56b4e9", "#009e73"
YELLOW, BLUE, RED, PURPLE = "#f0e442", "#0072b2", "#d55e00", "#cc79a7"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY, BLACK, YELLOW)
DPI = 150
# text stays text in the SVG, and its element names do not change from run to run
SETTINGS = {"svg.fonttype": "none", "svg.hashsalt": "skinmtl", "font.size": 10, "axes.axisbelow": True}


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of `width` x `height` inches that pyplot does not know of."""
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path, dpi: int = DPI) -> None:
    """Writes the figure as its path's suffix says, .png or .svg, whole or not at all; no date is written into it."""
    metadata: dict[str, Any] = {".png": {"Software": None}, ".svg": {"Date": None}}[path.suffix]
    with matplotlib.rc_context(SETTINGS), new_file(path) as partial:
        figure.savefig(
            str(partial), dpi=dpi, bbox_inches="tight", facecolor="white", metadata=metadata, format=path.suffix[1:]
        )
