"""BVLC Caffe's own Data layers read images and masks in step."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from made_masks import write_masked

from skinmtl.data.lmdb_write import at_most, write_lmdbs
from skinmtl.data.manifest import read_manifest
from skinmtl.data.stored_mask import MaskRules
from skinmtl.data.table import read_csv

pytestmark = pytest.mark.caffe


def test_a_data_layer_reads_the_masks_beside_the_images(tmp_path):
    caffe = pytest.importorskip("caffe")
    data = write_masked(tmp_path / "data")
    out = tmp_path / "out"
    write_lmdbs(read_manifest(data.manifest), data.images, out, at_most(64), 1, 1, {}, MaskRules(data.masks))
    (tmp_path / "net.prototxt").write_text(
        "".join(
            f'layer {{ name: "{name}" type: "Data" top: "{name}" '
            f'data_param {{ source: "{out / name}_lmdb" batch_size: 1 backend: LMDB }} }}\n'
            for name in ("image", "mask", "lesion")
        )
    )
    net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
    for _, record in read_csv(out / "records.csv", ["key", "image"]):
        net.forward()
        number = int(record["image"].split(".")[0])
        image, mask, lesion = (net.blobs[name].data for name in ("image", "mask", "lesion"))
        height, width = data.ovals[number].shape
        scale = 64 / max(height, width)
        assert mask.shape == (1, 1, round(height * scale), round(width * scale))
        assert image.shape == (1, 3, *mask.shape[2:])
        source = np.where(data.ovals[number], 255, 0).astype(np.uint8)
        reference = cv2.resize(source, mask.shape[:1:-1], interpolation=cv2.INTER_AREA)
        sure = (reference == 0) | (reference == 255)  # the pixels under which the source has one value
        assert sure.mean() > 0.8
        assert np.array_equal(mask[0, 0][sure], reference[sure])
        assert lesion.ravel().tolist() == [1 - number % 2, number % 2]
