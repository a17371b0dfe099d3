"""Figures of names that anybody may have written."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from matplotlib.figure import Figure

from skinmtl.description.headers import read_header
from skinmtl.figures.style import DPI, save_figure

SHOWN_DPI = 96  # of a page's pixel: a chart of style.DPI is shown smaller, so that its text has the page's size


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
