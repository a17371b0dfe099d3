"""The figures of each label as plain text for the screen."""

from __future__ import annotations

from typing import Any

from skinmtl.scores.bootstrap import FEWEST
from skinmtl.scores.called import CALLED
from skinmtl.scores.label_figures import MEANS, OF_HEAD, PROBABILITY
from skinmtl.scores.tables import as_number, columns, with_range

WORDS = {
    "average_precision": "AP",
    "auroc": "AUROC",
    "partial_auc": "partial AUC",
    "brier": "Brier",
    "ece": "ECE",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV",
    "npv": "NPV",
}
UNCALIBRATED = ["uncalibrated: Brier", "ECE"]
ON_AREAS = "by chance AUROC is 0.500; partial AUC is the area above a sensitivity of 0.8, at best 0.200"


def label_tables(figures: dict[str, Any], head: str) -> list[str]:
    """Lines of the head's tables: the ranking, the probabilities, and the calls where there is a threshold."""
    by_label = figures[OF_HEAD[head]]
    ends = (figures.get("intervals") or {}).get(OF_HEAD[head])
    title = [f"{100 * figures['bootstrap']['level']:g} % interval"] if ends else []
    rows = [
        [
            head,
            "positives",
            "prevalence",
            "AP",
            *title,
            "by chance",
            "AUROC",
            *title,
            "partial AUC",
            *title,
            "by chance",
        ]
    ]
    for name, of_label in by_label.items():
        cells = {each: _cells(of_label, ends and ends[name], each) for each in WORDS}
        precision, part = (as_number(of_label["chance"][each]) for each in ("average_precision", "partial_auc"))
        of_ranking = [*cells["average_precision"], precision, *cells["auroc"], *cells["partial_auc"], part]
        rows.append([name, str(of_label["n_positive"]), as_number(of_label["prevalence"]), *of_ranking])
    lines = [*columns(rows), ON_AREAS, ""]
    if any(of_label["brier"] is not None for of_label in by_label.values()):
        before = (figures.get("calibration") or {}).get("before", {}).get(OF_HEAD[head])
        rows = [
            [
                head,
                "Brier",
                *title,
                "without looking",
                "ECE",
                *title,
                "if calibrated",
                *(UNCALIBRATED if before else []),
            ]
        ]
        for name, of_label in by_label.items():
            brier, ece = (_cells(of_label, ends and ends[name], each) for each in ("brier", "ece"))
            without, least = as_number(of_label["chance"]["brier"]), as_number(of_label["ece_if_calibrated"])
            raw = [as_number(before[name][each]) for each in PROBABILITY] if before else []
            rows.append([name, *brier, without, *ece, least, *raw])
        used = figures.get("calibration") or {}
        told = [f"calibrated ({used['words']}), fitted on {used['fitted_on']}"] if before else []
        lines += [*columns(rows), *told, ""]
    if figures.get("thresholds") is not None:
        rows = [[head, "prevalence", "threshold", "called", *(WORDS[each] for each in CALLED)]]
        for name, of_label in by_label.items():
            of_calls = [_call(of_label, ends and ends[name], each) for each in CALLED]
            numbers = (of_label["prevalence"], of_label["threshold"], of_label["chance"]["sensitivity"])
            rows.append([name, *map(as_number, numbers), *of_calls])
        lines += [*columns(rows), *_chosen(figures, head), ""]
    return lines


def mean_rows(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """(figure, words) of the AUROC of each head that has one: the mean over its labels."""
    return [(name, f"{head} AUROC") for head, name in MEANS.items() if figures.get(name) is not None]


def _cells(of_label: dict[str, Any], ends: dict[str, Any] | None, figure: str) -> list[str]:
    value = of_label.get(figure)
    return [as_number(value), *([with_range(value, ends.get(figure))] if ends is not None else [])]


def _call(of_label: dict[str, Any], ends: dict[str, Any] | None, figure: str) -> str:
    """Value and interval in one cell: four of them in two cells each are too wide for a screen."""
    value = of_label[figure]
    if ends is None or value is None:
        return as_number(value)
    of_figure = ends.get(figure)
    told = "too few" if of_figure is None else f"{of_figure[0]:.2f}, {of_figure[1]:.2f}"
    return f"{value:.3f} [{told}]"


def _chosen(figures: dict[str, Any], head: str) -> list[str]:
    made = figures["thresholds"]
    lines = [
        f"thresholds: {made['rule']}, chosen on {made['chosen_on']}; a score of the threshold or more is called",
        "by chance, with as many called: sensitivity as called, specificity 1 - it; PPV as the prevalence, NPV 1 - it",
    ]
    without = [name for name, of_label in figures[OF_HEAD[head]].items() if of_label["threshold"] is None]
    if without:
        lines.append(f"no threshold, without a positive or a negative there: {', '.join(without)}")
    positives = made[f"{head}_positives"]
    few = [name for name, n in positives.items() if name not in without and min(n, made["n_images"] - n) < FEWEST]
    if few:
        lines.append(
            f"on fewer than {FEWEST} positives or negatives there, so that others would give another threshold: "
            f"{', '.join(few)}"
        )
    return lines
