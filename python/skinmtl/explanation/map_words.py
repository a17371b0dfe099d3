"""The figures of maps against masks, for reading: a table, and in words whether the maps beat the middle."""

from __future__ import annotations

from typing import Any

from skinmtl.common.counting import counted
from skinmtl.explanation.map_evaluation import BETTER, GAUSSIAN, OPEN, PIXEL, WORSE
from skinmtl.scores.bootstrap import FEWEST
from skinmtl.scores.tables import as_number, as_range, columns, with_range

WORDS = {
    "evidence": "evidence inside the mask",
    "mass": "mass inside the mask, as drawn",
    "hit": "highest pixel inside the mask",
    "overlap": "IoU at the best threshold",
}
MIDDLE = {GAUSSIAN: "a Gaussian in the middle", PIXEL: "the pixel in the middle"}
TOO_FEW, SAME = "too few", "the same"  # why there is no verdict
BY_LABEL = {
    BETTER: "better for",
    OPEN: "not better for",
    WORSE: "worse for",
    TOO_FEW: "too few to tell for",
    SAME: "always the same for",
}
HEADER = ["95 % interval", "Gaussian", "middle pixel", "chance"]


def rows_of(figures: dict[str, Any]) -> list[list[str]]:
    """A row for each figure of a head: its name, the map's value with its interval, what needs no net, chance."""
    rows = []
    for name, words in WORDS.items():
        one = figures[name]
        values = [as_number(one[key]) for key in (GAUSSIAN, PIXEL, "chance")]
        rows.append([words, as_number(one["map"]), with_range(one["map"], one["interval"]), *values])
    return rows


def verdicts(head: str, figures: dict[str, Any]) -> list[str]:
    """Whether the maps of a head beat the middle, a line for each figure; and of which labels the evidence does. A map
    of the location need not lie on the lesion: nothing is said of it."""
    if head != "lesion":
        return []
    lines = [f"lesion maps, {words}: {_verdict(figures[name], figures['n_groups'])}" for name, words in WORDS.items()]
    of_labels: dict[str, list[str]] = {}
    for label, of_label in figures["by_label"].items():
        of_labels.setdefault(of_label["evidence"]["verdict"] or _why(of_label["n_groups"]), []).append(label)
    said = [f"{words} {', '.join(of_labels[key])}" for key, words in BY_LABEL.items() if key in of_labels]
    return [*lines, f"lesion maps by label, evidence against {MIDDLE[GAUSSIAN]}: {'; '.join(said)}"]


def label_rows(figures: dict[str, Any]) -> list[list[str]]:
    """A row for each label of a head: images, and the maps' value beside the middle's for each figure."""
    rows = []
    for label, of_label in figures["by_label"].items():
        cells = [f"{as_number(one['map'])} / {as_number(one[one['against']])}" for one in map(of_label.get, WORDS)]
        rows.append([label, str(of_label["n_images"]), *cells])
    return rows


def table(found: dict[str, Any]) -> str:
    """What `evaluate_maps` returns, as text."""
    lines = []
    for head, figures in found["heads"].items():
        lines += [*columns([[f"{head} maps", "map", *HEADER], *rows_of(figures)]), ""]
        lines += [*columns([[head, "images", *WORDS], *label_rows(figures)]), ""]
    for head, figures in found["heads"].items():
        lines += verdicts(head, figures)
    return "\n".join([*lines, *counts(found)])


def counts(found: dict[str, Any]) -> list[str]:
    """How many images there are, which were left out, and how the intervals were made."""
    first = next(iter(found["heads"].values()))
    made = found["bootstrap"]
    lines = [f"{first['n_images']} images of {first['n_groups']} groups; {made['resamples']} resamples of the groups"]
    for head, figures in found["heads"].items():
        if figures["n_without_evidence"]:
            lines.append(f"{head}: {figures['n_without_evidence']} maps have no evidence for their label, and count 0")
    reasons = list(found["left_out"].values())
    lines += [f"left out: {reasons.count(reason)} images: {reason}" for reason in sorted(set(reasons))]
    return lines


def _why(n_groups: int) -> str:
    return TOO_FEW if n_groups < FEWEST else SAME


def _verdict(one: dict[str, Any], n_groups: int) -> str:
    middle = MIDDLE[one["against"]]
    if one["verdict"] is None:
        by = f"{one['better_by']:+.3f} against {middle}"
        if _why(n_groups) == TOO_FEW:
            return f"{by}, too few to tell: {counted(n_groups, 'group')}, and {FEWEST} are needed"
        return f"{by} in every resample, so that there is no interval"
    by = f"{one['better_by']:+.3f} (95 %: {as_range(one['better_by_interval'])})"
    if one["verdict"] == BETTER:
        return f"beats {middle}, {by}"
    if one["verdict"] == WORSE:
        return f"is worse than {middle}, {by}: looking there needs no net"
    return f"does not beat {middle}, {by}"
