"""The stream of a JitteredImageData layer, for either engine: which samples it has, and who reads them."""

from __future__ import annotations

import cv2
import numpy as np

from caffe_files.errors import InputError
from caffe_files.records import Records
from caffe_files.streams import Part, Plan, Reader, Recipe
from skinmtl.layers.jitter import crop_of, draw
from skinmtl.layers.settings import JitterSettings


class JitteredImages(Reader):
    """The images of an LMDB at a new scale, crop and flip a visit: uint8, blue, green, red.

    (crop, crop, 3), or as `planes` (3, crop, crop).
    """

    def __init__(self, source: str, crop: int, scales: tuple[int, int], planes: bool) -> None:
        self._records = Records(source)
        self._crop, self._scales, self._planes = crop, scales, planes

    def sample(self, visit: int, seed: int) -> tuple[np.ndarray, ...]:
        datum = self._records.datum(visit)
        try:
            if not datum.encoded:
                raise InputError("holds no encoded image; build the LMDBs with make_lmdb.py")
            image = crop_of(datum.data, draw(seed, visit, self._scales), self._crop, self._scales[1])
        except InputError as error:
            raise self._records.fault(visit, str(error)) from None
        return (image.transpose(2, 0, 1) if self._planes else image,)

    def use_one_core(self) -> None:
        cv2.setNumThreads(1)

    def close(self) -> None:
        self._records.close()


def recipe_of(settings: JitterSettings, planes: bool) -> Recipe:
    """Who reads the samples."""
    return Recipe.of(JitteredImages, source=settings.source, crop=settings.crop, scales=settings.scales, planes=planes)


def plan_of(settings: JitterSettings) -> Plan:
    """Which samples the layer has, as planes."""
    part = Part((3, settings.crop, settings.crop), "uint8")
    return Plan(settings.batch_size, (part,), settings.seed, settings.start, prefetch=settings.prefetch)
