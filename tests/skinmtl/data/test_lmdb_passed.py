"""JPEGs that have the wanted size already are stored with their own coded data, without their notes; others are not."""

from __future__ import annotations

import io
import json

import cv2
import numpy as np
import pytest
from made_photos import exif, jpeg, photograph, with_segment

from caffe_files.schema import caffe_messages
from skinmtl.data.lmdb_check import check_lmdbs
from skinmtl.data.lmdb_write import Sizes, write_lmdbs
from skinmtl.data.manifest import read_manifest
from skinmtl.data.stored_image import image_datum
from skinmtl.data.table import read_csv
from skinmtl.images import jpeg as jpeg_file
from skinmtl.images.image_file import decode

SIDE = 48
PIXELS = photograph(60, SIDE)
PLAIN = jpeg(PIXELS)
XMP = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>a patient's name</x:xmpmeta>"
ICC = b"ICC_PROFILE\0\1\1" + bytes(500)
ADOBE_YCC = b"Adobe\0\x64\0\0\0\0\1"
ADOBE_RGB = b"Adobe\0\x64\0\0\0\0\0"


def without_jfif(data):
    assert data[2:4] == b"\xff\xe0"
    return data[:2] + data[20:]


def with_components(data, names):
    """The JPEG with other names of its components, in the frame and in the scan."""
    changed = bytearray(data)
    for segment in jpeg_file.segments(data):
        first, step = {0xC0: (segment.start + 10, 3), 0xDA: (segment.start + 5, 2)}.get(segment.marker, (0, 0))
        if step:
            changed[first : first + 3 * step : step] = names
    return bytes(changed)


PASSED = {
    "plain": PLAIN,
    "low quality": jpeg(PIXELS, quality=30),
    "restarts": jpeg(PIXELS, rst_interval=2),
    "own Huffman codes": jpeg(PIXELS, optimize=1),
    "EXIF that says upright": with_segment(PLAIN, b"Exif\0\0" + exif(1)),
    "EXIF with a thumbnail": with_segment(PLAIN, b"Exif\0\0" + exif(1) + jpeg(PIXELS[:8, :8])),
    "EXIF of nonsense": with_segment(PLAIN, b"Exif\0\0" + exif(9)),
    "XMP": with_segment(PLAIN, XMP),
    "colour profile": with_segment(PLAIN, ICC, 0xE2),
    "comment": with_segment(PLAIN, b"taken at home", 0xFE),
    "Adobe, YCbCr": with_segment(without_jfif(PLAIN), ADOBE_YCC, 0xEE),
    "Adobe, YCbCr by its word alone": with_segment(with_components(without_jfif(PLAIN), b"RGB"), ADOBE_YCC, 0xEE),
    "neither JFIF nor Adobe": without_jfif(PLAIN),
    "bytes behind its end": PLAIN + b"and a name",
    "another picture behind its end": PLAIN + PLAIN,
    "portrait": jpeg(photograph(SIDE, 70)),
}
NOT_PASSED = {
    "larger": jpeg(photograph(80, 60)),
    "smaller": jpeg(photograph(40, 30)),
    "turned": with_segment(PLAIN, b"Exif\0\0" + exif(6)),
    "mirrored": with_segment(PLAIN, b"Exif\0\0" + exif(2)),
    "progressive": jpeg(PIXELS, progressive=1),
    "grey": jpeg(PIXELS[:, :, 1]),
    "Adobe, RGB": with_segment(without_jfif(PLAIN), ADOBE_RGB, 0xEE),
    "far too good": jpeg(np.random.RandomState(0).randint(0, 256, (48, 60, 3)).astype(np.uint8), quality=100),
    "bytes between segments": PLAIN[:20] + b"\0\0" + PLAIN[20:],
    "bytes before its end": PLAIN[:-2] + b"\0\0\0\0" + PLAIN[-2:],
    "PNG": cv2.imencode(".png", PIXELS)[1].tobytes(),
}


def stored(path, data, side=SIDE):
    path.write_bytes(data)
    found = image_datum((path, side))
    assert not found.problem
    datum = caffe_messages().Datum.FromString(found.datum)
    assert (datum.channels, datum.height, datum.width, datum.encoded) == (3, *decode(datum.data).shape[:2], True)
    return found, datum


@pytest.mark.parametrize("name", PASSED)
def test_what_is_passed(name, tmp_path):
    found, datum = stored(tmp_path / "a.jpg", PASSED[name])
    assert found.is_passed
    np.testing.assert_array_equal(decode(datum.data), decode(PASSED[name]))
    scan = list(jpeg_file.segments(PASSED[name]))[-1].start
    assert datum.data.endswith(PASSED[name][scan : PASSED[name].index(b"\xff\xd9", scan) + 2])
    assert len(datum.data) <= len(PASSED[name])


@pytest.mark.parametrize("name", NOT_PASSED)
def test_what_is_coded_anew(name, tmp_path):
    found, datum = stored(tmp_path / "a.jpg", NOT_PASSED[name])
    assert not found.is_passed
    assert min(datum.height, datum.width) == SIDE
    assert jpeg_file.header(datum.data).coding == jpeg_file.SEQUENTIAL[0]
    assert jpeg_file.header(datum.data).is_ycc


def test_notes_are_left_out(tmp_path):
    """They may name a patient or a place, and nothing that reads the LMDB looks at them."""
    noted = with_segment(with_segment(PLAIN, XMP), b"name", 0xFE) + b"behind the end"
    noted = with_segment(noted, b"Exif\0\0" + exif(1) + b"12 Some Street")
    _, datum = stored(tmp_path / "a.jpg", noted)
    assert datum.data == PLAIN


def test_other_subsampling_is_passed(tmp_path):
    image = pytest.importorskip("PIL.Image").fromarray(PIXELS[:, :, ::-1])
    for subsampling in (0, 1, 2):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=90, subsampling=subsampling)
        found, datum = stored(tmp_path / "a.jpg", file.getvalue())
        assert found.is_passed
        np.testing.assert_array_equal(decode(datum.data), decode(file.getvalue()))


def test_a_damaged_one_is_a_problem_not_passed(tmp_path):
    (tmp_path / "a.jpg").write_bytes(PLAIN[: len(PLAIN) // 2] + PLAIN[-2:])
    assert "damaged" in image_datum((tmp_path / "a.jpg", SIDE)).problem


def data_set(folder):
    (folder / "images").mkdir()
    files = {**PASSED, **{name: data for name, data in NOT_PASSED.items() if name != "smaller"}}
    for name, data in files.items():
        (folder / "images" / f"{name}.jpg").write_bytes(data)
    lines = ["image,lesions,location", *(f'"{name}.jpg",a,b' for name in files)]
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return read_manifest(folder / "manifest.csv"), {f"{name}.jpg": data for name, data in files.items()}


@pytest.mark.parametrize("workers", [1, 2])
def test_they_are_counted_and_checked(tmp_path, workers):
    manifest, files = data_set(tmp_path)
    write_lmdbs(manifest, tmp_path / "images", tmp_path / "out", Sizes(SIDE, SIDE, 1), 1, workers, {})
    summary = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert summary["passed_through"] == len(PASSED)
    assert check_lmdbs(tmp_path / "out", SIDE, None, None, 100).n_compared == len(files)


@pytest.mark.caffe
def test_caffe_sees_the_same_pixels(tmp_path):
    """BVLC Caffe's Data layer decodes a passed JPEG to what the file itself decodes to, value by value."""
    caffe = pytest.importorskip("caffe")
    manifest, files = data_set(tmp_path)
    write_lmdbs(manifest, tmp_path / "images", tmp_path / "out", Sizes(SIDE, SIDE, 1), 1, 1, {})
    (tmp_path / "net.prototxt").write_text(
        'layer { name: "image" type: "Data" top: "image" transform_param { force_color: true } data_param { '
        f'source: "{tmp_path}/out/image_lmdb" batch_size: 1 backend: LMDB }} }}'
    )
    net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
    seen = 0
    for _, record in read_csv(tmp_path / "out" / "records.csv", ["image"]):
        net.forward()
        if record["image"][:-4] in PASSED:
            pixels = net.blobs["image"].data[0].transpose(1, 2, 0)
            np.testing.assert_array_equal(pixels, decode(files[record["image"]]), record["image"])
            seen += 1
    assert seen == len(PASSED)
