"""What helps: variants of one model, each held against it on the same test images, with paired intervals.

As in the other comparisons, a variant and its base are resampled by the same groups, so that the interval is of the
difference itself: how far it would move with other patients, not with another training.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skinmtl.report.comparison import Measured, measured
from skinmtl.report.correlation import number, write_csv
from skinmtl.report.experiment import Experiment
from skinmtl.report.paper import MAP_CLASS, MAP_IMAGE
from skinmtl.report.table1 import signed, three
from skinmtl.scores.bootstrap import FEWEST, enough_by_column, indexed, resampled_lesions, resampled_locations
from skinmtl.scores.metrics import evaluate
from skinmtl.scores.one_lesion import one_lesion_each, one_lesion_figures, resampled_one_lesion
from skinmtl.scores.pairing import aligned, heads_of
from skinmtl.scores.scores_file import Scores
from skinmtl.scores.tables import columns

BALANCED, TOP1 = "balanced accuracy", "location top-1"
MAIN = (MAP_CLASS, MAP_IMAGE, BALANCED, TOP1)
UNTOLD = "these images do not tell"
TOO_FEW = f"too few to tell: fewer than {FEWEST} groups"
SAME_SCORES = "the same scores as the base: nothing that it changes took effect"
SAME_FIGURES = "the same figures as the base"


@dataclass(frozen=True)
class Row:
    """A variant, or the base itself, whose `differences` are empty.

    figures      MAIN, as far as the net has them, then each lesion's AP by its name
    differences  of the variant less the base, on the folds of both; `base` has the base's figures on these
    same_scores  whether every score is the base's, to the bit
    """

    name: str
    title: str
    what: str
    folds: tuple[int, ...]
    n_images: int
    figures: dict[str, float]
    base: dict[str, float]
    differences: dict[str, Measured]
    same_scores: bool = False

    def words(self) -> str:
        """Of the main figures, which the variant moves, as far as these images tell."""
        if self.same_scores:
            return SAME_SCORES
        if all(each.value == 0 for each in self.differences.values()):
            return SAME_FIGURES
        if not any(each.enough for name, each in self.differences.items() if name in MAIN):
            return TOO_FEW
        moved = {name: each.value > 0 for name, each in self.differences.items() if name in MAIN and each.excludes_zero}
        said = [
            f"{word} in {' and '.join(name for name, is_up in moved.items() if is_up is better)}"
            for word, better in (("better", True), ("worse", False))
            if better in moved.values()
        ]
        return "; ".join(said) or UNTOLD


@dataclass(frozen=True)
class WhatHelps:
    """`rows` begin with the base; `lesions` have (name, images with it) of the manifest's order."""

    base: str
    rows: tuple[Row, ...]
    main: tuple[str, ...]
    lesions: tuple[tuple[str, int], ...]
    n_groups: int


class _Figures(NamedTuple):
    values: dict[str, float]
    drawn: dict[str, np.ndarray]
    enough: dict[str, bool]


def what_helps(experiment: Experiment, resamples: int, seed: int) -> WhatHelps | None:
    """None where there are no variants, or none that has a fold in common with the base."""
    base, titles = experiment.variants.base, experiment.titles
    made: dict[tuple[str, tuple[int, ...]], _Figures] = {}

    def figures(model: str, folds: tuple[int, ...], scores: Scores) -> _Figures:
        if (model, folds) not in made:
            made[model, folds] = _figures(scores, experiment.groups(scores.image), resamples, seed)
        return made[model, folds]

    rows = []
    for name, what in experiment.variants.what.items():
        folds = experiment.folds_of(base, name)
        if not folds:
            continue
        named = [(model, experiment.pooled(model, folds)) for model in (base, name)]
        heads = [head for head in heads_of(named[0][1]) if head in heads_of(named[1][1])]
        pair = aligned(named, heads)
        low, high = (figures(model, folds, one) for model, one in zip((base, name), pair))
        differences = {
            figure: measured(
                high.values[figure] - low.values[figure], high.drawn[figure] - low.drawn[figure], low.enough[figure]
            )
            for figure in high.values
            if figure in low.values
        }
        n_images = len(named[0][1].image)
        rows.append(Row(name, titles[name], what, folds, n_images, high.values, low.values, differences, _same(*pair)))
    if not rows:
        return None
    folds = experiment.folds_of(base)
    scores = experiment.pooled(base, folds)
    own = figures(base, folds, scores).values
    first = Row(base, titles[base], "the net that the others are held against", folds, len(scores.image), own, own, {})
    labels = scores.lesion_labels
    lesions = () if labels is None else tuple(zip(scores.lesion_names, labels.sum(axis=0, dtype=np.int64).tolist()))
    main = tuple(name for name in MAIN if name in own)
    return WhatHelps(base, (first, *rows), main, lesions, len(set(experiment.groups(scores.image))))


def _same(one: Scores, other: Scores) -> bool:
    """Whether the scores of both, row by row, are equal to the bit."""
    heads = ("lesion_scores", "location_scores")
    pairs = [(getattr(one, head), getattr(other, head)) for head in heads]
    return all((a is None) == (b is None) and (a is None or np.array_equal(a, b)) for a, b in pairs)


def _figures(scores: Scores, groups: list[str], resamples: int, seed: int) -> _Figures:
    """The values of all figures that the scores have, and those of the resamples; what has no value is left out."""
    values: dict[str, float | None] = {}
    drawn: dict[str, np.ndarray] = {}
    found, how = evaluate(scores), (groups, resamples, seed)
    enough = dict.fromkeys(MAIN, len(set(groups)) >= FEWEST)
    if scores.lesion_scores is not None:
        lesions = scores.lesion_labels, scores.lesion_scores
        of_lesions = resampled_lesions(*lesions, *how)
        values.update({MAP_CLASS: found["map_class"], MAP_IMAGE: found["map_image"]})
        drawn.update({MAP_CLASS: of_lesions.map_class, MAP_IMAGE: of_lesions.map_image})
        if one_lesion_each(scores.lesion_labels):
            values[BALANCED] = one_lesion_figures(*lesions, scores.lesion_names)["balanced_accuracy"]
            drawn[BALANCED] = resampled_one_lesion(*lesions, *how)["balanced_accuracy"]
        values.update(found["average_precision"])
        drawn.update(zip(scores.lesion_names, of_lesions.average_precision.T))
        of_each = enough_by_column(indexed(groups, len(scores.image))[0], scores.lesion_labels)
        enough.update(zip(scores.lesion_names, of_each))
    if scores.location_scores is not None:
        values[TOP1] = found["location_top1"]
        drawn[TOP1] = resampled_locations(scores.location_labels, scores.location_scores, *how).top1
    return _Figures({name: value for name, value in values.items() if value is not None}, drawn, enough)


def main_header(found: WhatHelps) -> list[str]:
    return ["variant", "images", *(name for figure in found.main for name in (figure, "difference")), "in words"]


def main_rows(found: WhatHelps) -> list[list[str]]:
    """For reading: a line a variant, the base first."""
    return [
        [
            *(row.title, str(row.n_images)),
            *(cell for figure in found.main for cell in _cells(row, figure)),
            row.words() if row.differences else "",
        ]
        for row in found.rows
    ]


def lesion_rows(found: WhatHelps) -> list[list[str]]:
    """For reading: a line a lesion; its name, its images, the base's AP, each variant's difference."""
    base, *variants = found.rows
    return [
        [
            *(name, str(images), three(base.figures.get(name))),
            *(_difference(row, name) for row in variants),
        ]
        for name, images in found.lesions
    ]


def _cells(row: Row, figure: str) -> tuple[str, str]:
    return three(row.figures.get(figure)), _difference(row, figure)


def _difference(row: Row, figure: str) -> str:
    """With its interval; "" of the base, "-" where there is none."""
    if not row.differences:
        return ""
    found = row.differences.get(figure)
    if found is None:
        return "-"
    if found.without:
        return f"{signed(found.value)} ({found.without})"
    return f"{signed(found.value)} [{signed(found.low)}, {signed(found.high)}]"


def shown_what_helps(found: WhatHelps) -> dict[str, Any]:
    """For the page."""
    return {
        "header": main_header(found),
        "rows": main_rows(found),
        "what": [(row.title, row.what) for row in found.rows],
        "base": found.rows[0].title,
        "folds": list(dict.fromkeys(row.folds for row in found.rows)),
        "n_comparisons": sum(len(row.differences) for row in found.rows),
        "lesion_header": ["lesion", "images", found.rows[0].title, *(row.title for row in found.rows[1:])],
        "lesion_rows": lesion_rows(found),
    }


def what_helps_text(found: WhatHelps) -> list[str]:
    """For the screen."""
    lines = columns([main_header(found), *main_rows(found)])
    return ["", f"what helps, against {found.rows[0].title}", *(line.rstrip() for line in lines)]


def write_what_helps(found: WhatHelps, folder: Path) -> None:
    """what_helps.csv, all digits: a line for each figure of each variant, and of the base without a difference."""
    header = ["variant", "what", "figure", "images", "folds", "value", "base", "difference", "low", "high"]
    lines = []
    for row in found.rows:
        for figure, value in row.figures.items():
            each = row.differences.get(figure)
            ends = (None, None, None) if each is None else (each.value, each.low, each.high)
            against = None if not row.differences else row.base.get(figure)
            folds = " ".join(map(str, row.folds))
            cells = [None if cell is None else number(cell) for cell in (value, against, *ends)]
            lines.append([row.name, row.what, figure, row.n_images, folds, *cells])
    write_csv(folder / "what_helps.csv", header, lines)
