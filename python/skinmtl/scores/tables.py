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


def evaluation_table(figures: dict[str, Any]) -> str:
    """What `metrics.evaluate` returns, as text; "-" where there is no figure."""
    lines = []
    if figures["average_precision"] is not None:
        rows = [["lesion", "positives", "AP"]]
        for name, value in figures["average_precision"].items():
            rows.append([name, str(figures["support"][name]), _number(value)])
        lines += [*columns(rows), ""]
    names = {"map_class": "mAP-class", "map_image": "mAP-image"}
    names.update(location_top1="location top-1", location_top3="location top-3")
    rows = [["figure", "value", "without looking"]]
    rows += [[title, _number(figures[name]), _number(figures[f"chance_{name}"])] for name, title in names.items()]
    lines += [*columns(rows), ""]
    return "\n".join(lines + _counts(figures))


def _counts(figures: dict[str, Any]) -> list[str]:
    lines = [f"{figures['n_images']} images"]
    if figures["average_precision"] is None:
        lines.append("no lesion head: no mAP")
    else:
        without = len(figures["classes_without_positive"])
        lines += [
            f"mAP-class over {figures['n_classes_used']} of {figures['n_classes']} classes; "
            f"{without} without a positive, left out",
            f"mAP-image over {figures['n_images_used']} of {figures['n_images']} images; "
            f"{figures['n_images_without_lesion']} without a lesion, left out",
            f"ties share one threshold; positives tied with another image: {figures['n_tied_in_classes']}, "
            f"with another class: {figures['n_tied_in_images']}",
        ]
    if figures["n_locations"] is None:
        lines.append("no location head: no top-1, no top-3")
    else:
        lines.append(
            f"{figures['n_locations']} locations; images with the true one tied: {figures['n_tied_locations']}, "
            "counted against the model"
        )
    return lines


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
