"""The figures of regions as plain text for the screen."""

from __future__ import annotations

from typing import Any

from skinmtl.scores.region_metrics import LEAST_JACCARD, OF_CLASS, OF_MASK
from skinmtl.scores.tables import as_number, columns, resampling, with_range

WORDS = {
    "ac": "AC",
    "ap": "AP",
    "auc": "AUC",
    "se": "SE",
    "sp": "SP",
    "sp_at_se82": "SP at SE 0.82",
    "sp_at_se89": "SP at SE 0.89",
    "sp_at_se95": "SP at SE 0.95",
    "ja": "JA",
    "di": "DI",
    "ja65": f"JA, 0 below {LEAST_JACCARD}",
}
OF_BOXES = {
    "box_ap50": "AP at IoU 0.5",
    "box_ap75": "AP at IoU 0.75",
    "box_map50": "mean AP of the classes at IoU 0.5",
    "box_map75": "mean AP of the classes at IoU 0.75",
    "box_iou": "IoU",
    "detected": "detected",
}
LEFT_OUT = (
    ("masks", "n_without_true_mask", "a true mask"),
    ("boxes", "n_without_true_box", "a lesion in a true mask"),
)


def region_table(figures: dict[str, Any], resampled: bool = True) -> str:
    """What `evaluate_regions` returns, as text, with intervals where `region_intervals` has added them; "-" where there
    is no figure. A part that the model has no head for is left out. `resampled`: say how the intervals were made."""
    ends = figures.get("intervals")
    title = [f"{100 * figures['bootstrap']['level']:g} % interval"] if ends else []
    parts = []
    if figures["by_class"] is not None:
        which = figures["class_positive"]
        of_class = {f"class_{name}": WORDS[name] for name in OF_CLASS}
        head = f"class: {which} against the rest" if which else "class: mean of each against the rest"
        parts.append([[head, "value", *title], *_rows(figures, {**of_class, "class_top1": "top-1"})])
    if figures["n_without_true_mask"] is not None:
        of_mask = {f"mask_{name}": WORDS[name] for name in OF_MASK}
        parts.append([["mask: mean over images", "value", *title], *_rows(figures, of_mask)])
    of_boxes = {name: words for name, words in OF_BOXES.items() if "map" not in name or figures["by_class"] is not None}
    parts.append([["box", "value", *title], *_rows(figures, of_boxes)])
    lines = [line for part in parts for line in [*columns(part), ""]]
    if figures["by_class"] is not None and (len(figures["by_class"]) > 2 or not figures["class_positive"]):
        lines += [*columns(_classes(figures["by_class"])), ""]
    return "\n".join(lines + _counts(figures) + (resampling(figures) if ends and resampled else []))


def region_summary(figures: dict[str, Any]) -> str:
    """The same in one line.

    >>> region_summary({"class_auc": None, "mask_ja": 0.75, "box_ap50": 0.5, "detected": 1.0})
    'mean JA 0.750, box AP at IoU 0.5 0.500, detected 1.000'
    """
    words = {"class_auc": "AUC", "mask_ja": "mean JA", "box_ap50": "box AP at IoU 0.5", "detected": "detected"}
    return ", ".join(f"{word} {figures[name]:.3f}" for name, word in words.items() if figures[name] is not None)


def _rows(figures: dict[str, Any], words: dict[str, str]) -> list[list[str]]:
    ends = figures.get("intervals")
    return [
        [word, as_number(figures[name]), *([with_range(figures[name], ends[name])] if ends else [])]
        for name, word in words.items()
    ]


def _classes(by_class: dict[str, dict[str, Any]]) -> list[list[str]]:
    names = [*OF_CLASS[:5], "box_ap50", "box_ap75"]
    rows = [["class", "images", *(WORDS.get(name, OF_BOXES.get(name, "")) for name in names)]]
    for name, of_class in by_class.items():
        rows.append([name, str(of_class["n_positive"]), *(as_number(of_class[figure]) for figure in names)])
    return rows


def _counts(figures: dict[str, Any]) -> list[str]:
    lines = [f"{figures['n_images']} images; {figures['n_not_detected']} without a detection, for which the likeliest "
             "place answers"]  # fmt: skip
    for what, key, words in LEFT_OUT:
        if figures[key]:
            images = "image" if figures[key] == 1 else "images"
            lines.append(f"{what}: {figures[key]} {images} without {words}, left out")
    if figures["by_class"] is not None:
        lines.append("a class is called above 0.5; a figure without a positive or a negative is -, and leaves the mean")
    return lines
