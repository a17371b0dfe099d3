"""Panels of a grid whose axes are shares, both from 0 to 1."""

from __future__ import annotations

from typing import Any


def set_share_axes(axes: Any, number: int, across: int, count: int, x_label: str, y_label: str) -> None:
    """The axes of panel `number` of `count`, `across` of them in a row; names and numbers stand at the grid's left and
    below the last panel of each column alone."""
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xticks([0, 0.5, 1])
    axes.set_yticks([0, 0.5, 1])
    axes.grid(color="0.9", linewidth=0.6)
    last_of_column = number + across >= count
    axes.tick_params(labelsize=7, labelbottom=last_of_column, labelleft=number % across == 0, length=2)
    if last_of_column:
        axes.set_xlabel(x_label, fontsize=8)
    if number % across == 0:
        axes.set_ylabel(y_label, fontsize=8)
