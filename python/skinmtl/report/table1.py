"""Table 1: the average precision of every lesion, both mAPs; over the folds, pooled, and beside them chance
and, of the paper's lesions, the paper's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

import numpy as np

from skinmtl.report.experiment import LESION_MODELS, TITLES, Experiment
from skinmtl.report.paper import MAP_CLASS, MAP_IMAGE, PaperTable
from skinmtl.scores.metrics import evaluate, random_average_precision
from skinmtl.scores.tables import columns


@dataclass(frozen=True)
class Cell:
    """One model's numbers for one lesion or mAP. None where there is none, never 0.

    mean      over the folds that have the figure
    deviation the sample standard deviation over these folds (n - 1); None below two
    n_folds   how many folds have it: a fold without a positive of the class has none
    pooled    over the images of all folds at once
    by_fold   the figure of each fold
    """

    mean: float | None
    deviation: float | None
    n_folds: int
    pooled: float | None
    paper: float | None
    by_fold: dict[int, float | None]


@dataclass(frozen=True)
class TableRow:
    """A lesion (with its number of positives) or a mAP (None); cells by model, and which of them are best."""

    name: str
    positives: int | None
    cells: dict[str, Cell]
    best_mean: frozenset[str]
    best_pooled: frozenset[str]


@dataclass(frozen=True)
class Table1:
    """`models` are those that have scores at all; `folds` those that each model's numbers are of.

    Where all models have some folds in common, all numbers are of those; otherwise each model's are of its own folds,
    `comparable` is False and no best is named. `chance` has, of the images of the folds in common, what each row's
    figure is without looking at an image, by name: the mean over the folds, and pooled; it is empty where there is no
    fold in common. `has_paper`: the lesions are the paper's, so that its figures stand beside one's own; `namesakes`
    are the lesions that the paper has too.
    """

    models: tuple[str, ...]
    folds: dict[str, tuple[int, ...]]
    comparable: bool
    n_images: int
    rows: tuple[TableRow, ...]
    has_paper: bool
    namesakes: tuple[str, ...]
    chance: dict[str, tuple[float | None, float | None]]


def table1(experiment: Experiment, paper: PaperTable) -> Table1 | None:
    """None where no model with a lesion head has scores."""
    models = tuple(model for model in LESION_MODELS if experiment.folds_of(model))
    if not models:
        return None
    common = experiment.folds_of(*models)
    folds = {model: common or experiment.folds_of(model) for model in models}
    by_fold = {m: {fold: evaluate(experiment.scores[m, fold]) for fold in folds[m]} for m in models}
    pooled = {model: evaluate(experiment.pooled(model, folds[model])) for model in models}
    names = experiment.manifest.lesion_names
    if common:
        positives, n_images = pooled[models[0]]["support"], pooled[models[0]]["n_images"]
    else:
        counted = experiment.manifest.lesion_labels().sum(axis=0, dtype=np.int64).tolist()
        positives, n_images = dict(zip(names, counted)), len(experiment.manifest.rows)
    rows = []
    for name in (*names, MAP_CLASS, MAP_IMAGE):
        is_lesion = len(rows) < len(names)
        cells = {}
        for model in models:
            if is_lesion:
                published = paper.of(model, name)
            else:
                published = (paper.map_class if name == MAP_CLASS else paper.map_image)[model]
            figures = {fold: _figure(of_fold, name, is_lesion) for fold, of_fold in by_fold[model].items()}
            cells[model] = _cell(figures, _figure(pooled[model], name, is_lesion), published)
        best_mean = _best({model: cell.mean for model, cell in cells.items()}, bool(common))
        best_pooled = _best({model: cell.pooled for model, cell in cells.items()}, bool(common))
        rows.append(TableRow(name, positives[name] if is_lesion else None, cells, best_mean, best_pooled))
    of_lesions = rows[: len(names)]
    namesakes = tuple(row.name for row in of_lesions if any(cell.paper is not None for cell in row.cells.values()))
    chance = _chance([row.name for row in rows], by_fold[models[0]], pooled[models[0]]) if common else {}
    return Table1(models, folds, bool(common), n_images, tuple(rows), paper.is_of(names), namesakes, chance)


def _chance(
    rows: Sequence[str], by_fold: dict[int, dict[str, Any]], pooled: dict[str, Any]
) -> dict[str, tuple[float | None, float | None]]:
    """Of what `evaluate` tells of one model, which is the same of all: row -> mean over folds, and pooled."""
    found = {}
    for name in rows:
        of_folds = {fold: chance_of(figures, name) for fold, figures in by_fold.items()}
        cell = _cell(of_folds, chance_of(pooled, name), None)
        found[name] = cell.mean, cell.pooled
    return found


def chance_of(figures: dict[str, Any], name: str) -> float | None:
    """What `evaluate`'s figure of a lesion or mAP is without looking at an image; None where there is no positive."""
    key = {MAP_CLASS: "chance_map_class", MAP_IMAGE: "chance_map_image"}.get(name)
    if key:
        return figures[key]
    positives = figures["support"][name]
    return float(random_average_precision(positives, figures["n_images"])) if positives else None


def _figure(figures: dict[str, Any], name: str, is_lesion: bool) -> float | None:
    if is_lesion:
        return figures["average_precision"][name]
    return figures["map_class" if name == MAP_CLASS else "map_image"]


def _cell(by_fold: dict[int, float | None], pooled: float | None, paper: float | None) -> Cell:
    there = [value for value in by_fold.values() if value is not None]
    mean = float(np.mean(there)) if there else None
    deviation = float(np.std(there, ddof=1)) if len(there) > 1 else None
    return Cell(mean, deviation, len(there), pooled, paper, by_fold)


def _best(values: dict[str, float | None], comparable: bool) -> frozenset[str]:
    """The models with the highest value; none of one model alone."""
    there = {model: value for model, value in values.items() if value is not None}
    if not comparable or len(there) < 2:
        return frozenset()
    return frozenset(model for model, value in there.items() if value == max(there.values()))


def as_text(table: Table1) -> str:
    """For the screen; "*" marks the best of the row, "-" is where there is no figure."""
    lines: list[list[str]] = [["", ""], ["", ""], ["lesion", "positives"]]
    if table.chance:
        _add(lines, ["without", ""], ["looking", ""], ["over folds", "pooled"])
    paper = ["paper"] if table.has_paper else []
    under = [""] * (1 + len(paper))
    for model in table.models:
        name, _, what = TITLES[model].partition(", ")
        _add(lines, [f"{name} ", *under], [f"{what} ", *under], ["over folds ", "pooled ", *paper])
    for row in table.rows:
        cells = [row.name, "" if row.positives is None else str(row.positives)]
        cells += [three(value) for value in table.chance.get(row.name, ())]
        for model in table.models:
            cell = row.cells[model]
            cells += [
                with_deviation(cell) + ("*" if model in row.best_mean else " "),
                three(cell.pooled) + ("*" if model in row.best_pooled else " "),
            ]
            if table.has_paper:
                cells.append(three(cell.paper))
        lines.append(cells)
    return "\n".join(line.rstrip() for line in columns(lines))


def _add(lines: list[list[str]], *more: list[str]) -> None:
    for line, cells in zip(lines, more):
        line += cells


def with_deviation(cell: Cell) -> str:
    """The mean over the folds and its standard deviation, for reading."""
    return three(cell.mean) if cell.deviation is None else f"{three(cell.mean)} ± {three(cell.deviation)}"


def three(value: float | None) -> str:
    """Three decimals; "-" where there is no figure."""
    return "-" if value is None or np.isnan(value) else f"{value:.3f}"


def signed(value: float, decimals: int = 3) -> str:
    """With its sign, a true minus; "-" where there is no figure."""
    return "-" if np.isnan(value) else f"{value:+.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def records(table: Table1) -> tuple[list[str], list[Sequence[Any]]]:
    """Header and lines of table1.csv: all digits, empty where there is no figure."""
    header = ["lesion", "positives"]
    header += ["chance_mean", "chance_pooled"] if table.chance else []
    for model in table.models:
        header += [f"{model}_{part}" for part in ("mean", "deviation", "folds", "pooled", "paper")]
    lines = []
    for row in table.rows:
        line: list[Any] = [row.name, row.positives, *table.chance.get(row.name, ())]
        for model in table.models:
            cell = row.cells[model]
            line += [cell.mean, cell.deviation, cell.n_folds, cell.pooled, cell.paper if table.has_paper else None]
        lines.append(line)
    return header, lines


def fold_records(table: Table1) -> tuple[list[str], list[Sequence[Any]]]:
    """Header and lines of table1_folds.csv: model, fold, figure, value."""
    lines = [
        [model, fold, row.name, value]
        for model in table.models
        for row in table.rows
        for fold, value in row.cells[model].by_fold.items()
    ]
    return ["model", "fold", "figure", "value"], lines
