"""Photographs and maps on the pages of errors, as small JPEGs in a folder of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Container, NamedTuple, Sequence

import numpy as np

from caffe_files.errors import InputError
from skinmtl.figures.overlay import in_grey, is_faint, overlay
from skinmtl.images import image_file
from skinmtl.report.error_evidence import Map

# pixels of the longer side, our choice: twice what a page shows, for screens with twice the pixels
PHOTOGRAPH, MAP, THUMBNAIL = 1000, 640, 240
QUALITY, OF_THUMBNAIL = 85, 80


class MapPicture(NamedTuple):
    """A map as it is shown: its files' names, and whether it is in grey, since the net all but excludes the label."""

    head: str
    label: str
    probability: float
    faint: bool
    large: str
    small: str


class Pictures:
    """Writes into a new folder. `images` is the folder that names of images are in.

    InputError where a photograph cannot be read, or is not the one that a map was made of.
    """

    def __init__(self, images: Path, folder: Path) -> None:
        self._images, self._folder = images, folder
        self._neighbours: dict[str, str] = {}
        folder.mkdir()

    def add(
        self, number: int, image: str, maps: Sequence[Map], listed: Container[str]
    ) -> tuple[str, str, list[MapPicture]]:
        """The photograph's files, large and small, and those of its maps, small for the `listed` lesions alone."""
        pixels = self._read(image, PHOTOGRAPH)
        large, small = f"{number:04d}.jpg", f"{number:04d}_small.jpg"
        self._write(large, pixels, QUALITY)
        self._write(small, _within(pixels, THUMBNAIL), OF_THUMBNAIL)
        for_map, shown = _within(pixels, MAP), []
        for n, one in enumerate(maps):
            self._check_shape(image, pixels, one)
            drawn, faint = overlay(for_map, one.values), is_faint([one.probability])
            drawn = in_grey(drawn) if faint else drawn
            names = (
                f"{number:04d}_map{n}.jpg",
                f"{number:04d}_map{n}_small.jpg" if one.head == "lesion" and one.label in listed else "",
            )
            self._write(names[0], drawn, QUALITY)
            if names[1]:
                self._write(names[1], _within(drawn, THUMBNAIL), OF_THUMBNAIL)
            shown.append(MapPicture(one.head, one.label, one.probability, faint, *names))
        return large, small, shown

    def neighbour(self, image: str) -> str:
        """The file of a training image, which is written once."""
        if image not in self._neighbours:
            self._neighbours[image] = f"near_{len(self._neighbours) + 1:04d}.jpg"
            self._write(self._neighbours[image], self._read(image, THUMBNAIL), OF_THUMBNAIL)
        return self._neighbours[image]

    def _read(self, image: str, side: int) -> np.ndarray:
        path = self._images / image
        try:
            return image_file.fitted(image_file.read(path), side).pixels
        except image_file.ImageError as error:
            raise InputError(
                f"{path}: {error}; give the folder of --images as it was scored, or --no-photographs"
            ) from None

    def _write(self, name: str, pixels: np.ndarray, quality: int) -> None:
        (self._folder / name).write_bytes(image_file.encode_jpeg(pixels, quality))

    def _check_shape(self, image: str, pixels: np.ndarray, one: Map) -> None:
        """Both are resized from one photograph, each rounded to whole pixels."""
        scale = max(one.values.shape) / max(pixels.shape[:2])
        if max(abs(of_map - scale * side) for of_map, side in zip(one.values.shape, pixels.shape[:2])) > 1 + scale:
            raise InputError(
                f"{self._images / image}: has another shape now than its maps; give the folder of --images as it was"
            )


def _within(pixels: np.ndarray, side: int) -> np.ndarray:
    """The picture with its longer side made `side` where that is longer."""
    height, width = pixels.shape[:2]
    if max(height, width) <= side:
        return pixels
    return image_file.resize_short_side(pixels, max(1, round(side * min(height, width) / max(height, width))))
