"""The tables and figures of the report's folder: numbers in, CSV, PNG and SVG out, and what the page shows of them."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from skinmtl.data.correlation import Strength, clustered_order
from skinmtl.data.manifest import Manifest
from skinmtl.figures.decision_curves import decision_curve_figure
from skinmtl.figures.gains import gain_against_strength_figure, gains_figure
from skinmtl.figures.heat_map import heat_map
from skinmtl.figures.locations import location_figure
from skinmtl.figures.precision_recall import precision_recall_figure
from skinmtl.figures.shown import MOST_PANELS, said, shown
from skinmtl.figures.style import SETTINGS, save_figure
from skinmtl.report.comparison import FEW, Gain, LesionComparison, LocationComparison, RankCorrelation, confusion
from skinmtl.report.correlation import correlation_figure, number, write_correlation_csv, write_csv, write_strength_csv
from skinmtl.report.decisions import Decisions
from skinmtl.report.experiment import LESION_MODELS, LOCATION, MTL, TITLES, Experiment
from skinmtl.report.runs import Run
from skinmtl.report.table1 import Table1, fold_records, records, signed
from skinmtl.scores.net_benefit import THRESHOLDS

POINTS = 300  # of a precision-recall curve at most: a small panel shows no more


def draw_correlation(manifest: Manifest, shares: np.ndarray, strengths: Strength, folder: Path) -> dict[str, str]:
    """The paper's Figure 1, as listed and clustered, and its CSVs; returns the pictures by name."""
    listed = np.arange(len(shares))
    write_correlation_csv(folder / "correlation.csv", manifest, shares, listed)
    write_strength_csv(folder / "strength.csv", manifest, shares, strengths, listed)
    figures, by_likeness = {}, clustered_order(shares)
    for name, order, clustered in (("correlation", listed, False), ("correlation_clustered", by_likeness, True)):
        drawn = correlation_figure(manifest, shares, strengths, order, clustered)
        figures[name] = save_and_inline(drawn, folder, name)
    return figures


def write_table1(table: Table1, folder: Path) -> None:
    for name, (header, lines) in (("table1.csv", records(table)), ("table1_folds.csv", fold_records(table))):
        write_csv(folder / name, header, lines)


def draw_precision_recall(experiment: Experiment, table: Table1, folder: Path) -> str:
    pooled = {model: experiment.pooled(model, table.folds[model]) for model in table.models}
    names = experiment.manifest.lesion_names
    most = max(pooled.values(), key=lambda scores: len(scores.image))  # where the models' folds differ
    positives, prevalence = most.lesion_labels.sum(axis=0, dtype=np.int64).tolist(), most.lesion_labels.mean(axis=0)
    curves, panels = [], shown(positives, MOST_PANELS)
    for p in panels:
        curves.append(
            [
                thinned(*precision_recall(scores.lesion_labels[:, p], scores.lesion_scores[:, p]))
                for scores in pooled.values()
            ]
        )
    models = [(LESION_MODELS.index(model), TITLES[model]) for model in table.models]
    cut = said(len(panels), len(names))
    figure = precision_recall_figure(
        [names[p] for p in panels], [positives[p] for p in panels], prevalence[panels].tolist(), models, curves, cut
    )
    return save_and_inline(figure, folder, "precision_recall")


def precision_recall(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(recall, precision) (K,) of one ranking of N entries at its thresholds, best score first; tied entries share one.

    Only thresholds that find a positive are kept: in between recall stands still. That is the sum of average precision,
    drawn: the area of the steps is the AP. Empty where there is no positive.
    """
    labels = np.asarray(labels) != 0
    order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    ranked, values = labels[order], np.asarray(scores)[order]
    found = np.cumsum(ranked)
    last_of_tie = np.append(values[1:] != values[:-1], True)
    at = np.flatnonzero(last_of_tie)
    at = at[np.diff(np.concatenate([[0], found[at]])) > 0]
    return found[at] / max(int(labels.sum()), 1), found[at] / (at + 1.0)


def thinned(recall: np.ndarray, precision: np.ndarray, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """At most about `points` of them, evenly spread over the curve, first and last included."""
    if len(recall) <= points:
        return recall, precision
    kept = np.unique(np.linspace(0, len(recall) - 1, points).round().astype(np.int64))
    return recall[kept], precision[kept]


def draw_decisions(found: Decisions, folder: Path) -> str:
    """Writes the numbers too, as decision_curves.csv."""
    lines = [
        [name, f"{threshold:g}", *(number(curve[t]) for curve in curves), number(call_all[t]), 0]
        for (name, _, _), curves, call_all in zip(found.lesions, found.curves, found.call_all)
        for t, threshold in enumerate(THRESHOLDS)
    ]
    write_csv(folder / "decision_curves.csv", ["lesion", "threshold", *found.models, "call_all", "call_none"], lines)
    models = [(LESION_MODELS.index(model), TITLES[model]) for model in found.models]
    title = "what calling each lesion is worth (its images)"
    figure = decision_curve_figure(found.lesions, THRESHOLDS, models, found.curves, found.call_all, title)
    return save_and_inline(figure, folder, "decision_curves")


def write_gains(lesions: LesionComparison, strengths: np.ndarray, folder: Path) -> None:
    header = ["figure", "positives", "chance", "resnet", "mtl", "gain", "low", "high"]
    header += ["undefined_resamples", "strength_bits"]
    lines = []
    for gain, bits in zip((*lesions.lesions, lesions.map_class, lesions.map_image), [*strengths, None, None]):
        values = (gain.chance, gain.resnet, gain.mtl, gain.gain.value, gain.gain.low, gain.gain.high)
        lines.append([gain.name, gain.positives, *map(number, values), gain.undefined, number(bits)])
    write_csv(folder / "mtl_against_resnet.csv", header, lines)


def draw_gains(lesions: LesionComparison, strengths: np.ndarray, rank: RankCorrelation, folder: Path) -> dict[str, str]:
    rows = shown([gain.positives for gain in lesions.lesions])
    cut, strengths = said(len(rows), len(lesions.lesions)), np.asarray(strengths)[rows]
    of_lesions = [lesions.lesions[p] for p in rows]
    note = f"{rank_text(rank)}{cut}"
    against = gain_against_strength_figure(*_ends(of_lesions, strengths), note)
    by_gain = [*most_gain_first(of_lesions), lesions.map_class, lesions.map_image]
    return {
        "gains": save_and_inline(gains_figure(*_ends(by_gain), 2, cut), folder, "gains"),
        "gain_against_strength": save_and_inline(against, folder, "gain_against_strength"),
    }


def most_gain_first(gains: Sequence[Gain]) -> list[Gain]:
    """Those without a gain last; equal ones in the order that they have."""
    return sorted(gains, key=lambda each: np.inf if np.isnan(each.gain.value) else -each.gain.value)


def _ends(gains: Sequence[Gain], *more: np.ndarray) -> tuple[Any, ...]:
    """Names, `more`, and (R,) each of the gains and of the ends of their intervals."""
    parts = (np.array([getattr(each.gain, part) for each in gains]) for part in ("value", "low", "high"))
    return ([each.name for each in gains], *more, *parts)


def rank_text(rank: RankCorrelation) -> str:
    """The rank correlation in words."""
    if np.isnan(rank.rho):
        return f"No rank correlation: {rank.n} lesions with both numbers, or all of them tied"
    p_value = "< 0.001" if rank.p_value < 0.001 else f"= {rank.p_value:.3f}"
    few = ", too few to say much" if rank.n < FEW else ""
    return f"Spearman's rank correlation {signed(rank.rho, 2)}, p {p_value} (permutation test), {rank.n} lesions{few}"


def write_locations(locations: LocationComparison, folder: Path) -> None:
    lines = []
    for name, title in (("top1", "top-1"), ("top3", "top-3")):
        for model, measured in ((LOCATION, locations.resnet), (MTL, locations.mtl), ("difference", locations.gain)):
            each = measured[name]
            lines.append([title, model, number(each.value), number(each.low), number(each.high)])
        lines.append([title, "chance", number(locations.chance[name]), "", ""])
    write_csv(folder / "locations.csv", ["figure", "model", "value", "low", "high"], lines)


def draw_locations(locations: LocationComparison, folder: Path) -> str:
    values = [
        [(each[name].value, each[name].low, each[name].high) for name in ("top1", "top3")]
        for each in (locations.resnet, locations.mtl)
    ]
    chance = [locations.chance[name] for name in ("top1", "top3")]
    return save_and_inline(location_figure([TITLES[LOCATION], TITLES[MTL]], values, chance), folder, "locations")


def draw_confusion(experiment: Experiment, folds: tuple[int, ...], folder: Path) -> str:
    counts = confusion(experiment.pooled(MTL, folds))
    names = experiment.manifest.location_names
    write_csv(
        folder / "confusion.csv",
        ["location", *(f"taken for {name}" for name in names)],
        [[name, *row] for name, row in zip(names, counts.tolist())],
    )
    images = counts.sum(axis=1)
    shares = np.divide(counts, images[:, None], out=np.full(counts.shape, np.nan), where=images[:, None] > 0)
    rows = shown(images)
    title = f"What MTL takes each location for, in % of its images{said(len(rows), len(names))}"
    names = [names[q] for q in rows]
    axes = "true location (images)", "MTL's answer"
    figure = heat_map(shares[np.ix_(rows, rows)], images[rows], names, names, title, *axes, whole_scale=True)
    return save_and_inline(figure, folder, "confusion")


def write_runs(found: Sequence[Run], folder: Path) -> None:
    header = [
        "model",
        "fold",
        "images",
        "scores_sha256",
        "weights_sha256",
        "last_iteration",
        "last_lr",
        "seen",
        "arguments",
    ]
    lines = []
    for run in found:
        arguments = None if run.arguments is None else json.dumps(run.arguments, sort_keys=True)
        lines.append(
            [
                *(run.model, run.fold, run.n_images, run.scores_sha256, run.weights, run.iteration, run.rate),
                *("; ".join(run.seen), arguments),
            ]
        )
    write_csv(folder / "runs.csv", header, lines)


def save_and_inline(figure: Figure, folder: Path, name: str) -> str:
    """Writes name.png and name.svg into the folder; returns a data URI for the page.

    The page has the SVG with its letters as outlines: sharp at any size, and the same where the reader's machine lacks
    the font.
    """
    for suffix in (".png", ".svg"):
        save_figure(figure, folder / f"{name}{suffix}")
    drawn = io.BytesIO()
    with matplotlib.rc_context({**SETTINGS, "svg.fonttype": "path"}):
        figure.savefig(drawn, format="svg", bbox_inches="tight", facecolor="white", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(drawn.getvalue()).decode("ascii")
