"""The stream of a LesionData layer, for either engine: which samples it has, and who reads them.

Three LMDBs in step: images, masks (PNG of one channel, above 128 is lesion), and the lesions' names (float_data 0 or 1,
one of them 1).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from google.protobuf.message import Message

from caffe_files.errors import InputError
from caffe_files.records import REMEDY, Records
from caffe_files.streams import Part, Plan, Reader, Recipe
from skinmtl.images.letterbox import Letterbox
from skinmtl.layers.lesion_draw import draw, drawn_upon, order
from skinmtl.layers.settings import BESIDE_IMAGES, LesionDataSettings

KINDS = ("uint8", "float32", "float32", "float32", "uint8", "float32")  # of the tops, before the mean is subtracted
LESION_ABOVE = 128  # of a mask's pixel, as the challenge's organisers have it


class LesionSamples(Reader):
    """What the tops of LesionData show, of one visit:

    image   (side, side, 3) uint8, blue, green, red, zeros around; or as `planes` (3, side, side)
    window  (4,) float32: x1, y1, x2, y2 of what is not padding
    box     (4,) float32: the tight box of the mask, x2 and y2 exclusive; zeros where the mask is empty
    class   () float32: from 1; 0 where the mask is empty
    mask    (1, side, side) uint8, 0 or 1
    draw    (2,) float32: two whole numbers below 2**24

    Up to `augment` augmentations are drawn for a visit. `repeats`: every pass over the records draws the same.
    `shuffle`: each pass has an order of its own.
    """

    def __init__(
        self, source: str, side: int, augment: int, repeats: bool, planes: bool, shuffle: bool = False
    ) -> None:
        paths = [source, *(str(Path(source).with_name(name)) for name in BESIDE_IMAGES)]
        self._images, self._masks, self._lesions = self._all = [Records(path) for path in paths]
        for other in (self._masks, self._lesions):
            other.check_in_step(self._images)
        self._side, self._augment, self._repeats, self._planes = side, augment, repeats, planes
        self._shuffle = shuffle
        self._order = lru_cache(maxsize=2)(order)  # a batch may lie in two passes

    def sample(self, visit: int, seed: int) -> tuple[np.ndarray, ...]:
        if self._repeats:
            visit %= len(self._images)
        drawn = draw(seed, visit, self._augment)
        record = self._record(visit, seed)
        image = _read(self._images, record, _image)
        mask = _read(self._masks, record, _mask)
        name = _read(self._lesions, record, _only_lesion)
        if mask.shape != image.shape[:2]:
            sizes = " x ".join(map(str, mask.shape[::-1])), " x ".join(map(str, image.shape[1::-1]))
            raise self._masks.fault(record, f"a mask of {sizes[0]} for an image of {sizes[1]}; {REMEDY}")
        place = Letterbox.of(*mask.shape, self._side)
        image, mask = drawn_upon(place.resized_image(image), place.resized_mask(mask), drawn, self._side)
        place = place.turned() if drawn.turns % 2 else place
        image, mask = place.padded(image), place.padded(mask)
        box = box_of(mask)
        return (
            image.transpose(2, 0, 1) if self._planes else image,
            np.array(place.window, np.float32),
            box,
            np.float32(1 + name if box.any() else 0),
            mask[np.newaxis].view(np.uint8),
            np.array(drawn.numbers, np.float32),
        )

    def _record(self, visit: int, seed: int) -> int:
        number, place = divmod(visit, len(self._images))
        return int(self._order(seed, number, len(self._images))[place]) if self._shuffle else place

    def use_one_core(self) -> None:
        cv2.setNumThreads(1)

    def close(self) -> None:
        for records in self._all:
            records.close()


def recipe_of(settings: LesionDataSettings, training: bool, planes: bool) -> Recipe:
    """Who reads the samples: in training with augmentations, and in the orders of `shuffle`, else the same in
    every pass over the records."""
    augment = settings.augment if training else 0
    return Recipe.of(
        LesionSamples,
        **{"source": settings.source, "side": settings.side, "augment": augment},
        **{"repeats": not training, "planes": planes, "shuffle": training and settings.shuffle},
    )


def plan_of(settings: LesionDataSettings) -> Plan:
    """Which samples the layer has, as planes."""
    parts = tuple(map(Part, settings.shapes, KINDS))
    return Plan(settings.batch_size, parts, settings.seed, settings.start, prefetch=settings.prefetch)


def box_of(mask: np.ndarray) -> np.ndarray:
    """(x1, y1, x2, y2) float32 of a mask's pixels that are not 0, x2 and y2 exclusive; zeros where there are none."""
    columns, rows = (np.flatnonzero(mask.any(axis=axis)) for axis in (0, 1))
    if not len(rows):
        return np.zeros(4, np.float32)
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


def _read(records: Records, number: int, read: Any) -> Any:
    datum = records.datum(number)
    try:
        return read(datum)
    except InputError as error:
        raise records.fault(number, str(error)) from None


def _image(datum: Message) -> np.ndarray:
    return _pixels(datum, cv2.IMREAD_COLOR, "image")


def _mask(datum: Message) -> np.ndarray:
    """(H, W) bool."""
    pixels = _pixels(datum, cv2.IMREAD_UNCHANGED, "mask")
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise InputError(
            f"a mask is of one channel of 8 bits, this is {pixels.dtype} of shape {pixels.shape}; {REMEDY}"
        )
    return pixels > LESION_ABOVE


def _only_lesion(datum: Message) -> int:
    values = list(datum.float_data)
    if not set(values) <= {0.0, 1.0}:
        raise InputError(f"holds no labels of lesions, which are 0 or 1; {REMEDY}")
    if values.count(1.0) != 1:
        raise InputError(
            f"{values.count(1.0)} lesions' names for one image, where a box has one class; give each image of the "
            "manifest one name"
        )
    return values.index(1.0)


def _pixels(datum: Message, flag: int, what: str) -> np.ndarray:
    if not datum.encoded:
        raise InputError(f"holds no encoded {what}; build the LMDBs with make_lmdb.py")
    try:
        pixels = cv2.imdecode(np.frombuffer(datum.data, np.uint8), flag)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise InputError(f"holds no {what} that OpenCV reads; build the LMDBs again")
    return pixels
