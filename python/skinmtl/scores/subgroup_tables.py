"""The figures of subgroups as plain text for the screen: those that do not move with the prevalence."""

from __future__ import annotations

from typing import Any

from skinmtl.scores.label_figures import OF_HEAD
from skinmtl.scores.label_tables import WORDS
from skinmtl.scores.subgroup_figures import FEW
from skinmtl.scores.tables import as_number, columns, with_range

SHOWN = ("auroc", "sensitivity", "specificity")  # the JSON and the CSV have all


def subgroup_tables(figures: dict[str, Any]) -> list[str]:
    """Lines: a table for each head, a row for each label and value; * marks few positives, or few others."""
    found = figures["subgroups"]
    shown = SHOWN if figures.get("thresholds") is not None else SHOWN[:1]
    title = [f"{100 * figures['bootstrap']['level']:g} % interval"] if figures.get("bootstrap") else []
    lines: list[str] = []
    few = False
    for head, key in OF_HEAD.items():
        if figures[key] is None:
            continue
        for figure in shown:
            if not any(of.get(figure) is not None for record in found["values"] for of in record[key].values()):
                lines += [
                    f"{head}, by {found['column']}: no subgroup has a label and lacks it too: no {WORDS[figure]}",
                    "",
                ]
                continue
            rows = [[f"{head}, by {found['column']}", "images", "positives", WORDS[figure], *title, "gap", *title]]
            for label in figures[key]:
                for record in found["values"]:
                    mark = "*" if label in record["few"][key] else ""
                    few = few or bool(mark)
                    rows.append([f"{label}: {record['value']}", *_cells(record, key, label, figure, mark, bool(title))])
            lines += [*columns(rows), ""]
    lines += found["told"]
    lines.append("gap: of the figure from that of all other images, paired by resample; + is better here")
    if few:
        lines.append(
            f"* fewer than {FEW} positives, or fewer than {FEW} others: such a figure moves with every single image"
        )
    return lines


def _cells(record: dict[str, Any], key: str, label: str, figure: str, mark: str, drawn: bool) -> list[str]:
    of_label, gap = record[key][label], record["gaps"][key][label].get(figure)
    value = of_label.get(figure)
    cells = [str(record["n_images"]), f"{of_label['n_positive']}{mark}", as_number(value)]
    if drawn:
        cells.append(with_range(value, record["intervals"][key][label].get(figure)))
    cells.append("-" if gap is None else f"{gap:+.3f}")
    if drawn:
        ends = record["gap_intervals"][key][label].get(figure)
        cells.append(with_range(gap, None) if ends is None else f"{ends[0]:+.3f} to {ends[1]:+.3f}")
    return cells
