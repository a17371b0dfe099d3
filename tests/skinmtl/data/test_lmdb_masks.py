"""mask_lmdb beside image_lmdb: the same keys and sizes, every pixel from its source, and what dataset.json counts."""

from __future__ import annotations

import json
from fractions import Fraction

import cv2
import numpy as np
import pytest
from made_masks import one_bit_bmp, oval, png, write_masked
from made_photos import exif, jpeg, photograph, with_segment

from caffe_files.errors import InputError
from skinmtl.data.dataset import lmdbs_of, read_summary
from skinmtl.data.lmdb_check import check_lmdbs
from skinmtl.data.lmdb_write import Sizes, at_most, write_lmdbs
from skinmtl.data.manifest import read_manifest
from skinmtl.data.stored_mask import MaskRules
from skinmtl.data.table import read_csv


@pytest.fixture
def data(tmp_path):
    return write_masked(tmp_path / "data")


@pytest.fixture
def build(tmp_path):
    def build(data, longest=64, name="out", workers=1, seed=1, **rules):
        masks = MaskRules(data.masks, **rules)
        write_lmdbs(
            read_manifest(data.manifest), data.images, tmp_path / name, at_most(longest), seed, workers, {}, masks
        )
        return tmp_path / name

    return build


def stored(out, read_lmdb):
    """image -> (image pixels, mask pixels as they are in their Datums)."""
    images, masks = read_lmdb(out / "image_lmdb"), read_lmdb(out / "mask_lmdb")
    assert list(images) == list(masks) == list(read_lmdb(out / "lesion_lmdb"))
    found = {}
    for _, record in read_csv(out / "records.csv", ("key", "image")):
        pair = [each[record["key"].encode()] for each in (images, masks)]
        pixels = [cv2.imdecode(np.frombuffer(datum.data, np.uint8), cv2.IMREAD_UNCHANGED) for datum in pair]
        for datum, decoded, channels in zip(pair, pixels, (3, 1)):
            assert (datum.channels, datum.height, datum.width) == (channels, *decoded.shape[:2])
            assert datum.encoded
        found[record["image"]] = tuple(pixels)
    return found


def slow_nearest(pixels, height, width):
    def source(at, wanted, there):
        return int(Fraction(2 * at + 1, 2 * wanted) * there)

    rows = [source(y, height, pixels.shape[0]) for y in range(height)]
    columns = [source(x, width, pixels.shape[1]) for x in range(width)]
    return np.array([[pixels[y, x] for x in columns] for y in rows])


def test_a_mask_is_stored_at_the_size_of_its_image_and_each_pixel_is_its_sources(build, data, read_lmdb):
    found = stored(build(data), read_lmdb)
    sizes = {"0.jpg": (48, 64), "1.jpg": (64, 50), "2.jpg": (64, 64), "3.jpg": (27, 64)}
    for n, source in enumerate(data.ovals):
        image, mask = found[f"{n}.jpg"]
        assert image.shape[:2] == mask.shape == sizes[f"{n}.jpg"]
        assert np.array_equal(mask, slow_nearest(source, *mask.shape) * np.uint8(255))
        inside, outside = image[mask > 0].mean(), image[mask == 0].mean()
        assert inside < outside / 1.8, "the drawn lesions are dark: mask and image lie upon each other"


def test_nothing_is_enlarged(build, data, read_lmdb):
    found = stored(build(data, 1024), read_lmdb)
    for n, source in enumerate(data.ovals):
        assert np.array_equal(found[f"{n}.jpg"][1] > 0, source)


def test_the_summary_has_sizes_and_digests(build, data):
    summary = read_summary(build(data))
    assert (summary["long_side"], summary["short_side"]) == (64, [27, 64])
    assert lmdbs_of(summary) == tuple(summary["lmdbs"]) == ("image_lmdb", "lesion_lmdb", "location_lmdb", "mask_lmdb")
    assert summary["masks"]["folder"] == "../data/masks"
    assert summary["upscaled"] == []
    sides = {record["image"]: record["short_side"] for _, record in read_csv(build(data, name="b") / "records.csv", [])}
    assert sides == {"0.jpg": "48", "1.jpg": "50", "2.jpg": "64", "3.jpg": "27"}


def test_without_locations_there_is_no_location_lmdb(build, tmp_path):
    out = build(write_masked(tmp_path / "data", location=False))
    assert not (out / "location_lmdb").exists()
    assert lmdbs_of(read_summary(out)) == ("image_lmdb", "lesion_lmdb", "mask_lmdb")
    assert read_summary(out)["location_names"] == []
    assert check_lmdbs(out, None, None, None, 10).n_compared == 4


@pytest.mark.parametrize("longest", [64, 1024])
def test_the_check_passes_what_was_written(build, data, longest):
    checked = check_lmdbs(build(data, longest), None, None, None, 10)
    assert (checked.n_records, checked.n_compared, checked.has_masks, checked.has_digests) == (4, 4, True, True)


def test_workers_and_masks_in_other_formats_change_nothing(build, tmp_path, data):
    sources = {0: one_bit_bmp(data.ovals[0]), 1: one_bit_bmp(data.ovals[1], True, True)}
    other = write_masked(tmp_path / "data2", masks=sources)
    one, same = (build(each, name=name, workers=n) for each, name, n in ((data, "a", 1), (other, "b", 3)))
    assert [(one / f"{name}_lmdb" / "data.mdb").read_bytes() for name in ("image", "lesion", "mask")] == [
        (same / f"{name}_lmdb" / "data.mdb").read_bytes() for name in ("image", "lesion", "mask")
    ]


def odd_masks():
    """Black, white, two lesions, grey, at the border: of the sizes of `write_masked`."""
    two = np.zeros((64, 64), bool)
    two[5:20, 5:20] = two[40:50, 40:50] = True
    grey = np.where(oval(50, 120), 200, 0).astype(np.uint8)
    grey[0, 0], grey[0, 1] = 90, 129
    return {0: png(np.zeros((60, 80), bool)), 1: png(np.ones((90, 70), bool)), 2: png(two), 3: png(grey)}


def test_odd_masks_are_counted_and_listed(build, tmp_path, read_lmdb):
    data = write_masked(tmp_path / "data", masks=odd_masks())
    out = build(data, 1024, allow_empty=True, allow_full=True)
    summary = read_summary(out)
    assert {kind: images for kind, images in summary["masks"].items() if isinstance(images, list)} == {
        "empty": ["0.jpg"],
        "full": ["1.jpg"],
        "several": ["2.jpg", "3.jpg"],
        "grey": ["3.jpg"],
        "touching_border": ["1.jpg", "3.jpg"],
        "lost_when_resized": [],
    }
    assert {line: sorted(images) for line, images in summary["told"].items()} == {
        "its mask has several lesions": ["2.jpg", "3.jpg"],
        "its mask has grey values: what is above 128 is lesion": ["3.jpg"],
    }
    found = stored(out, read_lmdb)
    assert not found["0.jpg"][1].any()
    assert found["1.jpg"][1].all()
    assert found["2.jpg"][1].sum() == 255 * (15 * 15 + 10 * 10)
    assert found["3.jpg"][1][0, 1] == 255


def test_the_largest_lesion_alone(build, tmp_path, read_lmdb):
    data = write_masked(tmp_path / "data", masks=odd_masks())
    out = build(data, 1024, allow_empty=True, allow_full=True, components="largest")
    found = stored(out, read_lmdb)
    assert found["2.jpg"][1].sum() == 255 * 15 * 15
    assert found["3.jpg"][1][0, 1] == 0
    assert read_summary(out)["masks"]["several"] == ["2.jpg", "3.jpg"], "the files' masks are counted"
    assert check_lmdbs(out, None, None, None, 10).n_compared == 4


def test_a_lesion_smaller_than_a_stored_pixel_is_told(build, tmp_path):
    speck = np.zeros((60, 80), bool)
    speck[31, 41] = True
    data = write_masked(tmp_path / "data", masks={0: png(speck)})
    summary = read_summary(build(data, 8))
    assert summary["masks"]["lost_when_resized"] == ["0.jpg"]
    assert summary["told"] == {"its lesion is lost: smaller than a pixel of the stored image": ["0.jpg"]}


def test_a_mask_lies_on_the_image_as_it_is_seen(build, tmp_path, read_lmdb):
    """The photograph is stored turned, with EXIF to say so; its mask was drawn on what a viewer shows."""
    data = write_masked(tmp_path / "data")
    picture = photograph(80, 60).copy()
    picture[data.ovals[0]] = 0
    turned = np.rot90(picture).copy()  # orientation 6: to be turned clockwise
    (data.images / "0.jpg").write_bytes(with_segment(jpeg(turned, 95), b"Exif\0\0" + exif(6)))
    image, mask = stored(build(data, 1024), read_lmdb)["0.jpg"]
    assert image.shape[:2] == mask.shape == (60, 80)
    assert image[mask > 0].mean() < 15 < 60 < image[mask == 0].mean()


def test_masks_are_not_written_unless_they_are_asked_for(data, tmp_path):
    write_lmdbs(read_manifest(data.manifest), data.images, tmp_path / "out", Sizes(40, 40, 1), 1, 1, {})
    assert not (tmp_path / "out" / "mask_lmdb").exists()
    assert "masks" not in read_summary(tmp_path / "out")


def test_a_summary_without_the_digest_of_its_masks_is_refused(build, data):
    path = build(data) / "dataset.json"
    summary = json.loads(path.read_text())
    del summary["lmdbs"]["mask_lmdb"]
    path.write_text(json.dumps(summary))
    with pytest.raises(InputError, match=r"dataset.json: 'lmdbs' is of another kind; build the LMDBs again"):
        read_summary(path.parent)
