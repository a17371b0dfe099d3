"""check_lmdb.py refuses masks that are not the images': moved, of another size, other values, other pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from made_masks import png, write_masked
from test_lmdb_check import edit

from caffe_files.errors import InputError
from skinmtl.data.lmdb_check import check_lmdbs
from skinmtl.data.lmdb_write import at_most, write_lmdbs
from skinmtl.data.manifest import read_manifest
from skinmtl.data.stored_mask import MaskRules


@pytest.fixture
def out(tmp_path):
    data = write_masked(tmp_path / "data", sizes=((60, 80), (60, 80), (90, 70)))
    manifest = read_manifest(data.manifest)
    write_lmdbs(manifest, data.images, tmp_path / "out", at_most(64), 1, 1, {}, MaskRules(data.masks))
    return tmp_path / "out"


def refused(out, words, **changes):
    with pytest.raises(InputError, match=words):
        check_lmdbs(out, None, None, None, 10, **changes)


def swap(records):
    keys = [key for key, datum in records.items() if datum.width == 64]
    records[keys[0]], records[keys[1]] = records[keys[1]], records[keys[0]]


def recode(change):
    """Changes the pixels of the first record's mask."""

    def of(records):
        datum = records[b"00000000"]
        pixels = cv2.imdecode(np.frombuffer(datum.data, np.uint8), cv2.IMREAD_UNCHANGED)
        datum.data = png(change(pixels))

    return of


def flip_one(pixels):
    pixels[pixels.shape[0] // 2, 0] = 255
    return pixels


def grey(pixels):
    pixels[0, 0] = 7
    return pixels


def of_three_channels(records):
    records[b"00000000"].channels = 3


def lose(records):
    del records[b"00000001"]


def cut(records):
    records[b"00000001"].data = records[b"00000001"].data[:50]


DAMAGE = {
    "two masks of one size exchanged": (swap, r"record 0000000\d: \d+ pixels are not those of the mask .*png; build"),
    "one pixel": (recode(flip_one), "record 00000000: 1 pixels are not those of the mask"),
    "a grey value": (recode(grey), "record 00000000: the mask holds other values than 0 and 255"),
    "another size": (recode(lambda pixels: pixels[:-1]), "record 00000000: the mask is stored as"),
    "three channels": (of_three_channels, "record 00000000: the mask Datum does not describe"),
    "a record is gone": (lose, "mask_lmdb: 2 records, records.csv lists 3"),
    "a record is cut": (cut, "record 00000001: the mask does not decode"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named_with_its_record(out, kind):
    change, words = DAMAGE[kind]
    edit(out / "mask_lmdb", change)
    refused(out, words)


def test_without_sources_the_digest_finds_another_mask(out):
    edit(out / "mask_lmdb", swap)
    with pytest.raises(InputError, match="mask_lmdb: holds other records than the dataset"):
        check_lmdbs(out, None, None, None, 0)


def test_a_source_that_has_changed(out, tmp_path):
    (tmp_path / "data" / "masks" / "1_segmentation.png").write_bytes(png(np.eye(60, 80, dtype=bool)))
    refused(out, "pixels are not those of the mask .*1_segmentation.png")


def test_masks_that_have_moved(out, tmp_path):
    (tmp_path / "data" / "masks").rename(tmp_path / "elsewhere")
    refused(out, "its masks .* is not there .any more.; give --masks")
    assert check_lmdbs(out, None, None, None, 10, tmp_path / "elsewhere").n_compared == 3


def test_a_missing_lmdb(out):
    (out / "mask_lmdb").rename(out / "other")
    refused(out, "mask_lmdb")


def test_the_crop_still_counts_where_it_is_given(out):
    with pytest.raises(InputError, match="smaller than the crop 224"):
        check_lmdbs(out, 224, None, None, 0)
