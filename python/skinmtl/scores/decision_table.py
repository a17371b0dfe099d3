"""Decision curves for the screen, and as a CSV with the protocol that they belong to."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Iterator, Mapping

from skinmtl.scores.bootstrap import SAME
from skinmtl.scores.figures_csv import PROTOCOL, protocol_of
from skinmtl.scores.tables import columns

SHOWN = (0.05, 0.1, 0.2, 0.3, 0.5)  # our choice: a screen has room for five of the 99; the CSV has all
NOT_CALIBRATED = "not calibrated"
HEADER = (
    *("lesion", "threshold", "net_benefit", "low", "high", "call_all", "call_none"),
    *("over_all", "over_all_low", "over_all_high", "positives", "probabilities", *PROTOCOL),
)


def decision_lines(figures: Mapping[str, Any]) -> list[str]:
    """Lines of a table, a row for each lesion, and what to mind in reading it; none where no curves are wanted."""
    found = figures.get("decision_curves")
    if found is None:
        return []
    at = [found["thresholds"].index(threshold) for threshold in SHOWN]
    rows = [["net benefit (of calling all)", *(f"at {threshold:g}" for threshold in SHOWN), "of use from, to"]]
    for name, curve in found["of_lesions"].items():
        cells = ["-"] * len(SHOWN)
        if curve is not None:
            cells = [f"{curve['net_benefit'][t]:.3f} ({curve['call_all'][t]:.3f})" for t in at]
        rows.append([name, *cells, use_of(curve, found["thresholds"])])
    return [
        *columns(rows),
        "calling none is worth 0; at 0.2 a positive that is found is worth four false alarms. Of use: more than both",
        told(found),
        "",
    ]


def use_of(curve: Mapping[str, Any] | None, thresholds: list[float]) -> str:
    """Between which thresholds the net is worth more than both; of several such ranges, the longest."""
    if curve is None:
        return "-"
    best: list[int] = []
    run: list[int] = []
    for t, (worth, of_all) in enumerate(zip(curve["net_benefit"], curve["call_all"])):
        run = [*run, t] if worth - max(of_all, 0) > SAME else []
        best = max(best, run, key=len)
    return f"{thresholds[best[0]]:g}, {thresholds[best[-1]]:g}" if best else "nowhere"


def told(found: Mapping[str, Any]) -> str:
    """Whether the probabilities are calibrated."""
    if found["probabilities"] != NOT_CALIBRATED:
        return f"the probabilities are {found['probabilities']}"
    return (
        "the probabilities are not calibrated, and net benefit takes them at their word: fit a calibration with "
        "calibrate.py, and give it as --calibration"
    )


def write_decision_csv(path: Path, report: Mapping[str, Any]) -> None:
    """A line for each lesion and threshold; `report` is what the JSON has. An empty cell: there is none."""
    with open(str(path), "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, HEADER, lineterminator="\n")
        writer.writeheader()
        writer.writerows({**protocol_of(report), **row} for row in _rows(report))


def _rows(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    found = report["decision_curves"]
    for name, curve in found["of_lesions"].items():
        of_lesion = {
            "lesion": name,
            "positives": report["of_lesions"][name]["n_positive"],
            "probabilities": found["probabilities"],
        }
        if curve is None:
            yield of_lesion
            continue
        for t, threshold in enumerate(found["thresholds"]):
            row = {name: curve[name][t] for name in ("net_benefit", "call_all", "over_all")}
            for key, names in (
                ("intervals", ("low", "high")),
                ("over_all_intervals", ("over_all_low", "over_all_high")),
            ):
                row.update(zip(names, (curve[key][t] if key in curve else None) or (None, None)))
            yield {**of_lesion, "threshold": threshold, "call_none": 0, **row}
