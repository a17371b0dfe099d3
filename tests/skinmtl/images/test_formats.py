"""One table of formats: what it says is what is read, and what importers, predict.py and the documents go by."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from conftest import ROOT

from caffe_files.first_bytes import kind_of
from skinmtl.images import formats, image_size
from skinmtl.images.formats import FORMATS, UNREAD

PICTURE = np.random.RandomState(0).randint(0, 256, (40, 60, 3)).astype(np.uint8)


def test_an_ending_is_of_one_format_and_written_in_small_letters():
    endings = [ending for form in FORMATS for ending in form.endings] + [each for of in UNREAD.values() for each in of]
    assert len(endings) == len(set(endings)) == len(formats.ENDINGS)
    assert all(ending == ending.lower() and ending.startswith(".") for ending in endings)


def test_of_every_format_the_size_is_known_before_it_is_decoded():
    assert set(image_size.SIZES) == set(FORMATS)


@pytest.mark.parametrize("ending", [".jpg", ".png", ".tiff", ".webp", ".bmp", ".jp2", ".ppm", ".pgm", ".pam", ".sr"])
def test_what_opencv_writes_under_an_ending_is_of_its_format(ending):
    data = cv2.imencode(ending, PICTURE[:, :, 0] if ending == ".pgm" else PICTURE)[1].tobytes()
    form = formats.format_of(data)
    assert ending in form.endings
    assert formats.is_read(f"a{ending.upper()}")
    assert not formats.is_misnamed(f"a{ending}", form.name)
    assert formats.is_misnamed("a.exr", form.name)


@pytest.mark.parametrize("name", ["a.jpe", "b/c.JFIF", "x.png"])
def test_every_ending_of_a_format_is_read(name):
    assert formats.is_read(name)
    assert formats.why_unread(name) == ""


@pytest.mark.parametrize(
    "name, why",
    [
        ("a.DNG", "a camera's raw format is not read: convert it to JPEG or PNG"),
        ("a.jxl", "JPEG XL is not read: convert it to JPEG or PNG"),
        ("a.dcm", "DICOM is not read: convert it to JPEG or PNG"),
        ("a.txt", ""),
        ("jpg", ""),
    ],
)
def test_what_is_not_read_has_its_reason(name, why):
    assert not formats.is_read(name)
    assert formats.why_unread(name) == why


def test_what_depends_on_the_installation_says_how_to_get_it(monkeypatch):
    try:
        formats.unread_here.cache_clear()
        monkeypatch.setattr(
            cv2, "getBuildInformation", lambda: "  Media I/O:\n    JPEG: yes\n    AVIF:   NO\n    GIF:  YES\n"
        )
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        assert formats.is_read("a.gif")
        assert formats.is_read("a.webp"), "what a build does not list is tried"
        assert formats.why_unread("a.avif").startswith("AVIF is not read by this OpenCV")
        assert "(4.8 and later can)" in formats.why_unread("a.avif")
        assert "pip install pillow-heif" in formats.why_unread("a.heif")
    finally:
        formats.unread_here.cache_clear()


def test_the_first_bytes_of_other_files_are_no_image():
    for data in (b"", b"image,lesions,location\n", b"%PDF-1.4", bytes(128) + b"DICM", b"\xff\x0a"):
        assert formats.format_of(data) is None
    for form in FORMATS:
        for start in form.starts:
            kind = kind_of(start + bytes(8))
            assert kind is None or kind.is_image


def test_the_documents_have_the_table():
    lines = (ROOT / "docs" / "data.md").read_text(encoding="utf-8").splitlines()
    for form in FORMATS:
        endings = " ".join(f"`{ending}`" for ending in form.endings)
        by = "pillow-heif" if form.needs == formats.PILLOW_HEIF else f"OpenCV {form.since}".strip()
        cells = (form.name, endings, by, form.orientation, form.transparency, form.depth, form.profile)
        assert f"| {' | '.join(cells)} |" in lines
    unread = ", ".join(f"{name} ({', '.join(f'`{ending}`' for ending in of)})" for name, of in UNREAD.items())
    assert unread in " ".join(lines)
