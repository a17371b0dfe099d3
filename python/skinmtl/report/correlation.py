"""Equation 1 as files: what tools/correlate.py writes by itself and tools/report.py as Figure 1."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Iterable, Sequence

import numpy as np
from matplotlib.figure import Figure

from caffe_files.outputs import new_file, new_folder
from skinmtl.common.json_file import write_json
from skinmtl.common.provenance import made_by, sha256
from skinmtl.data.correlation import Strength, clustered_order, correlation, strength
from skinmtl.data.manifest import Manifest
from skinmtl.figures.heat_map import heat_map
from skinmtl.figures.shown import said, shown
from skinmtl.figures.style import save_figure

STRENGTH_COLUMNS = (
    *("lesion", "images", "most_frequent_location", "its_share"),
    *("divergence_bits", "divergence_by_chance_bits", "strength_bits"),
)


def write_correlation(manifest: Manifest, out: Path, cluster: bool, arguments: dict[str, Any]) -> list[str]:
    """Fills the new folder `out`; returns the lesions that no image has."""
    shares, strengths = correlation(manifest), strength(manifest)
    order = clustered_order(shares) if cluster else np.arange(len(shares))
    with new_folder(out) as folder:
        write_correlation_csv(folder / "correlation.csv", manifest, shares, order)
        write_strength_csv(folder / "strength.csv", manifest, shares, strengths, order)
        figure = correlation_figure(manifest, shares, strengths, order, cluster)
        for suffix in (".png", ".svg"):
            save_figure(figure, folder / f"heat_map{suffix}")
        record = {**made_by(arguments), "manifest_sha256": sha256(manifest.path)}
        write_json(folder / "made_by.json", record)
    return [name for name, images in zip(manifest.lesion_names, strengths.images) if not images]


def correlation_figure(
    manifest: Manifest, shares: np.ndarray, strengths: Strength, order: np.ndarray, clustered: bool
) -> Figure:
    """The heat map of `shares` (P, Q), rows in `order` and with their number of images; figures.shown.MOST of either at
    most, those with the most images."""
    of_location = np.bincount(manifest.location_labels(), minlength=shares.shape[1])
    columns = shown(of_location)
    rows = np.asarray(order)[shown(strengths.images[order])]
    title = f"Where each lesion is seen, in % of its images\nlesions {'clustered' if clustered else 'as listed'}"
    title += said(len(rows), len(shares), "lesions") + said(len(columns), len(of_location), "locations")
    names, places = [manifest.lesion_names[p] for p in rows], [manifest.location_names[q] for q in columns]
    images = strengths.images[rows]
    return heat_map(shares[np.ix_(rows, columns)], images, names, places, title, "lesion (images)", "body location")


def write_correlation_csv(path: Path, manifest: Manifest, shares: np.ndarray, order: Iterable[int]) -> None:
    """`lesion` and a column a location; empty where the lesion has no image."""
    records = [[manifest.lesion_names[p], *map(number, shares[p])] for p in order]
    write_csv(path, ["lesion", *manifest.location_names], records)


def write_strength_csv(
    path: Path, manifest: Manifest, shares: np.ndarray, strengths: Strength, order: Iterable[int]
) -> None:
    """A line a lesion; empty where the lesion has no image."""
    records = []
    for p in order:
        most = int(np.argmax(shares[p])) if strengths.images[p] else None
        records.append(
            [
                manifest.lesion_names[p],
                str(strengths.images[p]),
                "" if most is None else manifest.location_names[most],
                "" if most is None else number(shares[p][most]),
                *(number(values[p]) for values in (strengths.divergence, strengths.by_chance, strengths.corrected)),
            ]
        )
    write_csv(path, STRENGTH_COLUMNS, records)


def write_csv(path: Path, header: Sequence[str], records: Iterable[Sequence[Any]]) -> None:
    """A UTF-8 CSV, whole or not at all."""
    with new_file(path) as partial, open(str(partial), "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(records)


def number(value: float | None) -> str:
    """The shortest text that reads back as the same number; empty for None and nan."""
    return "" if value is None or np.isnan(value) else repr(float(value))
