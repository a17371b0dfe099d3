"""The layers of a net that read LMDBs: Caffe's own Data layers, and our JitteredImageData and LesionData."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caffe_files.errors import InputError
from skinmtl.layers.param_str import read_param_str
from skinmtl.layers.settings import BESIDE_IMAGES, LesionDataSettings, read_settings

JITTERED, LESIONS = "JitteredImageData", "LesionData"


@dataclass(frozen=True)
class DataLayer:
    """Where a layer reads, how many records a pass, the side of its crop (0: none), and what is drawn online.

    scales  is None for a Data layer of Caffe, which crops from the images as they are stored, and for a LesionData
    beside  the LMDBs that it reads as well, in step
    shapes  of its tops for one image; none for a Data layer without a crop
    """

    name: str
    source: Path
    batch_size: int
    crop: int
    scales: tuple[int, int] | None = None
    beside: tuple[Path, ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ()

    @property
    def sources(self) -> tuple[Path, ...]:
        """All LMDBs that it reads."""
        return (self.source, *self.beside)


def data_layer(layer: Any, net: Path) -> DataLayer | None:
    """A layer of the net `net` as a DataLayer; None where it reads no LMDB. InputError where its param_str is wrong."""
    if layer.type == "Data":
        data, crop = layer.data_param, layer.transform_param.crop_size
        return DataLayer(layer.name, Path(data.source), data.batch_size, crop, shapes=_image_shapes(crop))
    if layer.type != "Python" or layer.python_param.layer not in (JITTERED, LESIONS):
        return None
    param_str, where = layer.python_param.param_str, f"{net}: {layer.name}"
    if layer.python_param.layer == JITTERED:
        settings = read_settings(param_str, where)
        source, shapes = Path(settings.source), _image_shapes(settings.crop)
        return DataLayer(layer.name, source, settings.batch_size, settings.crop, settings.scales, shapes=shapes)
    settings = read_param_str(LesionDataSettings, param_str, where)
    source, shapes = Path(settings.source), tuple((1, *shape) for shape in settings.shapes)
    beside = tuple(source.with_name(name) for name in BESIDE_IMAGES)
    return DataLayer(layer.name, source, settings.batch_size, 0, beside=beside, shapes=shapes)


def _image_shapes(crop: int) -> tuple[tuple[int, ...], ...]:
    return ((1, 3, crop, crop),) if crop else ()


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
