"""The layers of a net that read LMDBs: Caffe's own Data layers, and our JitteredImageData."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caffe_files.errors import InputError
from skinmtl.layers.settings import read_settings

JITTERED = "JitteredImageData"


@dataclass(frozen=True)
class DataLayer:
    """Where a layer reads, how many records a pass, the side of its crop (0: none), and what is drawn online.

    scales is None for a Data layer of Caffe, which crops from the images as they are stored.
    """

    name: str
    source: Path
    batch_size: int
    crop: int
    scales: tuple[int, int] | None = None


def data_layer(layer: Any, net: Path) -> DataLayer | None:
    """A layer of the net `net` as a DataLayer; None where it reads no LMDB. InputError where its param_str is wrong."""
    if layer.type == "Data":
        return DataLayer(
            layer.name, Path(layer.data_param.source), layer.data_param.batch_size, layer.transform_param.crop_size
        )
    if layer.type == "Python" and layer.python_param.layer == JITTERED:
        settings = read_settings(layer.python_param.param_str, f"{net}: {layer.name}")
        return DataLayer(layer.name, Path(settings.source), settings.batch_size, settings.crop, settings.scales)
    return None


def check_stored(folder: Path, summary: dict[str, Any], scales: tuple[int, int]) -> None:
    """InputError unless a data set, by its dataset.json, is stored once and large enough to draw `scales` online."""
    smallest, largest = summary["short_side"]
    if smallest != largest or summary["copies"] != 1:
        raise InputError(
            f"{folder}: is jittered already ({summary['copies']} copies, shorter sides of {smallest} to {largest}); "
            f"to draw scales online store each image once: make_lmdb.py --short-side {scales[1]}"
        )
    if largest < scales[1]:
        raise InputError(
            f"{folder}: has images of {largest} pixels on the shorter side, too small to draw {scales[1]}; "
            f"make_lmdb.py --short-side {scales[1]}, or smaller --scales"
        )
