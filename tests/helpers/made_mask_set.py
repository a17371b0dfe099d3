"""Small data sets with masks, as make_lmdb.py has them, for tests of what comes after it."""

from __future__ import annotations

import json

import cv2
import lmdb
import numpy as np

from caffe_files.schema import caffe_messages

NAMES = ["benign", "malignant"]
MASKS = {"folder": "masks", "components": "keep"}


def made_mask_set(folder, boxes, size=(96, 128), locations=(), several=0):
    """Images of (height, width) whose masks are the `boxes` (x1, y1, x2, y2), an empty mask for None; the lesions'
    names take turns, and so do the locations'. The first `several` images have both names."""
    folder.mkdir(parents=True)
    values = {"image": [], "mask": [], "lesion": [], "location": []}
    random = np.random.RandomState(3)
    for number, box in enumerate(boxes):
        image = random.randint(0, 256, (*size, 3)).astype(np.uint8)
        mask = np.zeros(size, np.uint8)
        if box is not None:
            x1, y1, x2, y2 = box
            mask[y1:y2, x1:x2] = 255
            image[y1:y2, x1:x2] //= 3
        values["image"].append(_encoded(image, 3))
        values["mask"].append(_encoded(mask, 1))
        values["lesion"].append(_floats([1, 1] if number < several else np.eye(2)[number % 2], 2))
        values["location"].append(_floats([number % max(1, len(locations))], 1))
    kinds = [kind for kind in values if kind != "location" or locations]
    for kind in kinds:
        _write(folder / f"{kind}_lmdb", values[kind])
    summary = {"n_images": len(boxes), "n_records": len(boxes), "copies": 1, "short_side": [min(size)] * 2}
    names = {"lesion_names": NAMES, "location_names": list(locations), "manifest": "m.csv", "images": "images"}
    (folder / "dataset.json").write_text(json.dumps({**summary, **names, "long_side": max(size), "masks": MASKS}))
    return folder


def _encoded(pixels, channels):
    datum = caffe_messages().Datum(channels=channels, height=pixels.shape[0], width=pixels.shape[1], encoded=True)
    datum.data = cv2.imencode(".png", pixels)[1].tobytes()
    return datum


def _floats(values, channels):
    return caffe_messages().Datum(channels=channels, height=1, width=1, float_data=values)


def _write(path, datums):
    with lmdb.open(str(path), map_size=1 << 26) as environment, environment.begin(write=True) as transaction:
        for number, datum in enumerate(datums):
            transaction.put(b"%08d" % number, datum.SerializeToString())
