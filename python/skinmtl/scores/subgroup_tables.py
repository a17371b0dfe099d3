"""The figures of subgroups as plain text for the screen: those that do not move with the prevalence."""

from __future__ import annotations

from typing import Any

from skinmtl.scores.label_figures import OF_HEAD
from skinmtl.scores.label_tables import WORDS
from skinmtl.scores.subgroup_figures import FEW
from skinmtl.scores.subgroup_means import MAPS
from skinmtl.scores.tables import as_number, columns, with_range

WORDS_OF_MAPS = {"map_class": "mAP-class", "map_image": "mAP-image"}
SHOWN = ("auroc", "sensitivity", "specificity")  # the JSON and the CSV have all


def subgroup_tables(figures: dict[str, Any]) -> list[str]:
    """Lines: a table for each head, a row for each label and value; * marks few positives, or few others."""
    found = figures["subgroups"]
    shown = SHOWN if figures.get("thresholds") is not None else SHOWN[:1]
    title = [f"{100 * figures['bootstrap']['level']:g} % interval"] if figures.get("bootstrap") else []
    lines: list[str] = []
    few = False
    for name in MAPS:
        table, has_few = _means_table(found, name, title)
        lines, few = lines + table, few or has_few
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
    if any("means" in record for record in found["values"]):
        lines.append("the gap of mAP-class is over the lesions that both have; mAPs move with how frequent lesions are")
    if few:
        lines.append(
            f"* fewer than {FEW} positives, or fewer than {FEW} others (of a mAP, images): such a figure moves with "
            "every single image"
        )
    return lines


def _means_table(found: dict[str, Any], name: str, title: list[str]) -> tuple[list[str], bool]:
    """Lines of a table of a mAP, a row for each value, and whether one has few images; nothing without lesions."""
    if not any("means" in record for record in found["values"]):
        return [], False
    of = "lesions" if name == "map_class" else "images with one"
    rows = [[f"{WORDS_OF_MAPS[name]}, by {found['column']}", "images", of, "value", *title, "by chance"]]
    rows[0] += ["gap", *title, "by chance"]
    for record in found["values"]:
        means = record["means"]
        mark = "*" if record["n_images"] < FEW else ""
        count = means["n_lesions"] if name == "map_class" else means["n_with_lesion"]
        cells = [record["value"], f"{record['n_images']}{mark}", str(count), as_number(means[name])]
        cells += [with_range(means[name], means["intervals"][name])] if title else []
        cells += [as_number(means["chance"][name]), _signed(means["gaps"][name])]
        cells += [_gap_range(means["gaps"][name], means["gap_intervals"][name])] if title else []
        rows.append([*cells, _signed(means["chance_gaps"][name])])
    return [*columns(rows), ""], any(record["n_images"] < FEW for record in found["values"])


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"


def _gap_range(gap: float | None, ends: list[float] | None) -> str:
    return with_range(gap, None) if ends is None else f"{ends[0]:+.3f} to {ends[1]:+.3f}"


def _cells(record: dict[str, Any], key: str, label: str, figure: str, mark: str, drawn: bool) -> list[str]:
    of_label, gap = record[key][label], record["gaps"][key][label].get(figure)
    value = of_label.get(figure)
    cells = [str(record["n_images"]), f"{of_label['n_positive']}{mark}", as_number(value)]
    if drawn:
        cells.append(with_range(value, record["intervals"][key][label].get(figure)))
    cells.append(_signed(gap))
    if drawn:
        cells.append(_gap_range(gap, record["gap_intervals"][key][label].get(figure)))
    return cells
