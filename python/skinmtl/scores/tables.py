"""Plain-text tables for the screen: figures in, lines out."""

from __future__ import annotations

from typing import Any

CONFUSION_LABELS = 12  # a table of more is too wide for a screen; the JSON has it


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
    """What `metrics.evaluate` returns, as text; "-" where there is no figure.

    Where `bootstrap.intervals` has added its own, each figure is followed by its interval.
    """
    lines = []
    ends = figures.get("intervals")
    title = [f"{100 * figures['bootstrap']['level']:g} % interval"] if ends else []
    if figures["average_precision"] is not None:
        rows = [["lesion", "positives", "AP", *title]]
        for name, value in figures["average_precision"].items():
            more = [as_range(ends["average_precision"][name])] if ends else []
            rows.append([name, str(figures["support"][name]), as_number(value), *more])
        lines += [*columns(rows), ""]
    names = {"map_class": "mAP-class", "map_image": "mAP-image"}
    if figures.get("balanced_accuracy") is not None:
        names.update(lesion_accuracy="accuracy", balanced_accuracy="balanced accuracy")
    names.update(location_top1="location top-1", location_top3="location top-3")
    rows = [["figure", "value", *title, "without looking"]]
    for name, words in names.items():
        more = [as_range(ends[name])] if ends else []
        rows.append([words, as_number(figures[name]), *more, as_number(figures[f"chance_{name}"])])
    lines += [*columns(rows), ""]
    if figures.get("lesion_confusion") is not None and len(figures["support"]) <= CONFUSION_LABELS:
        lines += [*_confusion(figures), ""]
    return "\n".join(lines + _counts(figures) + (resampling(figures) if ends else []))


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


def _confusion(figures: dict[str, Any]) -> list[str]:
    """Images by the true lesion, a row each, and by the answer, a column each, which the rows' numbers head."""
    names = list(figures["support"])
    rows = [["images answered as", *(str(number) for number, _ in enumerate(names, 1)), "share right"]]
    for number, (name, counts) in enumerate(zip(names, figures["lesion_confusion"]), 1):
        rows.append([f"{number} {name}", *map(str, counts), as_number(figures["lesion_recall"][name])])
    return columns(rows)


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


def resampling(figures: dict[str, Any]) -> list[str]:
    """How the intervals were made."""
    made = figures["bootstrap"]
    drawn = "images, each by itself" if made["n_groups"] == figures["n_images"] else "groups of images"
    lines = [f"intervals: {made['resamples']} resamples of {made['n_groups']} {drawn}, seed {made['seed']}"]
    counts = made["resamples_without_positive"].items()
    without = [f"{name} ({count})" for name, count in counts if count and figures["support"][name]]
    if without:
        lines.append(f"resamples without a positive, left out of the lesion's interval: {', '.join(without)}")
    return lines


def as_range(ends: list[float] | None) -> str:
    """An interval, or "-" where there is none."""
    return "-" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}"


def as_number(value: float | None) -> str:
    """Three digits, or "-" where there is no figure."""
    return "-" if value is None else f"{value:.3f}"
