"""The paper's own Table 1, as published, to stand beside one's own numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

from caffe_files.errors import InputError
from skinmtl.data.table import read_csv
from skinmtl.report.experiment import ALEXNET, ENSEMBLE, MTL, RESNET

BUNDLED = Path(__file__).with_name("paper_table1.csv")
COLUMNS = {ALEXNET: "alexnet", RESNET: "resnet", MTL: "mtl", ENSEMBLE: "ensemble"}
MAP_CLASS, MAP_IMAGE = "mAP-class", "mAP-image"


@dataclass(frozen=True)
class PaperTable:
    """For each model, lesion -> average precision, and the published means; lesions in the paper's order."""

    lesions: tuple[str, ...]
    average_precision: dict[str, dict[str, float]]
    map_class: dict[str, float]
    map_image: dict[str, float]

    def of(self, model: str, lesion: str) -> float | None:
        """The paper's number for a lesion of another data set: None where the paper has none of that name."""
        by_name = {_key(name): value for name, value in self.average_precision.get(model, {}).items()}
        return by_name.get(_key(lesion))

    def is_of(self, lesions: Sequence[str]) -> bool:
        """Whether these are the paper's lesions, all of them and no other: how hard a lesion is to find, and the mAPs,
        depend on which others there are and on how frequent it is."""
        return {_key(name) for name in lesions} == {_key(name) for name in self.lesions}

    def averages(self) -> dict[str, float]:
        """The mean of each model's column over the lesions: what the paper's mAP-class row must agree with."""
        return {model: sum(column.values()) / len(column) for model, column in self.average_precision.items()}


def read_paper_table(path: Path) -> PaperTable:
    """Reads `lesion,alexnet,resnet,mtl,ensemble`, with the rows mAP-class and mAP-image last."""
    rows: dict[str, dict[str, float]] = {}
    keys = set()
    for line, record in read_csv(path, ("lesion", *COLUMNS.values())):
        name = record["lesion"]
        if _key(name) in keys:
            raise InputError(f"{path}:{line}: {name!r} stands there twice; keep one")
        keys.add(_key(name))
        rows[name] = {model: _number(path, line, record[column]) for model, column in COLUMNS.items()}
    for name in (MAP_CLASS, MAP_IMAGE):
        if name not in rows:
            raise InputError(f"{path}: no row {name!r}; name a table like {BUNDLED.name}")
    map_class, map_image = rows.pop(MAP_CLASS), rows.pop(MAP_IMAGE)
    if not rows:
        raise InputError(f"{path}: no lesions; name a table like {BUNDLED.name}")
    by_model = {model: {name: values[model] for name, values in rows.items()} for model in COLUMNS}
    return PaperTable(tuple(rows), by_model, map_class, map_image)


def _key(name: str) -> str:
    """Names match whatever their case and their spaces."""
    return "".join(name.split()).casefold()


def _number(path: Path, line: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise InputError(f"{path}:{line}: {text!r} is not a number from 0 to 1")
    return value
