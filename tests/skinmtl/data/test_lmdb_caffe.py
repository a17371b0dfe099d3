"""What BVLC Caffe itself makes of our LMDBs: its Data layer decodes the pixels and labels that were meant."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from skinmtl.data.dataset import LMDB_NAMES
from skinmtl.data.lmdb_write import Sizes, write_lmdbs
from skinmtl.data.manifest import read_manifest
from skinmtl.data.table import read_csv
from skinmtl.images.image_file import load

pytestmark = pytest.mark.caffe
SIDE = 48  # of the stored images and of the crop


def data_layer(name, source, transform=""):
    return (
        f'layer {{ name: "{name}" type: "Data" top: "{name}" transform_param {{ {transform} }} '
        f'data_param {{ source: "{source}" batch_size: 1 backend: LMDB }} }}\n'
    )


def as_caffe_reads(out, tmp_path):
    """Yields (pixels (3, SIDE, SIDE), lesions (P,), location) of each record, by Caffe's Data layers."""
    caffe = pytest.importorskip("caffe")
    (tmp_path / "net.prototxt").write_text(
        data_layer("image", out / LMDB_NAMES[0], f"crop_size: {SIDE} force_color: true")
        + data_layer("lesion", out / LMDB_NAMES[1])
        + data_layer("location", out / LMDB_NAMES[2])
    )
    net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
    for _ in read_csv(out / "records.csv", ["key"]):
        net.forward()
        yield tuple(net.blobs[name].data[0].copy() for name in ("image", "lesion", "location"))


def test_labels_and_pixels_in_step(make_dataset, tmp_path):
    data = make_dataset(9, shape=(70, 90))
    manifest = read_manifest(data.manifest)
    write_lmdbs(manifest, data.images, tmp_path / "out", Sizes(SIDE, SIDE, 1), 1, 1, {})
    rows = {row.image: n for n, row in enumerate(manifest.rows)}
    listed = [record["image"] for _, record in read_csv(tmp_path / "out" / "records.csv", ["image"])]
    for image, (pixels, lesions, location) in zip(listed, as_caffe_reads(tmp_path / "out", tmp_path)):
        assert lesions.ravel().tolist() == manifest.lesion_labels()[rows[image]].tolist()
        assert location.ravel().tolist() == [manifest.location_labels()[rows[image]]]
        source = load((data.images / image, SIDE)).pixels
        start = (source.shape[1] - SIDE) // 2
        difference = np.abs(pixels.transpose(1, 2, 0) - source[:SIDE, start : start + SIDE])
        assert difference.mean() < 3


@pytest.fixture
def odd_images(tmp_path):
    """One picture in every kind of file; grey ones apart. Returns name -> the (SIDE, SIDE, 3) RGB to be seen."""
    image_module = pytest.importorskip("PIL.Image")
    ramp = np.linspace(0, 200, SIDE)
    rgb = np.stack(np.broadcast_arrays(ramp[:, np.newaxis], ramp, 255 - ramp), axis=2).astype(np.uint8)
    grey = np.broadcast_to(ramp.astype(np.uint8), (SIDE, SIDE))
    picture, bgr = image_module.fromarray(rgb), np.ascontiguousarray(rgb[:, :, ::-1])
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    alpha[10:] = 255
    folder = tmp_path / "images"
    folder.mkdir()
    expected = {}

    def keep(name, save, seen):
        save(str(folder / name))
        expected[name] = seen

    grey_seen, on_white = np.dstack([grey] * 3), np.where(alpha[:, :, np.newaxis] > 0, rgb, 255)
    keep("colour.jpg", lambda path: picture.save(path, quality=98, subsampling=0), rgb)
    keep("progressive.jpg", lambda path: picture.save(path, quality=98, subsampling=0, progressive=True), rgb)
    keep("grey.jpg", lambda path: image_module.fromarray(grey.copy()).save(path, quality=98), grey_seen)
    keep("grey.png", lambda path: cv2.imwrite(path, grey), grey_seen)
    keep("cmyk.jpg", lambda path: picture.convert("CMYK").save(path, quality=98, subsampling=0), rgb)
    keep("cmyk.tif", lambda path: picture.convert("CMYK").save(path), rgb)
    keep("16 bits.png", lambda path: cv2.imwrite(path, bgr.astype(np.uint16) * 257), rgb)
    keep("16 bits grey.tif", lambda path: cv2.imwrite(path, grey.astype(np.uint16) * 257), grey_seen)
    keep("alpha.png", lambda path: cv2.imwrite(path, np.dstack([bgr, alpha])), on_white)
    deep = np.dstack([bgr, alpha]).astype(np.uint16) * 257
    keep("16 bits alpha.png", lambda path: cv2.imwrite(path, deep), on_white)
    few = picture.quantize(64)
    keep("palette.png", few.save, np.asarray(few.convert("RGB")))
    keep("palette.bmp", few.save, np.asarray(few.convert("RGB")))
    two = np.where(grey > 90, 255, 0)
    keep("one bit.png", image_module.fromarray(two > 0).save, np.dstack([two] * 3))
    from PIL import ImageOps

    for orientation in range(1, 9):
        exif = image_module.Exif()
        exif[0x0112] = orientation
        for suffix in ("jpg", "png"):
            name = f"exif {orientation}.{suffix}"
            picture.save(str(folder / name), exif=exif.tobytes(), quality=98, subsampling=0)
            expected[name] = np.asarray(ImageOps.exif_transpose(image_module.open(str(folder / name))).convert("RGB"))
    return expected


def test_every_kind_of_image_reaches_caffe_upright_in_its_colours(odd_images, tmp_path):
    lines = ["image,lesions,location", *(f"{name},a,b" for name in odd_images)]
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    manifest = read_manifest(tmp_path / "manifest.csv")
    write_lmdbs(manifest, tmp_path / "images", tmp_path / "out", Sizes(SIDE, SIDE, 1), 1, 1, {})
    listed = [record["image"] for _, record in read_csv(tmp_path / "out" / "records.csv", ["image"])]
    assert len(listed) == len(odd_images) == 29
    for name, (pixels, _, _) in zip(listed, as_caffe_reads(tmp_path / "out", tmp_path)):
        seen = pixels[::-1].transpose(1, 2, 0)  # Caffe's channels are B, G, R
        assert seen.shape == odd_images[name].shape, name
        assert np.abs(seen - odd_images[name]).mean() < 4, name


def test_caffe_refuses_what_a_killed_build_leaves(make_dataset, tmp_path, monkeypatch):
    data = make_dataset(6)
    kept = tmp_path / "kept"

    def killed_here(*arguments):
        (folder,) = tmp_path.glob(".out.*.partial")
        folder.rename(kept)
        raise KeyboardInterrupt

    monkeypatch.setattr("skinmtl.data.lmdb_file._commit", killed_here)
    with pytest.raises(KeyboardInterrupt):
        write_lmdbs(read_manifest(data.manifest), data.images, tmp_path / "out", Sizes(SIDE, SIDE, 1), 1, 1, {})
    assert (kept / "image_lmdb.unfinished").exists()
    program = Path(sys.executable).with_name("compute_image_mean")
    for path in (kept, kept / "image_lmdb", kept / "image_lmdb.unfinished"):
        assert subprocess.run([str(program), str(path)], stderr=subprocess.PIPE).returncode != 0
