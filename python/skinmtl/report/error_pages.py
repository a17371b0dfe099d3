"""Pages of an experiment's errors: one a lesion, and one for each image that is on any of these."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Sequence

import jinja2
import numpy as np

from skinmtl.common.pages import read_template, rendered
from skinmtl.report.error_evidence import Evidence
from skinmtl.report.error_pictures import MapPicture, Pictures
from skinmtl.report.errors import Errors, most_above
from skinmtl.report.experiment import LESION_MODELS, LOCATION_MODELS, Experiment
from skinmtl.report.runs import Run
from skinmtl.report.table1 import three
from skinmtl.scores.worst_images import UNCERTAIN, WITH, WITHOUT, LesionErrors, Worst

ARGUMENTS = "arguments."
FOLDER, PHOTOGRAPHS = "errors", "photographs"
MOST_ROWS = 40  # labels in the table of an image: those with the highest scores, and all that it has
MOST_ABOVE = 12  # lesions that are scored above another
# kind -> what its images are, without and with thresholds; {} is the lesion
TITLES = {
    WITHOUT: ("Highest scored images without {}", "Worst false positives: called {}, which they have not"),
    WITH: ("Lowest scored images with {}", "Worst false negatives: not called {}, which they have"),
    UNCERTAIN: ("Most uncertain: probability of {} nearest to 0.5", "Most uncertain: {} nearest to its threshold"),
}
SHORT = {
    WITHOUT: ("highest without it", "false positive"),
    WITH: ("lowest with it", "false negative"),
    UNCERTAIN: ("most uncertain", "most uncertain"),
}


class Listed(NamedTuple):
    """On which page an image is, as what, and as the how many of how many."""

    page: str
    lesion: str
    words: str
    rank: int
    among: int


@dataclass(frozen=True)
class ShownImage:
    """A test image with a page of its own. `photograph` and `small` are files, "" where none are shown."""

    number: int
    row: int
    image: str
    lesions: list[str]
    location: str
    highest: tuple[str, str]
    photograph: str
    small: str
    maps: list[MapPicture]
    lists: list[Listed]

    @property
    def page(self) -> str:
        return f"image_{self.number:04d}.html"

    def map_of(self, lesion: str) -> MapPicture | None:
        return next((one for one in self.maps if one.head == "lesion" and one.label == lesion), None)


class ErrorPages:
    """Writes them into `folder`/errors. `images` is the folder of the photographs; None: none are shown.

    `made` are (what, value) of the report, and `runs` (fold -> run) of the model. At any time one photograph and its
    maps are in memory.
    """

    def __init__(
        self,
        folder: Path,
        experiment: Experiment,
        errors: Errors,
        images: Path | None,
        made: Sequence[tuple[str, str]],
        runs: Mapping[int, Run],
    ) -> None:
        self._folder = folder / FOLDER
        self._folder.mkdir()
        self._experiment, self._errors = experiment, errors
        self._made, self._runs = [line for line in made if not line[0].startswith(ARGUMENTS)], runs
        self._evidence = Evidence(experiment, errors)
        self._pictures = None if images is None else Pictures(images, self._folder / PHOTOGRAPHS)
        self._rows = {row.image: row for row in experiment.manifest.rows}
        self._shared = {
            "model": experiment.titles[errors.model],
            "errors": errors,
            "photographs": self._pictures is not None,
            "folder": PHOTOGRAPHS,
            "notes": [*errors.notes, *(self._evidence.notes if self._pictures is not None else [])],
            "says": self._evidence.says,
            "arguments": [line for line in made if line[0].startswith(ARGUMENTS)],
            "three": three,
        }

    def write(self) -> None:
        here = Path(__file__).parent
        templates = {name: read_template(here / f"error_{name}.html") for name in ("lesion", "image")}
        style = rendered(here / "errors.css", {})
        (self._folder / "style.css").write_text(style, encoding="utf-8")
        lists = self._lists()
        shown = {row: self._image(n, row, lists[row]) for n, row in enumerate(self._errors.images, 1)}
        for one in shown.values():
            self._write(templates["image"], one.page, self._of_image(one, len(shown)))
        pages = [lesion_page(lesion) for lesion in self._errors.lesions]
        for n, lesion in enumerate(self._errors.lesions):
            beside = [
                (pages[at], self._errors.lesions[at].name) if 0 <= at < len(pages) else None for at in (n - 1, n + 1)
            ]
            self._write(templates["lesion"], pages[n], self._of_lesion(lesion, shown, beside))

    def _write(self, template: jinja2.Template, name: str, values: dict[str, Any]) -> None:
        (self._folder / name).write_text(template.render({**self._shared, **values}), encoding="utf-8")

    def _image(self, number: int, row: int, lists: list[Listed]) -> ShownImage:
        scores = self._errors.scores
        image, highest = scores.image[row], int(scores.lesion_scores[row].argmax())
        large, small, maps = "", "", []
        if self._pictures is not None:
            listed = {one.lesion for one in lists}
            large, small, maps = self._pictures.add(number, image, self._evidence.maps(image), listed)
        best = scores.lesion_names[highest], three(float(scores.lesion_scores[row, highest]))
        lesions, location = self._errors.true_lesions(row), self._rows[image].location
        return ShownImage(number, row, image, lesions, location, best, large, small, maps, lists)

    def _lists(self) -> dict[int, list[Listed]]:
        """Row of the scores -> on which pages it is."""
        lists: dict[int, list[Listed]] = {}
        for lesion in self._errors.lesions:
            for kind, worst in lesion.worst.items():
                for rank, row in enumerate(worst.rows.tolist(), 1):
                    one = Listed(lesion_page(lesion), lesion.name, SHORT[kind][lesion.called], rank, worst.among)
                    lists.setdefault(row, []).append(one)
        return lists

    def _of_lesion(self, lesion: LesionErrors, shown: dict[int, ShownImage], beside: list[Any]) -> dict[str, Any]:
        names, above = self._errors.scores.lesion_names, most_above(lesion)
        return {
            "lesion": lesion,
            "kinds": [self._kind(lesion, kind, worst, shown) for kind, worst in lesion.worst.items()],
            "above": [(names[q], int(lesion.above[q]), _percent(lesion.above[q], lesion.positives)) for q in above],
            "most_above": MOST_ABOVE,
            "first": lesion.positives - lesion.not_first,
            "first_share": _percent(lesion.positives - lesion.not_first, lesion.positives),
            "before": beside[0],
            "after": beside[1],
            "made": [*self._made, *(line for fold in self._runs for line in self._sums(fold))],
        }

    def _kind(self, lesion: LesionErrors, kind: str, worst: Worst, shown: dict[int, ShownImage]) -> dict[str, Any]:
        scores = self._errors.scores.lesion_scores
        own = self._errors.thresholds if lesion.called else None
        return {
            "kind": kind,
            "title": TITLES[kind][lesion.called].format(lesion.name),
            "among": worst.among,
            "images": [
                {
                    "image": shown[row],
                    "score": three(float(scores[row, lesion.index])),
                    "threshold": None if own is None else three(float(own[row, lesion.index])),
                    "map": shown[row].map_of(lesion.name),
                }
                for row in worst.rows.tolist()
            ],
        }

    def _of_image(self, one: ShownImage, of: int) -> dict[str, Any]:
        fold = int(self._errors.fold[one.row])
        group = self._rows[one.image].group
        return {
            "one": one,
            "of": of,
            "fold": fold,
            "group": group if group != one.image else "",
            "lesions": self._table(one.image, fold, "lesion", one.lesions, LESION_MODELS),
            "locations": self._table(one.image, fold, "location", [one.location], LOCATION_MODELS),
            "neighbours": [
                {
                    "file": "" if self._pictures is None else self._pictures.neighbour(near.image),
                    "image": near.image,
                    "lesions": ", ".join(self._rows[near.image].lesions) if near.image in self._rows else "",
                    "location": self._rows[near.image].location if near.image in self._rows else "",
                    "distance": f"{near.distance:.3g}",
                    "shared": near.shared,
                }
                for near in self._evidence.neighbours(one.image)
            ],
            "made": [*self._made, *self._sums(fold)],
        }

    def _sums(self, fold: int) -> list[tuple[str, str]]:
        run = self._runs[fold]
        return [
            (f"scores of fold {fold}, sha256", run.scores_sha256),
            (f"weights of fold {fold}, sha256", run.weights or "-"),
        ]

    def _table(
        self, image: str, fold: int, head: str, true: Sequence[str], models: Sequence[str]
    ) -> dict[str, Any] | None:
        """Every model's scores of one image, the first named model's highest first."""
        known = [name for name in dict.fromkeys([self._errors.model, *models, *self._experiment.variants.what])]
        columns, names = [], []
        for model in known:
            scores = self._experiment.scores.get((model, fold))
            values = None if scores is None else getattr(scores, f"{head}_scores")
            if values is not None:
                columns.append((self._experiment.titles[model], values[scores.image.index(image)]))
                names = getattr(scores, f"{head}_names")
        if not columns:
            return None
        first = columns[0][1]
        order = np.argsort(-first, kind="stable").tolist()
        kept = [n for at, n in enumerate(order) if at < MOST_ROWS or names[n] in true]
        return {
            "models": [title for title, _ in columns],
            "rows": [
                {
                    "name": names[n],
                    "true": names[n] in true,
                    "bar": round(100 * min(max(float(first[n]), 0.0), 1.0), 1),
                    "cells": [three(float(values[n])) for _, values in columns],
                }
                for n in kept
            ],
            "of": len(names),
        }


def lesion_page(lesion: LesionErrors) -> str:
    """The name of its page's file."""
    return f"lesion_{lesion.index:03d}.html"


def summary(errors: Errors) -> list[dict[str, Any]]:
    """A row a lesion for the report's own page."""
    names = errors.scores.lesion_names
    return [
        {
            "name": lesion.name,
            "page": f"{FOLDER}/{lesion_page(lesion)}",
            "positives": lesion.positives,
            "first": lesion.positives - lesion.not_first,
            "share": _percent(lesion.positives - lesion.not_first, lesion.positives),
            "above": ", ".join(f"{names[q]} ({lesion.above[q]})" for q in most_above(lesion)[:3]),
        }
        for lesion in errors.lesions
    ]


def _percent(count: int, of: int) -> str:
    return f"{100 * int(count) / of:.0f} %" if of else "-"
