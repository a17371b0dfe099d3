"""What a person should know of images that are used all the same reaches the person, once, with how many and which."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest
from made_icc import icc
from made_photos import with_segment

from caffe_files.errors import InputError
from skinmtl.data.dataset import read_summary
from skinmtl.images.reading import read_images
from skinmtl.images.told import Told, counted_lines

TWELVE = cv2.imencode(".png", np.full((64, 64, 3), 3000, np.uint16))[1].tobytes()
DARK = "16-bit values, the brightest below an eighth of white: probably 12 bits; save it with 8 bits a channel"


@pytest.fixture
def odd_data(make_dataset, tmp_path):
    """Eight images of which two are dark ones of 16 bits, and one is a JPEG in Display P3."""
    data = make_dataset(8)
    names = sorted(path.relative_to(data.images) for path in data.images.rglob("*") if path.is_file())
    for name in names[:2]:
        (data.images / name).write_bytes(TWELVE)
    wide = cv2.imencode(".jpg", np.full((64, 64, 3), 90, np.uint8))[1].tobytes()
    (data.images / names[2]).write_bytes(with_segment(wide, b"ICC_PROFILE\0\1\1" + icc(), 0xE2))
    return data, [str(name) for name in names]


def test_make_lmdb_counts_and_lists_them(tool, odd_data, tmp_path):
    pytest.importorskip("PIL.ImageCms")
    data, names = odd_data
    done = tool(
        *("make_lmdb.py", "--manifest", data.manifest, "--images", data.images, "--out", tmp_path / "out"),
        *("--short-side", 40, "--workers", 1),
    )
    assert done.returncode == 0, done.stderr
    assert "1 record was converted to sRGB from the colour profile Display P3" in done.stdout
    assert f"2 images: {DARK}" in done.stderr
    summary = read_summary(tmp_path / "out")
    assert {line: sorted(images) for line, images in summary["told"].items()} == {DARK: names[:2]}
    assert summary["converted_to_srgb"] == {"Display P3": 1}


def test_whoever_reads_for_a_net_tells_them_on_stderr(odd_data, capsys):
    data, names = odd_data
    paths = [data.images / name for name in names]
    read = list(read_images(paths, 40, 1, pytest.fail, "reading"))
    assert [n for n, _ in read] == list(range(8))
    assert f"2 images: {DARK} ({paths[0]}, {paths[1]})" in capsys.readouterr().err


def test_after_a_bad_image_all_bad_ones_are_named(odd_data, capsys):
    data, names = odd_data
    paths = [data.images / name for name in names]
    for n in (3, 6):
        shutil.copyfile(str(data.manifest), str(paths[n]))

    def refuse(faults):
        raise InputError(repr(faults))

    with pytest.raises(InputError, match=r"\{3: 'not an image.*6: 'not an image"):
        list(read_images(paths, 40, 1, refuse, "reading"))


def test_lines_are_short():
    told = Told()
    for n in range(5):
        told.add(f"{n}.png", ["dark", "small"] if n else ["dark"])
    told.add("4.png", ["dark"])
    assert list(counted_lines(told.images())) == [
        "5 images: dark (0.png, 1.png, 2.png and 2 more)",
        "4 images: small (1.png, 2.png, 3.png and 1 more)",
    ]
