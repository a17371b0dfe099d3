"""What an experiment's folder has of single test images besides their scores: maps and nearest training images."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from skinmtl.explanation.attending import ATTENTION_FILE
from skinmtl.explanation.attention_file import AttentionFile
from skinmtl.explanation.retrieval_figure import Neighbour, read_neighbours
from skinmtl.report.errors import Errors
from skinmtl.report.experiment import Experiment, scores_path

# below EXP/fold*/MODEL, in this order: those made for the errors, those of all test images, Figure 3's
MAPS = ("error_maps", "maps", "attention")


class Map(NamedTuple):
    """Where a net sees one label: `head` "lesion" or "location", `values` (H, W)."""

    head: str
    label: str
    probability: float
    values: np.ndarray


class Evidence:
    """Maps and neighbours of the images of a model's test folds. A map is read only when it is asked for.

    `notes` say what there is not. InputError where a file is damaged.
    """

    def __init__(self, experiment: Experiment, errors: Errors) -> None:
        self._rows: dict[str, list[tuple[AttentionFile, int]]] = {}
        self._neighbours: dict[str, list[Neighbour]] = {}
        self.says = ""
        lacking: dict[str, list[str]] = {}
        for fold in experiment.folds_of(errors.model):
            folder = scores_path(experiment.path, errors.model, fold).parent
            of_weights = experiment.scores[errors.model, fold].protocol.get("weights_sha256")
            there = [folder / name / ATTENTION_FILE for name in MAPS if (folder / name / ATTENTION_FILE).is_file()]
            if not there:
                lacking.setdefault("there are no maps", []).append(str(fold))
            for path in there:
                if not self._add(AttentionFile(path), of_weights):
                    lacking.setdefault("maps of other weights are not shown", []).append(str(fold))
            if (folder / "neighbours.csv").is_file():
                self._neighbours.update(read_neighbours(folder / "neighbours.csv"))
            else:
                lacking.setdefault("there are no nearest training images", []).append(str(fold))
        self.notes = [f"Of test fold {', '.join(folds)} {what}." for what, folds in lacking.items()]

    def maps(self, image: str) -> list[Map]:
        """Those of an image, lesions first; a label's map once."""
        found: dict[tuple[str, str], Map] = {}
        for file, row in self._rows.get(image, ()):
            for head in file.heads:
                attention = file.read(row, head)
                for label, values in zip(attention.labels, attention.maps):
                    if (head, label) not in found:
                        found[head, label] = Map(head, label, file.probability(row, head, label), values)
        return list(found.values())

    def neighbours(self, image: str) -> list[Neighbour]:
        """Its nearest training images, nearest first; none where they are not known."""
        return self._neighbours.get(image, [])

    def _add(self, file: AttentionFile, of_weights: object) -> bool:
        if file.protocol.get("weights_sha256") != of_weights:
            return False
        self.says = self.says or str(file.protocol.get("says", ""))
        for row, image in enumerate(file.images):
            self._rows.setdefault(image, []).append((file, row))
        return True


def files_of(folder: Path) -> list[Path]:
    """Those of a model's folder that the evidence is read from."""
    names = [*(Path(name) / ATTENTION_FILE for name in MAPS), Path("neighbours.csv")]
    return [folder / name for name in names if (folder / name).is_file()]
