"""The figures as a CSV, one a line, each with its chance, its interval and the protocol that it belongs to."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Iterator, Mapping

from skinmtl.scores.label_figures import FIGURES, MEANS, OF_HEAD
from skinmtl.scores.region_metrics import OF_CLASS, REGION_FIGURES
from skinmtl.scores.subgroup_means import MAPS

OF_SET = ("map_class", "map_image", "lesion_accuracy", "balanced_accuracy", MEANS["lesion"], "location_top1",
          "location_top3", MEANS["location"])  # fmt: skip
PROTOCOL = (
    *("images", "groups", "thresholds", "net", "weights_sha256", "trained_on", "fold", "subset", "short_side"),
    *("crops", "scores_sha256"),
)
HEADER = (
    *("test", "subgroup", "head", "label", "figure", "value", "low", "high", "without_looking"),
    *("gap", "gap_low", "gap_high"),
    *("positives", *PROTOCOL[:2], "threshold", *PROTOCOL[2:]),
)


def write_figures_csv(path: Path, report: dict[str, Any]) -> None:
    """`report` is what the JSON has. An empty cell is a figure or an interval that there is not.

    Of an external test `test` says which of the two sets a figure is of; those of the external one have the gaps.
    """
    test = report.get("external_test")
    parts = [(report, {})] if test is None else [({**report, **test}, {"test": "external"})]
    if test is not None and test.get("internal") is not None:
        parts.append((test["internal"], {"test": "internal"}))
    with open(str(path), "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, HEADER, lineterminator="\n")
        writer.writeheader()
        for part, which in parts:
            writer.writerows({**protocol_of(part), **which, **row} for row in _rows(part))


def _rows(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    ends = report.get("intervals") or {}
    for figure in OF_SET:
        if report.get(figure) is not None:
            chance = 0.5 if figure in MEANS.values() else report.get(f"chance_{figure}")
            value = _value(report[figure], ends.get(figure))
            yield {"figure": figure, **value, "without_looking": chance, **_gap(report, figure)}
    yield from _of_regions(report, ends)
    yield from _of_labels(report, ends)
    found = report.get("subgroups")
    for record in found["values"] if found else ():
        of_images = {"subgroup": f"{found['column']}: {record['value']}", "images": record["n_images"]}
        for row in (*_of_means(record.get("means")), *_of_labels(record, record.get("intervals") or {})):
            yield {**row, **of_images, "groups": record.get("n_groups")}


def _of_means(means: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """The mAPs of a subgroup."""
    for figure in MAPS if means else ():
        low, high = _of(means, "gap_intervals", figure) or (None, None)
        gap = {"gap": means["gaps"][figure], "gap_low": low, "gap_high": high}
        chance = {"without_looking": means["chance"][figure]}
        yield {"figure": figure, **_value(means[figure], _of(means, "intervals", figure)), **chance, **gap}


def _of_regions(report: dict[str, Any], ends: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Of a net that draws the lesion: the figures of the set, those of a class with the positive one as their label,
    then those of each class."""
    of_positive = [f"class_{name}" for name in OF_CLASS]
    for figure in REGION_FIGURES:
        if report.get(figure) is not None:
            label = report["class_positive"] if figure in of_positive else None
            yield {"label": label, "figure": figure, **_value(report[figure], ends.get(figure))}
    for name, of_class in (report.get("by_class") or {}).items():
        of_label = {"head": "class", "label": name, "positives": of_class["n_positive"]}
        for figure in of_class:
            if figure != "n_positive":
                named = f"class_{figure}" if figure in OF_CLASS else figure
                yield {**of_label, "figure": named, **_value(of_class[figure], _of(ends, "by_class", name, figure))}


def _of_labels(report: dict[str, Any], ends: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for head, key in OF_HEAD.items():
        for label, of_label in (report.get(key) or {}).items():
            for figure in FIGURES:
                if figure in of_label:
                    yield {
                        "head": head,
                        "label": label,
                        "figure": figure,
                        **_value(of_label[figure], _of(ends, key, label, figure)),
                        "without_looking": of_label["chance"].get(figure),
                        **_gap(report, key, label, figure),
                        "positives": of_label["n_positive"],
                        "threshold": of_label.get("threshold"),
                    }


def _of(nested: Any, *names: str) -> Any:
    """What lies below the names; None where there is nothing."""
    for name in names:
        nested = (nested or {}).get(name)
    return nested


def _gap(report: dict[str, Any], *names: str) -> dict[str, Any]:
    gap, ends = (_of(report.get(each), *names) for each in ("gaps", "gap_intervals"))
    low, high = ends or (None, None)
    return {"gap": gap, "gap_low": low, "gap_high": high}


def _value(value: Any, ends: Any) -> dict[str, Any]:
    low, high = ends or (None, None)
    return {"value": value, "low": low, "high": high}


def protocol_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """What figures belong to, by the names of PROTOCOL."""
    protocol = report["protocol"]
    made = protocol.get("arguments") or {}
    thresholds = report.get("thresholds") or {}
    return {
        "images": report["n_images"],
        "groups": (report.get("bootstrap") or {}).get("n_groups"),
        "thresholds": f"{thresholds['rule']}, {thresholds['chosen_on']}" if thresholds else None,
        **{name: protocol.get(name) for name in ("net", "weights_sha256", "short_side", "crops")},
        "trained_on": "; ".join(report["seen"]),
        **{name: made.get(name) for name in ("fold", "subset")},
        "scores_sha256": report["scores_sha256"],
    }
