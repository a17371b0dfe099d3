"""What the page and the text file are made of: sections of notes, tables and pictures, and how names and numbers are
written in them."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Sequence

import numpy as np

NAMED, LONGEST = 6, 60  # names in a sentence, and columns of each; the tables have all


@dataclass(frozen=True)
class Table:
    """`text` are the columns, from 0, that hold words, not numbers; `links` leads the first cell of a row somewhere."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: frozenset[int] = frozenset({0})
    links: Sequence[str] = ()
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """`name` is its file beside the page, drawn at figures.style.DPI."""

    name: str
    alt: str
    caption: str


@dataclass(frozen=True)
class Section:
    """`key` is what a link within the page leads to."""

    key: str
    title: str
    notes: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()


def percent(part: float) -> str:
    """A share in percent, with more digits where it is small; "-" where there is none."""
    if np.isnan(part):
        return "-"
    if 0 < part < 0.0005:
        return "<0.1 %"
    return f"{100 * part:.1f} %" if 0 < part < 0.0995 else f"{100 * part:.0f} %"


def listed(names: Sequence[str], at_most: int = NAMED) -> str:
    """The names joined by commas, long ones shortened; how many more there are where they are too many."""
    more = f" and {len(names) - at_most:,} more" if len(names) > at_most else ""
    return ", ".join(shortened(name) for name in names[:at_most]) + more


def shortened(name: str, columns: int = LONGEST) -> str:
    """The name without its middle where it is wider than `columns` of a terminal."""
    if width(name) <= columns:
        return name
    start, end = name[: columns // 2], name[-(columns // 2) :]
    while width(start) + width(end) >= columns:
        start, end = start[:-1], end[1:]
    return f"{start}…{end}"


def width(text: str) -> int:
    """Columns that a terminal gives to it."""
    wide = sum(unicodedata.east_asian_width(sign) in "WF" for sign in text)
    return len(text) + wide - sum(1 for sign in text if unicodedata.combining(sign))
