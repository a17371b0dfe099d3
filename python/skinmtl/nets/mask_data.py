"""Whether data sets are what a mask net can be trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from caffe_files.errors import InputError
from caffe_files.records import Records
from skinmtl.data.dataset import LESIONS, LOCATIONS, MASKS, lmdbs_of, read_summary
from skinmtl.images.letterbox import Letterbox
from skinmtl.nets.mask_options import MaskNetOptions
from skinmtl.regions.anchor_fit import best_overlaps, shares_reached, told

LESION_ABOVE = 128  # of a mask's pixel, as the challenge's organisers have it
MOST_LESIONS = 2000  # our choice: a mask of 1024 pixels takes some milliseconds
LEAST_OVERLAP = 0.3  # the paper: what has less is background


def check_mask_data(options: MaskNetOptions) -> None:
    """InputError where a data set that is there has no masks, or other labels than the net is to tell."""
    for folder in map(Path, (options.train_data, options.test_data)):
        if folder.exists():
            _check(folder, read_summary(folder), options)


def _check(folder: Path, summary: dict[str, Any], options: MaskNetOptions) -> None:
    there = lmdbs_of(summary)
    if MASKS not in there:
        raise InputError(
            f"{folder}: has no masks, from which {options.model} learns; build it from a manifest with a column mask"
        )
    if "location" in options.also and LOCATIONS not in there:
        raise InputError(f"{folder}: has no locations for --also location; leave that out")
    wanted = {}
    if "class" in options.heads or "lesion" in options.also:
        wanted["lesion_names"] = options.lesions
    if "location" in options.also:
        wanted["location_names"] = options.locations
    for kind, count in wanted.items():
        if len(summary[kind]) != count:
            raise InputError(
                f"{folder}: has {len(summary[kind])} {kind}, the net is to have {count}; leave the counts out, and "
                "they follow from the data"
            )
    _check_names(folder)


def _check_names(folder: Path) -> None:
    """InputError where images have several lesions' names, or none: a box has one class."""
    labels = Records((folder / LESIONS).as_posix())
    try:
        counts = [list(labels.datum(number).float_data).count(1.0) for number in range(len(labels))]
    finally:
        labels.close()
    wrong = sum(count != 1 for count in counts)
    if wrong:
        raise InputError(
            f"{folder}: {wrong} of {len(counts)} images have not one lesion's name, and a box has one class; give each "
            "image of the manifest one name"
        )


def anchors_told(options: MaskNetOptions) -> str | None:
    """How well the anchors fit the lesions of the training data, in a line; None where it is not there yet.

    Of more than MOST_LESIONS, so many are looked at, evenly. InputError where no lesion has an anchor with which it
    shares LEAST_OVERLAP: a box could not be learnt from such anchors.
    """
    folder = Path(options.train_data)
    if not folder.exists():
        return None
    boxes = lesion_boxes(folder / MASKS, options.side)
    if not len(boxes):
        raise InputError(f"{folder / 'mask_lmdb'}: every mask is empty; check the masks of the manifest")
    overlaps = best_overlaps(boxes, options.side, options.scales, options.ratios, options.strides)
    roots = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    sizes = "sqrt(area) of {:.0f}, {:.0f} and {:.0f} pixels".format(*np.percentile(roots, [5, 50, 95]))
    if overlaps.max() < LEAST_OVERLAP:
        scales = " ".join(f"{scale:g}" for scale in options.scales)
        raise InputError(
            f"--anchor-scales {scales}: no anchor reaches an IoU of {LEAST_OVERLAP:g} with any of {len(boxes)} "
            f"lesions, whose boxes at {options.side} x {options.side} have a {sizes} (5, 50, 95 %); give scales near "
            "those"
        )
    return f"anchors: {told(shares_reached(overlaps))}, whose boxes have a {sizes} (5, 50, 95 %)"


def lesion_boxes(mask_lmdb: Path, side: int) -> np.ndarray:
    """The boxes (N, 4) float32 of masks that are not empty, in a square of `side`."""
    masks = Records(mask_lmdb.as_posix())
    try:
        step = -(-len(masks) // MOST_LESIONS)
        found = [_box(masks, number, side) for number in range(0, len(masks), step)]
    finally:
        masks.close()
    return np.array([box for box in found if box is not None], np.float32).reshape(-1, 4)


def _box(masks: Records, number: int, side: int) -> np.ndarray | None:
    data = np.frombuffer(masks.datum(number).data, np.uint8)
    mask = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if len(data) else None
    if mask is None:
        raise masks.fault(number, "no mask that can be decoded; build the LMDBs again")
    columns, rows = (np.flatnonzero((mask > LESION_ABOVE).any(axis=axis)) for axis in (0, 1))
    if not len(rows):
        return None
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    return Letterbox.of(*mask.shape, side).boxes(box)
