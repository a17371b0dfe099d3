"""Models that were trained more than once, each time from another seed: mean and spread, and differences by seed."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

import numpy as np
from scipy import stats

from skinmtl.report.correlation import write_csv
from skinmtl.report.experiment import Experiment, read_experiment
from skinmtl.report.paper import MAP_CLASS, MAP_IMAGE
from skinmtl.report.table1 import signed, three
from skinmtl.scores.metrics import evaluate
from skinmtl.scores.tables import columns

TOP1 = "location top-1"
MAIN = (MAP_CLASS, MAP_IMAGE, TOP1)
LEVEL = 0.95


@dataclass(frozen=True)
class Spread:
    """The values of one figure, one for each number of a training.

    deviation  the sample standard deviation (n - 1); None below two
    interval   Student's, of the mean at LEVEL, from the deviation; None below two, and where all are equal. It
               says how far the mean would move with other seeds on these images, not with other patients.
    """

    by_seed: dict[int, float]

    @property
    def mean(self) -> float:
        return float(np.mean(list(self.by_seed.values())))

    @property
    def lowest(self) -> float:
        return min(self.by_seed.values())

    @property
    def highest(self) -> float:
        return max(self.by_seed.values())

    @property
    def deviation(self) -> float | None:
        return float(np.std(list(self.by_seed.values()), ddof=1)) if len(self.by_seed) > 1 else None

    @property
    def interval(self) -> tuple[float, float] | None:
        n = len(self.by_seed)
        if self.deviation is None or self.lowest == self.highest:  # an interval of no width would say that all is known
            return None
        half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * self.deviation / n**0.5
        return self.mean - half, self.mean + half


@dataclass(frozen=True)
class SeedTables:
    """Each figure is a mean over `folds`, as in Table 1, those that the first trainings of all models have.

    values       (model, figure) -> its spread
    differences  (model, against, figure) -> that of the differences, of the numbers that both models have
    left_out     what is there and not used, a phrase each
    titles       the models' and the variants' names for people
    """

    folds: tuple[int, ...]
    numbers: tuple[int, ...]
    figures: tuple[str, ...]
    values: dict[tuple[str, str], Spread]
    differences: dict[tuple[str, str, str], Spread]
    left_out: tuple[str, ...]
    titles: dict[str, str]


def seed_tables(first: Experiment, seeds: int) -> SeedTables | None:
    """None of one training each, or where no fold has the scores of all models.

    InputError where one of the `seeds` trainings has no scores at all. Others that are there, as of an earlier run,
    are not read.
    """
    others = {
        number: read_experiment(first.path, first.manifest, number, first.variants) for number in range(2, seeds + 1)
    }
    titles, variants = first.titles, first.variants
    models = [model for model in titles if first.folds_of(model)]
    folds = first.folds_of(*models)
    if not others or not folds:
        return None
    figures = tuple(dict.fromkeys((*MAIN, *first.manifest.lesion_names)))
    by_seed: dict[tuple[str, str], dict[int, float]] = {}
    left_out = []
    for number, experiment in {1: first, **others}.items():
        for model in models:
            if not set(folds) <= set(experiment.folds_of(model)):
                left_out.append(f"{titles[model]}, training {number}: has no scores of some of these folds")
                continue
            of_folds = [_figures(evaluate(experiment.scores[model, fold])) for fold in folds]
            for figure in figures:
                there = [each[figure] for each in of_folds if each.get(figure) is not None]
                if there:
                    by_seed.setdefault((model, figure), {})[number] = float(np.mean(there))
    differences = {}
    # the later column of Table 1 minus the earlier one, as MTL minus ResNet; each variant minus its base
    pairs = list(itertools.combinations([model for model in models if model not in variants.what], 2))
    pairs += [(variants.base, model) for model in models if model in variants.what]
    for figure in figures:
        for against, model in pairs:
            ours, theirs = by_seed.get((model, figure), {}), by_seed.get((against, figure), {})
            both = {number: ours[number] - theirs[number] for number in ours if number in theirs}
            if both:
                differences[model, against, figure] = Spread(both)
    values = {key: Spread(of_key) for key, of_key in by_seed.items()}
    return SeedTables(folds, (1, *others), figures, values, differences, tuple(left_out), titles)


def _figures(figures: dict[str, Any]) -> dict[str, float | None]:
    of_lesions = figures["average_precision"] or {}
    own = {MAP_CLASS: figures["map_class"], MAP_IMAGE: figures["map_image"], TOP1: figures["location_top1"]}
    return {**of_lesions, **own}


def value_rows(tables: SeedTables) -> list[list[str]]:
    """For reading: figure, model, seeds, mean, deviation, lowest, highest; the three main figures first."""
    return [
        [figure, tables.titles[model], *_cells(tables.values[model, figure], three)]
        for figure in tables.figures
        for model in tables.titles
        if (model, figure) in tables.values
    ]


def difference_rows(tables: SeedTables) -> list[list[str]]:
    """For reading: figure, pair, seeds, mean, deviation, lowest, highest, interval, in how many above 0."""
    rows = []
    for (model, against, figure), spread in tables.differences.items():
        ends = spread.interval
        above = sum(value > 0 for value in spread.by_seed.values())
        rows.append(
            [
                *(figure, f"{tables.titles[model]} \N{MINUS SIGN} {tables.titles[against]}", *_cells(spread, signed)),
                "-" if ends is None else f"[{signed(ends[0])}, {signed(ends[1])}]",
                f"{above} of {len(spread.by_seed)}",
            ]
        )
    return rows


VALUES_HEADER = ["figure", "model", "seeds", "mean", "deviation", "lowest", "highest"]
DIFFERENCES_HEADER = ["figure", "difference", *VALUES_HEADER[2:], "95 % interval", "above 0"]


def _cells(spread: Spread, form: Any) -> list[str]:
    return [
        *(str(len(spread.by_seed)), form(spread.mean), three(spread.deviation)),
        *(form(spread.lowest), form(spread.highest)),
    ]


def _main(rows: list[list[str]], main: bool = True) -> list[list[str]]:
    """Those of the means over lesions or images and of the location, or the others, of single lesions."""
    return [row for row in rows if (row[0] in MAIN) is main]


def shown_seeds(tables: SeedTables) -> dict[str, Any]:
    """For the page: headers and rows, those of single lesions apart."""
    values, differences = value_rows(tables), difference_rows(tables)
    return {
        "values_header": VALUES_HEADER,
        "differences_header": DIFFERENCES_HEADER,
        "spread": _main(values),
        "differences": _main(differences),
        "lesion_values": _main(values, main=False),
        "lesion_differences": _main(differences, main=False),
    }


def seeds_text(tables: SeedTables) -> list[str]:
    """For the screen, the main figures."""
    shown = [
        *columns([VALUES_HEADER, *_main(value_rows(tables))]),
        *(["", *columns([DIFFERENCES_HEADER, *_main(difference_rows(tables))])] if tables.differences else []),
    ]
    return ["", f"over {len(tables.numbers)} seeds", *(line.rstrip() for line in shown), *tables.left_out]


def write_seeds(tables: SeedTables, folder: Path) -> None:
    """seeds.csv, all digits; `against` is empty where it is no difference."""
    numbers = [f"seed{number}" for number in tables.numbers]
    header = ["figure", "model", "against", "seeds", "mean", "deviation", "lowest", "highest", "low", "high", *numbers]
    keyed = [((figure, model, ""), spread) for (model, figure), spread in tables.values.items()]
    keyed += [((figure, model, against), spread) for (model, against, figure), spread in tables.differences.items()]
    lines: list[Sequence[Any]] = []
    for key, spread in keyed:
        ends = spread.interval or (None, None)
        of_numbers = [spread.by_seed.get(number) for number in tables.numbers]
        line = [*key, len(spread.by_seed), spread.mean, spread.deviation, spread.lowest, spread.highest, *ends]
        lines.append([*line, *of_numbers])
    write_csv(folder / "seeds.csv", header, lines)
