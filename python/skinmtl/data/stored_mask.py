"""What is stored of an image and its mask: two Datums of one size under one key."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from caffe_files.schema import caffe_messages
from skinmtl.data.stored_image import Stored, image_datum
from skinmtl.images.decoder import ImageError
from skinmtl.images.masks import Mask, largest_component, mask_fault, mask_notes, nearest, read_mask

KEEP, LARGEST = "keep", "largest"
COMPONENTS = (KEEP, LARGEST)
# under which names dataset.json lists images by their masks
EMPTY, FULL, SEVERAL, GREY, BORDER, LOST = "empty", "full", "several", "grey", "touching_border", "lost_when_resized"
KINDS = (EMPTY, FULL, SEVERAL, GREY, BORDER, LOST)


class MaskRules(NamedTuple):
    """Where the masks are, and what is done with them.

    folder       that the manifest's column `mask` is relative to
    components   of a mask with several lesions: KEEP all, or the LARGEST alone
    allow_empty  an all-black mask is an image without a lesion; else it is refused
    allow_full   an all-white mask is a lesion that fills the image; else it is refused
    """

    folder: Path
    components: str = KEEP
    allow_empty: bool = False
    allow_full: bool = False


class StoredMask(NamedTuple):
    """What became of a mask: the Datum's bytes or, in one line, what is wrong with the file.

    `kinds` are those of KINDS that it is of; `told` what a person should know, a line each.
    """

    datum: bytes
    problem: str
    kinds: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


NO_MASK = StoredMask(b"", "")


class Task(NamedTuple):
    """One record to make: the image and its shorter side to store, or where that is 0 its longest; its mask, if any."""

    image: Path
    short_side: int
    long_side: int = 0
    mask: Path | None = None
    rules: MaskRules | None = None


def image_and_mask(task: Task) -> tuple[Stored, StoredMask]:
    """Reads, resizes and encodes an image and its mask. Never raises for a bad file."""
    image = image_datum((task.image, task.short_side, task.long_side))
    if task.mask is None or task.rules is None:
        return image, NO_MASK
    return image, _mask_datum(task.mask, image, task.rules)


def stored_mask(mask: Mask, components: str, height: int, width: int) -> np.ndarray:
    """(height, width) bool: the mask as it is stored beside an image of that size."""
    pixels = largest_component(mask.pixels) if components == LARGEST else mask.pixels
    return nearest(pixels, height, width)


def _mask_datum(path: Path, image: Stored, rules: MaskRules) -> StoredMask:
    try:
        mask = read_mask(path)
    except ImageError as error:
        return StoredMask(b"", str(error))
    problem = mask_fault(mask, image.had_size, rules.allow_empty, rules.allow_full)
    if problem or image.problem:
        return StoredMask(b"", problem)
    height, width = image.stored_size
    pixels = stored_mask(mask, rules.components, height, width)
    png = cv2.imencode(".png", np.where(pixels, 255, 0).astype(np.uint8))[1].tobytes()
    datum = caffe_messages().Datum(channels=1, height=height, width=width, encoded=True, data=png)
    is_lost = not mask.is_empty and not pixels.any()
    flags = (mask.is_empty, mask.is_full, mask.n_components > 1, mask.n_values > 2, mask.touches_border, is_lost)
    kinds = tuple(kind for kind, is_so in zip(KINDS, flags) if is_so)
    lost = ("its lesion is lost: smaller than a pixel of the stored image",) if is_lost else ()
    return StoredMask(datum.SerializeToString(), "", kinds, (*mask_notes(mask), *lost))
