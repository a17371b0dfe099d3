"""Plain-text tables for the screen: figures in, lines out."""

from __future__ import annotations

from typing import Any


def columns(rows: list[list[str]]) -> list[str]:
    """Lines with the first column aligned left, the others right, two spaces between."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    return [
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width) for index, (cell, width) in enumerate(zip(row, widths))
        )
        for row in rows
    ]


def summary(figures: dict[str, Any]) -> str:
    """What `metrics.evaluate` returns in one line, for the heads that there are.

    >>> figures = {"map_class": None, "map_image": None, "average_precision": None}
    >>> summary({**figures, "location_top1": 0.5, "chance_location_top1": 0.25})
    'location top-1 0.500 (chance 0.250)'
    """
    parts = []
    if figures["average_precision"] is not None and not figures["n_images_used"]:
        parts.append("no mAP, since no image has a lesion")
    elif figures["average_precision"] is not None:
        without = figures["n_images_without_lesion"]
        over = f" over the {figures['n_images_used']} images with a lesion" if without else ""
        parts += [
            _with_chance(figures, "map_class", "mAP-class"),
            _with_chance(figures, "map_image", "mAP-image") + over,
        ]
    if figures["location_top1"] is not None:
        parts.append(_with_chance(figures, "location_top1", "location top-1"))
    return ", ".join(parts)


def _with_chance(figures: dict[str, Any], name: str, words: str) -> str:
    return f"{words} {as_number(figures[name])} (chance {as_number(figures[f'chance_{name}'])})"


def resampling(figures: dict[str, Any]) -> list[str]:
    """How the intervals were made, and why some are not there."""
    made = figures["bootstrap"]
    drawn = "images, each by itself" if made["n_groups"] == figures["n_images"] else "groups of images"
    lines = [f"intervals: {made['resamples']} resamples of {made['n_groups']} {drawn}, seed {made['seed']}"]
    counts = made["resamples_without_positive"].items()
    ends = figures["intervals"].get("average_precision") or {}
    without = [f"{name} ({count})" for name, count in counts if count and ends.get(name)]
    if without:
        lines.append(f"resamples without a positive, left out of the lesion's interval: {', '.join(without)}")
    return lines + too_few(figures)


def too_few(figures: dict[str, Any]) -> list[str]:
    """A line on figures that have no interval, where there are some."""
    if not _lacks(figures["intervals"], figures):
        return []
    fewest = figures["bootstrap"]["fewest"]
    return [f"too few for an interval: fewer than {fewest} groups with or without it, or the same in every resample"]


def _lacks(ends: dict[str, Any], figures: dict[str, Any]) -> bool:
    """Whether an interval is missing for a figure that is there, by figure, label or class."""
    for name, value in ends.items():
        of_name = figures.get(name)
        if value is None and of_name is not None:
            return True
        if isinstance(value, dict) and _lacks(value, of_name):
            return True
    return False


def with_range(value: float | None, ends: list[float] | None) -> str:
    """An interval; "too few" where a figure has none, "-" where there is no figure."""
    return "too few" if ends is None and value is not None else as_range(ends)


def as_range(ends: list[float] | None) -> str:
    """An interval, or "-" where there is none."""
    return "-" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}"


def as_number(value: float | None) -> str:
    """Three digits, or "-" where there is no figure."""
    return "-" if value is None else f"{value:.3f}"
