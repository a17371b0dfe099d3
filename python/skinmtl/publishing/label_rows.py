"""The figures of each label as the tables of a model card, from the metrics of the published weights."""

from __future__ import annotations

from typing import Any, Sequence

from skinmtl.publishing.metrics_files import Metrics
from skinmtl.scores.called import CALLED
from skinmtl.scores.label_figures import OF_HEAD, PROBABILITY, RANKING
from skinmtl.scores.label_tables import WORDS


def label_rows(metrics: Sequence[Metrics]) -> list[dict[str, Any]]:
    """A table for each head, of the first file that is of the published weights and has one: `head`, `titles`, and
    `rows` of a name and its cells; at thresholds, where there are some, a second one, with `how` they were chosen."""
    tables = []
    first = sorted(metrics, key=lambda one: one.external)  # external tests last: of some of the labels alone
    for head, key in OF_HEAD.items():
        one = next((one for one in first if one.of_these_weights and (_old(one, head) or one.figures.get(key))), None)
        if one is None:
            continue
        by_label = one.figures.get(key)
        if not by_label:  # of a version that had average precision alone
            tables.append(_precision_alone(one))
            continue
        tables.append(_table(one, head, [*RANKING, *PROBABILITY]))
        if one.figures.get("thresholds"):
            made = one.figures["thresholds"]
            how = f"Thresholds: {made['rule']}, chosen on {made['n_images']} {made['chosen_on']}."
            tables.append({**_table(one, head, ["threshold", *CALLED]), "how": how})
    return tables


def with_interval(value: float | None, ends: Sequence[float] | None, drawn: bool = False) -> str:
    """`drawn`: resamples were drawn, so that a figure without an interval had too little to draw from."""
    if value is None:
        return "-"
    return f"{value:.3f}" + (f" [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else " [too few]" if drawn else "")


def _old(one: Metrics, head: str) -> bool:
    return head == "lesion" and bool(one.figures.get("average_precision"))


def _table(one: Metrics, head: str, figures: Sequence[str]) -> dict[str, Any]:
    ends = one.interval(OF_HEAD[head]) or {}
    rows = []
    for name, of_label in one.figures[OF_HEAD[head]].items():
        of_figures = ends.get(name) or {}
        cells = [
            with_interval(of_label.get(each), of_figures.get(each), bool(ends) and each != "threshold")
            for each in figures
        ]
        rows.append({"name": name, "cells": [of_label["n_positive"], f"{of_label['prevalence']:.3f}", *cells]})
    words = {**WORDS, "average_precision": "average precision"}
    return {
        "head": head,
        "titles": ["positives", "prevalence", *(words.get(each, each) for each in figures)],
        "rows": rows,
    }


def _precision_alone(one: Metrics) -> dict[str, Any]:
    ends = one.interval("average_precision") or {}
    precision, support = one.figures["average_precision"], one.figures["support"]
    rows = [
        {"name": name, "cells": [support[name], with_interval(ap, ends.get(name))]} for name, ap in precision.items()
    ]
    return {"head": "lesion", "titles": ["positives", "average precision"], "rows": rows}
