"""Table 1: the average precision of every lesion, both mAPs; over the folds, pooled, and the paper's beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

import numpy as np

from skinmtl.report.experiment import LESION_MODELS, TITLES, Experiment
from skinmtl.report.paper import MAP_CLASS, MAP_IMAGE, PaperTable
from skinmtl.scores.metrics import evaluate
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
    `comparable` is False and no best is named. `chance` has, of the images of the folds in common, what both mAPs are
    without looking at an image, by name: the mean over the folds, and pooled.
    """

    models: tuple[str, ...]
    folds: dict[str, tuple[int, ...]]
    comparable: bool
    n_images: int
    rows: tuple[TableRow, ...]
    has_paper: bool
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
    has_paper = any(cell.paper is not None for row in rows[: len(names)] for cell in row.cells.values())
    chance = {}
    if common:
        for name, key in ((MAP_CLASS, "chance_map_class"), (MAP_IMAGE, "chance_map_image")):
            of_folds = {fold: figures[key] for fold, figures in by_fold[models[0]].items()}
            cell = _cell(of_folds, pooled[models[0]][key], None)
            chance[name] = cell.mean, cell.pooled
    return Table1(models, folds, bool(common), n_images, tuple(rows), has_paper, chance)


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
    head = ["", ""]
    second = ["lesion", "positives"]
    for model in table.models:
        head += [TITLES[model], *[""] * (2 if table.has_paper else 1)]
        second += ["over folds ", "pooled ", *(["paper"] if table.has_paper else [])]
    lines = [head, second]
    for row in table.rows:
        cells = [row.name, "" if row.positives is None else str(row.positives)]
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
    for model in table.models:
        header += [f"{model}_{part}" for part in ("mean", "deviation", "folds", "pooled", "paper")]
    lines = []
    for row in table.rows:
        line: list[Any] = [row.name, row.positives]
        for model in table.models:
            cell = row.cells[model]
            line += [cell.mean, cell.deviation, cell.n_folds, cell.pooled, cell.paper]
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
