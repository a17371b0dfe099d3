"""Figure 3 from files: attention, nearest neighbours, labels and images that belong together."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Sequence

import numpy as np

from caffe_files.errors import InputError
from caffe_files.outputs import all_or_none, new_file
from skinmtl.common.json_file import write_json
from skinmtl.common.provenance import made_by, sha256
from skinmtl.data.bad_images import check_images_exist, refuse_bad_images
from skinmtl.data.manifest import Manifest, Row
from skinmtl.data.near_images import hint, near_image
from skinmtl.data.seen import marks
from skinmtl.data.table import read_csv
from skinmtl.explanation.attention_file import REMEDY, AttentionFile, HeadAttention
from skinmtl.explanation.retrieving import COLUMNS
from skinmtl.figures.overlay import in_grey, is_faint, overlay
from skinmtl.figures.retrieval_rows import DPI, THUMBNAIL, Picture, PictureRow, retrieval_rows
from skinmtl.figures.style import save_figure
from skinmtl.images import image_file

MOST_SAID = 4  # labels below an attention map
AGAIN = "make it again with tools/retrieve.py"


@dataclass(frozen=True)
class Neighbour:
    """A line of neighbours.csv; `shared` is whether a lesion is shared, None where the query has no labels."""

    line: int
    image: str
    distance: float
    shared: bool | None


def read_neighbours(path: Path) -> dict[str, list[Neighbour]]:
    """Query -> its neighbours, nearest first."""
    found: dict[str, list[Neighbour]] = {}
    for line, record in read_csv(path, COLUMNS):
        of_query = found.setdefault(record["query"], [])
        if record["rank"] != str(len(of_query) + 1):
            wanted = len(of_query) + 1
            raise InputError(f"{path}:{line}: rank {record['rank']!r} where {wanted} comes next; {AGAIN}")
        try:
            distance = float(record["distance"])
        except ValueError:
            distance = math.nan
        if not 0 <= distance < math.inf:
            raise InputError(f"{path}:{line}: distance {record['distance']!r} is not a number from 0; {AGAIN}")
        if record["shared_lesion"] not in ("", "0", "1"):
            raise InputError(f"{path}:{line}: shared_lesion {record['shared_lesion']!r} is not 0 or 1; {AGAIN}")
        shared = record["shared_lesion"] == "1" if record["shared_lesion"] else None
        of_query.append(Neighbour(line, record["neighbour"], distance, shared))
    if not found:
        raise InputError(f"{path}: no neighbours in it; {AGAIN}")
    return found


class FigureInputs:
    """What the figure is made from. InputError where the files do not belong together."""

    def __init__(self, attention: AttentionFile, neighbours: Path, manifest: Manifest, image_folder: Path) -> None:
        self.attention = attention
        self.heads = list(attention.heads)
        self._path = neighbours
        self._neighbours = read_neighbours(neighbours)
        self._manifest = manifest
        self._image_folder = image_folder
        self._rows = {row.image: row for row in manifest.rows}

    def queries(self) -> list[str]:
        """The images that have both attention and neighbours, in the attention's order; one at least."""
        both = [name for name in self.attention.images if name in self._neighbours]
        if not both:
            raise InputError(
                f"{self._path}: has none of the {len(self.attention.images)} images of {self.attention.path}; "
                "attend to queries of it"
            )
        return both

    def picture_rows(self, queries: Sequence[str]) -> list[PictureRow]:
        """Reads and checks everything for these queries."""
        both = set(self.queries())
        for query in queries:
            if query not in both:
                where = self._path if query in self.attention.images else self.attention.path
                raise InputError(f"{where}: no image {query!r} in it; check --image")
        self._check(queries)
        return [self._picture_row(query) for query in queries]

    def described(self, queries: Sequence[str]) -> list[dict[str, Any]]:
        """The rows for JSON."""
        return [
            {
                "query": query,
                "neighbours": [
                    {"image": one.image, "distance": one.distance, "shared_lesion": one.shared}
                    for one in self._neighbours[query]
                ],
            }
            for query in queries
        ]

    def seen(self) -> list[str]:
        """What a reader must know of the attention's images: how many the net has seen in its training."""
        return marks(self.attention.protocol)

    def sha256(self) -> dict[str, str]:
        """Of each input file, by its path."""
        return {str(path): sha256(path) for path in (self.attention.path, self._path, self._manifest.path)}

    def _check(self, queries: Sequence[str]) -> None:
        """Names are in the manifest, its labels are those that the neighbours were compared by, all files are there."""
        used: dict[str, Row] = {}
        for query in queries:
            labelled = self._neighbours[query][0].shared is not None
            row = self._row(query, self._neighbours[query][0].line) if labelled else None
            if row:
                used[query] = row
                self._check_names()
            for one in self._neighbours[query]:
                found = used[one.image] = self._row(one.image, one.line)
                shared = bool(set(row.lesions) & set(found.lesions)) if row else None
                if one.shared != shared:
                    raise InputError(
                        f"{self._path}:{one.line}: shared_lesion is not what the labels in {self._manifest.path} say; "
                        "give the manifest that it was made with"
                    )
        check_images_exist(replace(self._manifest, rows=tuple(used.values())), self._image_folder)

    def _check_names(self) -> None:
        of_manifest = {"lesion": self._manifest.lesion_names, "location": self._manifest.location_names}
        for head in self.heads:
            if self.attention.names[head] != list(of_manifest[head]):
                raise InputError(
                    f"{self.attention.path}: {head}_names are not those of {self._manifest.path}; "
                    "give the manifest that it was made with"
                )

    def _row(self, image: str, line: int) -> Row:
        if image not in self._rows:
            near = hint(near_image(image, self._rows))
            raise InputError(
                f"{self._path}:{line}: image {image!r} is not in {self._manifest.path}{near}; give its manifest"
            )
        return self._rows[image]

    def _picture_row(self, query: str) -> PictureRow:
        n = self.attention.images.index(query)
        labelled = self._neighbours[query][0].shared is not None
        if labelled:
            row = self._rows[query]
            image, captions = self._load(row), _captions(row)
        else:
            image, captions = _load_file(Path(query)), ["labels not known"]
        of_query = [Picture(image, captions)]
        for head in self.heads:
            attention = self.attention.read(n, head)
            self._check_aspect(query, image, attention)
            # the number first: a long name may lose its end
            probabilities = self.attention.probabilities(n, head, attention.labels)
            said = [f"{value:.2f} {name}" for value, name in zip(probabilities, attention.labels)]
            if len(said) > MOST_SAID:
                said[MOST_SAID - 1 :] = [f"and {len(said) - MOST_SAID + 1} more"]
            drawn = overlay(image, attention.shown)
            of_query.append(Picture(in_grey(drawn) if is_faint(probabilities) else drawn, said))
        neighbours = []
        for one in self._neighbours[query]:
            row = self._rows[one.image]
            neighbours.append(Picture(self._load(row), _captions(row), one.shared))
        return PictureRow(query, of_query, neighbours)

    def _load(self, row: Row) -> np.ndarray:
        loaded = image_file.load((self._image_folder / row.image, THUMBNAIL))
        if loaded.problem:
            refuse_bad_images(replace(self._manifest, rows=(row,)), self._image_folder, {0: loaded.problem})
        return loaded.pixels

    def _check_aspect(self, query: str, image: np.ndarray, attention: HeadAttention) -> None:
        """Both are resized from one image, each rounded to whole pixels."""
        height, width = attention.maps.shape[1:]
        scale = min(height, width) / min(image.shape[:2])
        if max(abs(height - scale * image.shape[0]), abs(width - scale * image.shape[1])) > 1 + scale:
            raise InputError(f"{self.attention.path}: image {query!r} has another shape now than its maps; {REMEDY}")


def draw(inputs: FigureInputs, queries: Sequence[str], outs: Sequence[Path], arguments: dict[str, Any]) -> None:
    """Writes the figure to each of `outs`, .png or .svg, and beside the first what is in it, as .json."""
    heads = ["query", *(f"{head} attention" for head in inputs.heads)]
    figure = retrieval_rows(inputs.picture_rows(queries), heads)
    record = {"rows": inputs.described(queries), "seen": inputs.seen(), "inputs": inputs.sha256()}
    record.update(made_by(arguments))
    with all_or_none():
        for out in outs:
            save_figure(figure, out, DPI)
        with new_file(outs[0].with_suffix(".json")) as partial:
            write_json(partial, record)


def _load_file(path: Path) -> np.ndarray:
    loaded = image_file.load((path, THUMBNAIL))
    if loaded.problem:
        raise InputError(f"{path}: {loaded.problem}; the query's file must be where it was")
    return loaded.pixels


def _captions(row: Row) -> list[str]:
    return [", ".join(row.lesions), f"[{row.location}]"]
