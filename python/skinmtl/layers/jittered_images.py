"""The stream of a JitteredImageData layer, for either engine: which samples it has, and who reads them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from caffe_files.errors import InputError
from caffe_files.records import Records
from caffe_files.streams import Part, Plan, Reader, Recipe
from skinmtl.layers.augment import NONE, Augmentation, changed, draw_change
from skinmtl.layers.jitter import crop_of, draw
from skinmtl.layers.settings import JitterSettings


class JitteredImages(Reader):
    """The images of an LMDB at a new scale, crop and flip a visit, changed as is asked for: uint8, blue, green, red.

    (crop, crop, 3), or as `planes` (3, crop, crop). `augment` has the ranges of an Augmentation, None where nothing
    else is changed; `mean` (B, G, R) is the colour of its cutouts.
    """

    def __init__(
        self,
        source: str,
        crop: int,
        scales: tuple[int, int],
        planes: bool,
        augment: dict[str, Any] | None = None,
        mean: tuple[float, ...] = (0, 0, 0),
    ) -> None:
        self._records = Records(source)
        self._crop, self._scales, self._planes = crop, scales, planes
        self._ranges, self._mean = Augmentation(**augment) if augment else NONE, mean

    def sample(self, visit: int, seed: int) -> tuple[np.ndarray, ...]:
        datum = self._records.datum(visit)
        try:
            if not datum.encoded:
                raise InputError("holds no encoded image; build the LMDBs with make_lmdb.py")
            change = None if self._ranges == NONE else draw_change(seed, visit, self._ranges, self._crop)
            degrees = change.degrees if change else 0.0
            image = crop_of(datum.data, draw(seed, visit, self._scales), self._crop, self._scales[1], degrees)
            if change:
                image = changed(image, change, self._mean)
        except InputError as error:
            raise self._records.fault(visit, str(error)) from None
        return (image.transpose(2, 0, 1) if self._planes else image,)

    def use_one_core(self) -> None:
        cv2.setNumThreads(1)

    def close(self) -> None:
        self._records.close()


def recipe_of(settings: JitterSettings, planes: bool) -> Recipe:
    """Who reads the samples."""
    return Recipe.of(
        JitteredImages,
        **{"source": settings.source, "crop": settings.crop, "scales": settings.scales, "planes": planes},
        **{"augment": settings.plain(), "mean": settings.mean},
    )


def plan_of(settings: JitterSettings) -> Plan:
    """Which samples the layer has, as planes."""
    part = Part((3, settings.crop, settings.crop), "uint8")
    return Plan(settings.batch_size, (part,), settings.seed, settings.start, prefetch=settings.prefetch)
