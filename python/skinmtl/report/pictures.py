"""A figure as the files of the report and as what its page shows."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from skinmtl.figures.style import SETTINGS, save_figure


def save_and_inline(figure: Figure, folder: Path, name: str) -> str:
    """Writes name.png and name.svg into the folder; returns a data URI for the page.

    The page has the SVG with its letters as outlines: sharp at any size, and the same where the reader's machine lacks
    the font.
    """
    for suffix in (".png", ".svg"):
        save_figure(figure, folder / f"{name}{suffix}")
    drawn = io.BytesIO()
    with matplotlib.rc_context({**SETTINGS, "svg.fonttype": "path"}):
        figure.savefig(drawn, format="svg", bbox_inches="tight", facecolor="white", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(drawn.getvalue()).decode("ascii")
