"""The figures of labels as plain text for the screen: each label, then the set, then what was counted."""

from __future__ import annotations

from typing import Any

from skinmtl.scores.decision_table import decision_lines
from skinmtl.scores.label_figures import MEANS, OF_HEAD
from skinmtl.scores.label_tables import label_tables, mean_rows
from skinmtl.scores.subgroup_tables import subgroup_tables
from skinmtl.scores.tables import as_number, columns, resampling, with_range

CONFUSION_LABELS = 12  # a table of more is too wide for a screen; the JSON has it


def evaluation_table(figures: dict[str, Any]) -> str:
    """What `evaluating.evaluated` returns of labels, as text; "-" where there is no figure.

    Where there are intervals, each figure is followed by its own.
    """
    lines = []
    ends = figures.get("intervals")
    title = [f"{100 * figures['bootstrap']['level']:g} % interval"] if ends else []
    for head, key in OF_HEAD.items():
        if figures[key] is not None:
            lines += label_tables(figures, head)
    names = {"map_class": "mAP-class", "map_image": "mAP-image"}
    if figures.get("balanced_accuracy") is not None:
        names.update(lesion_accuracy="accuracy", balanced_accuracy="balanced accuracy")
    names.update(location_top1="location top-1", location_top3="location top-3")
    names.update(mean_rows(figures))
    rows = [["figure", "value", *title, "without looking"]]
    for name, words in names.items():
        more = [with_range(figures[name], ends[name])] if ends else []
        rows.append([words, as_number(figures[name]), *more, as_number(_chance(figures, name))])
    lines += [*columns(rows), ""]
    lines += decision_lines(figures)
    if figures.get("subgroups") is not None:
        lines += [*subgroup_tables(figures), ""]
    if figures.get("lesion_confusion") is not None and len(figures["support"]) <= CONFUSION_LABELS:
        lines += [*_confusion(figures), ""]
    return "\n".join(lines + _counts(figures) + (resampling(figures) if ends else []))


def _chance(figures: dict[str, Any], name: str) -> float | None:
    return 0.5 if name in MEANS.values() else figures[f"chance_{name}"]


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
    if figures.get("external_test") is not None:
        lines.append("locations are left out of an external test")
    elif figures["n_locations"] is None:
        lines.append("no location head: no top-1, no top-3")
    else:
        lines.append(
            f"{figures['n_locations']} locations; images with the true one tied: {figures['n_tied_locations']}, "
            "counted against the model"
        )
    return lines
