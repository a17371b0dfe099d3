"""LMDBs of images, masks and lesions' names, as LesionData reads them."""

from __future__ import annotations

import json

import cv2
import lmdb
import numpy as np

from caffe_files.schema import caffe_messages

TOPS = ("data", "window", "box", "class_label", "mask", "draw")
LMDBS = ("image_lmdb", "mask_lmdb", "lesion_lmdb")
MEAN = (102.9801, 115.9465, 122.7717)


def lesion_image(number, height, width):
    """A disc on a ground with some texture, whose place, size and colour depend on the number: (image, mask)."""
    random = np.random.RandomState(number)
    ground = cv2.resize(random.randint(150, 256, (6, 8, 3)).astype(np.uint8), (width, height))
    rows, columns = np.mgrid[:height, :width]
    radius = min(height, width) * (0.15 + 0.02 * (number % 7))
    y, x = (length * random.uniform(0.3, 0.7) for length in (height, width))
    mask = np.hypot(rows - y, columns - x) < radius
    ground[mask] = ground[mask] // 3 + np.uint8([20, 40, 60])
    return ground, mask


def fields_of(image, mask, values, kind=".png"):
    """The fields of the three Datums of a record; the mask may be given as uint8."""
    mask = 255 * mask.astype(np.uint8) if mask.dtype == bool else mask
    return (
        {"encoded": True, "data": cv2.imencode(kind, image)[1].tobytes()},
        {"encoded": True, "data": cv2.imencode(".png", mask)[1].tobytes()},
        {"channels": len(values), "height": 1, "width": 1, "float_data": values},
    )


def write_lesion_lmdbs(folder, records):
    """Writes the three LMDBs of records, each a triple of fields; None: the LMDB has no such record. Returns the path
    of the images'."""
    for name, fields in zip(LMDBS, zip(*records)):
        (folder / name).mkdir(parents=True)
        with lmdb.open(str(folder / name), map_size=1 << 26) as environment, environment.begin(write=True) as put:
            for number, each in enumerate(fields):
                if each is not None:
                    put.put(b"%08d" % number, caffe_messages().Datum(**each).SerializeToString())
    return folder / LMDBS[0]


def lesion_records(sizes, classes=2, kind=".jpg"):
    """Records of images of these sizes (height, width); every class in turn."""
    return [
        fields_of(*lesion_image(number, *size), list(np.eye(classes)[number % classes]), kind)
        for number, size in enumerate(sizes)
    ]


def lesion_layer(source, batch=3, tops=TOPS, **settings):
    """The text of the layer, for side 64."""
    told = {"source": str(source), "batch_size": batch, "side": 64, "mean": MEAN, "seed": 3, **settings}
    named = " ".join(f"top: '{top}'" for top in tops)
    return f"""layer {{ name: 'data' type: 'Python' {named} python_param {{
        module: 'skinmtl.layers' layer: 'LesionData' param_str: '{json.dumps(told, ensure_ascii=False)}' }} }}"""
