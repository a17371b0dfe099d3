"""Names in figures: as they are written, however long, whatever signs they have."""

from __future__ import annotations


def label(name: str, longest: int = 34) -> str:
    """The name for a figure: a longer one loses its middle, and a dollar sign is no formula."""
    if len(name) > longest:
        start = (longest - 1) * 2 // 3
        name = f"{name[:start].rstrip()}…{name[start + 1 - longest :].lstrip()}"
    return name.replace("$", r"\$")
