"""What the layers that read images are told: the JSON text in their `param_str`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from skinmtl.layers.augment import Augmentation
from skinmtl.layers.param_str import (
    Kind,
    Settings,
    numbers,
    read_param_str,
    setting,
    text,
    true_or_false,
    whole,
    wholes,
)
from skinmtl.layers.region_settings import LARGEST_SIDE

LESION_TOPS = ("data", "window", "box", "class_label", "mask", "draw")  # of LesionData, as the nets name them
BESIDE_IMAGES = ("mask_lmdb", "lesion_lmdb")  # what LesionData reads in step with the image LMDB
# in the text of a net, where a string's quotes may be escaped
PACE = re.compile(r',\s*\\?"(?:workers|prefetch)\\?"\s*:\s*\w+|\\?"(?:workers|prefetch)\\?"\s*:\s*\w+\s*,\s*')
MEAN = numbers("three numbers: B, G, R", 3)
# at most: our choice, far above use, far below what would take a machine down
WORKERS, PREFETCH = whole(0, 256, or_null=True), whole(1, 100)
# two whole numbers in their order
SCALES = Kind(
    "two whole numbers, such as [256, 480]",
    lambda value: wholes("", 2).fits(value) and value[0] <= value[1],
)


@dataclass(frozen=True)
class _JitteredStream(Settings):
    """source      the image LMDB, as Caffe sees it
    batch_size  images a forward pass
    crop        side of the square crop, in pixels
    scales      the smallest and the largest shorter side that an image is resized to, in pixels
    mean        (B, G, R) that is subtracted
    seed        of all that is drawn
    start       the visit that the first image is; record `start` mod n of the LMDB
    workers     processes that prepare images; 0: none, each batch is prepared when it is asked for; None: one a core
    prefetch    batches that are prepared ahead (our choice: as many as Caffe's Data layer)
    """

    source: str = setting(text("the path of an image LMDB"))
    batch_size: int = setting(whole(1))
    crop: int = setting(whole(1))
    scales: tuple[int, int] = setting(SCALES)
    mean: tuple[float, float, float] = setting(MEAN)
    seed: int = setting(whole(0))
    start: int = setting(whole(0), 0)
    workers: int | None = setting(WORKERS, None)
    prefetch: int = setting(PREFETCH, 4)


@dataclass(frozen=True)
class JitterSettings(Augmentation, _JitteredStream):
    """Those of the stream, then the ranges of what else is changed: see augment.py."""

    remedy = "correct the param_str, or make the net with make_prototxt.py --online-jitter"

    def fault(self) -> str:
        if self.crop <= self.scales[0]:
            return ""
        return (
            f"no crop of {self.crop} in an image of {self.scales[0]} pixels, the smallest of scales; "
            "give a smaller crop or larger scales"
        )


@dataclass(frozen=True)
class LesionDataSettings(Settings):
    """source      the image LMDB, as Caffe sees it; mask_lmdb and lesion_lmdb lie beside it
    batch_size  images a forward pass
    side        of the square that each image is put into, in pixels
    mean        (B, G, R) that is subtracted
    seed        of all that is drawn
    start       the visit that the first image is; of n records, pass `start` / n begins there
    shuffle     in TRAIN each pass over the records has an order of its own, drawn from the seed and the pass's number;
                otherwise visit v shows record v mod n
    augment     at most so many of the five augmentations are drawn for a visit in TRAIN (the paper's base: 2); 0: none
    workers     processes that prepare images; 0: none, each batch is prepared when it is asked for; None: one a core
    prefetch    batches that are prepared ahead (our choice: as many as Caffe's Data layer)
    """

    source: str = setting(text("the path of an image LMDB"))
    batch_size: int = setting(whole(1))
    side: int = setting(whole(1, LARGEST_SIDE))
    mean: tuple[float, float, float] = setting(MEAN)
    seed: int = setting(whole(0))
    start: int = setting(whole(0), 0)
    augment: int = setting(whole(0, 5), 2)
    shuffle: bool = setting(true_or_false(), False)
    workers: int | None = setting(WORKERS, None)
    prefetch: int = setting(PREFETCH, 4)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """What the tops hold of one image."""
        return (3, self.side, self.side), (4,), (4,), (), (1, self.side, self.side), (2,)


def read_settings(param_str: str, where: str) -> JitterSettings:
    """The settings in a param_str. InputError names `where` and the field that is missing, unknown or wrong."""
    return read_param_str(JitterSettings, param_str, where)


def without_pace(net: str) -> str:
    """The text of a net without its layers' workers and prefetch: what they prepare does not depend on them."""
    return PACE.sub("", net)
