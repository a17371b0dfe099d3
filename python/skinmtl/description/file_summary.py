"""What the files of a data set are together: sizes, formats, what cannot be used, what is there twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Sequence

import numpy as np

from skinmtl.data.manifest import Manifest
from skinmtl.description.files import FileFacts
from skinmtl.images import formats

SIDES = (224, 256, 480)  # the net's crop, and the ends of the paper's scale jittering
PERCENTILES = (0, 5, 25, 50, 75, 95, 100)
LONG = 2.0  # times as long as wide, our choice: a 224 crop of a resized image then shows less than half of it
COMMON_SIZES = 10


@dataclass(frozen=True)
class Duplicates:
    """Rows of the manifest whose files are the same bytes, and whether the manifest treats them alike.

    `folds` is how many folds they are in; 1 without folds.
    """

    rows: tuple[int, ...]
    same_labels: bool
    same_group: bool
    folds: int


@dataclass(frozen=True)
class FileSummary:
    """Numbers of rows and, where said, of the rows whose files can be used, upright as shown. N rows, U usable.

    facts         N, in the manifest's order
    usable        (U,) rows
    problems      rows that cannot be used
    kinds         what sort of problem -> rows
    percentiles   quantity -> its PERCENTILES over the usable: "width", "height", "shorter side", "longer / shorter
                  side", "megapixels", "kilobytes"; empty where no file can be used
    below         each of SIDES -> usable rows whose shorter side is smaller
    formats, colours, bits    name -> usable files
    common_sizes  ("width x height", usable files), the most common first
    n_sizes       how many different sizes there are
    turned        usable files that EXIF turns or mirrors
    long, blank   rows more than LONG times as long as wide, or of one colour
    misnamed      rows whose suffix names another format than the bytes are
    told          what a person should know -> the rows that it is of
    duplicates    sets of files with the same bytes
    """

    facts: list[FileFacts]
    usable: np.ndarray
    problems: list[int]
    kinds: dict[str, int]
    percentiles: dict[str, list[float]]
    below: dict[int, int]
    formats: dict[str, int]
    colours: dict[str, int]
    bits: dict[str, int]
    common_sizes: list[tuple[str, int]]
    n_sizes: int
    total_bytes: int
    turned: int
    long: list[int]
    blank: list[int]
    misnamed: list[int]
    told: dict[str, list[int]]
    duplicates: list[Duplicates]

    def short_sides(self) -> np.ndarray:
        """(U,) pixels."""
        return np.array([min(self.facts[n].width, self.facts[n].height) for n in self.usable], np.int64)

    def aspects(self) -> np.ndarray:
        """(U,) the longer side as a multiple of the shorter."""
        sides = [(self.facts[n].width, self.facts[n].height) for n in self.usable]
        return np.array([max(of) / min(of) for of in sides], float)


def summarise(manifest: Manifest, facts: list[FileFacts], fold_of: np.ndarray | None) -> FileSummary:
    """The facts of each row's file, put together."""
    usable = [n for n, one in enumerate(facts) if not one.kind]
    width = np.array([facts[n].width for n in usable], np.int64)
    height = np.array([facts[n].height for n in usable], np.int64)
    short, long = np.minimum(width, height), np.maximum(width, height)
    kilobytes = np.array([facts[n].n_bytes for n in usable]) / 1000
    quantities = {
        "width": width,
        "height": height,
        "shorter side": short,
        "longer / shorter side": long / short,
        "megapixels": width * height / 1e6,
        "kilobytes": kilobytes,
    }
    sizes = Counter(f"{facts[n].width} x {facts[n].height}" for n in usable)
    return FileSummary(
        facts=facts,
        usable=np.array(usable, np.int64),
        problems=[n for n, one in enumerate(facts) if one.kind],
        kinds=_counted(one.kind for one in facts if one.kind),
        percentiles={
            name: np.percentile(of, PERCENTILES).tolist() if usable else [] for name, of in quantities.items()
        },
        below={side: int((short < side).sum()) for side in SIDES},
        formats=_counted(facts[n].header.format for n in usable),
        colours=_counted(facts[n].header.colours for n in usable),
        bits=_counted(str(facts[n].header.bits or "unknown") for n in usable),
        common_sizes=sizes.most_common(COMMON_SIZES),
        n_sizes=len(sizes),
        total_bytes=sum(one.n_bytes for one in facts),
        turned=sum(facts[n].header.turned > 1 for n in usable),
        long=[usable[at] for at in np.flatnonzero(long > LONG * short)],
        blank=[n for n in usable if facts[n].blank],
        misnamed=[n for n in usable if formats.is_misnamed(manifest.rows[n].image, facts[n].header.format)],
        told=_told(facts),
        duplicates=_duplicates(manifest, facts, fold_of),
    )


def _counted(values: Sequence[str]) -> dict[str, int]:
    """The most frequent first."""
    return dict(Counter(values).most_common())


def _told(facts: list[FileFacts]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for n, one in enumerate(facts):
        for line in one.told:
            rows.setdefault(line, []).append(n)
    return rows


def _duplicates(manifest: Manifest, facts: list[FileFacts], fold_of: np.ndarray | None) -> list[Duplicates]:
    by_bytes: dict[str, list[int]] = {}
    for n, one in enumerate(facts):
        if one.n_bytes:  # empty files are alike and a problem of their own
            by_bytes.setdefault(one.sha256, []).append(n)
    found = []
    for rows in by_bytes.values():
        if len(rows) > 1:
            of = [manifest.rows[n] for n in rows]
            labels = {(frozenset(row.lesions), row.location) for row in of}
            groups = {row.group for row in of}
            folds = 1 if fold_of is None else len(set(fold_of[rows].tolist()))
            found.append(Duplicates(tuple(rows), len(labels) == 1, len(groups) == 1, folds))
    return found
