"""No file keeps its reader waiting: scans without end, pipes, devices; and what is no image is called what it is."""

from __future__ import annotations

import os
import re
import time

import cv2
import numpy as np
import pytest
from made_photos import jpeg, photograph

from skinmtl.images import decoder, jpeg_decoder
from skinmtl.images import jpeg as jpeg_file
from skinmtl.images.image_file import SCANNED, SCANS, ImageError, decode, load, resized

LARGE = jpeg(np.full((2500, 2500, 3), 90, np.uint8), progressive=1)
SMALL = jpeg(photograph(64, 48), progressive=1)


def with_scans(data, count):
    """The last scan again and again: each costs its reader a pass over the whole picture."""
    starts = [found.start() for found in re.finditer(b"\xff\xda", data)]
    return data[:-2] + data[starts[-1] : -2] * (count - len(starts)) + data[-2:]


def scans_of(data):
    return jpeg_file.n_scans(data, jpeg_file.header(data))


def test_a_jpeg_of_hundreds_of_scans_is_refused_before_it_is_decoded():
    for reader in (decode, lambda data: resized(data, 256)):
        start = time.perf_counter()
        with pytest.raises(ImageError, match="the JPEG has 200 scans, each over the whole picture; save it anew"):
            reader(with_scans(LARGE, 200))
        assert time.perf_counter() - start < 0.5  # seconds for these few bytes, were it decoded


def test_as_many_scans_as_encoders_write_are_read():
    assert scans_of(LARGE) == 10
    assert scans_of(jpeg(photograph(64, 48))) == 1
    assert SCANS * 2500 * 2500 < SCANNED + 2500 * 2500
    assert decode(with_scans(LARGE, SCANS)).shape == (2500, 2500, 3)
    assert decode(with_scans(SMALL, 100)).shape == (48, 64, 3)  # so small that nobody waits


def test_only_scans_of_the_picture_are_counted():
    """A phone's moving picture behind the end, and a thumbnail before, have some of their own."""
    assert scans_of(SMALL + with_scans(SMALL, 100)) == 10


@pytest.mark.parametrize(
    "filling", [b"\xff\xfe\x00\x02", b"\xff", b"\xff\x00"], ids=["empty notes", "fill", "no markers"]
)
def test_a_header_without_end_is_not_walked_to_its_end(filling):
    """2 MB of markers took seconds."""
    plain = jpeg(photograph(64, 48))
    assert decode(plain[:2] + filling * 1000 + plain[2:]).shape == (48, 64, 3)
    start = time.perf_counter()
    with pytest.raises(ImageError, match="the JPEG has thousands of markers before its picture; save it anew"):
        decode(plain[:2] + filling * 500_000 + plain[2:])
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_not_read(device):
    assert load((device, 256)).problem.startswith("is a device, whose length is unknown")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(str(tmp_path / "a.jpg"))
    assert load((tmp_path / "a.jpg", 256)).problem.startswith("is a pipe, whose length is unknown")


@pytest.mark.parametrize(
    "data, problem",
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS pointer, which is not read: fetch the file"),
        (b"<!DOCTYPE html><html>", "it is a web page (HTML), which is not read: it is what a site sent in place of"),
        (b"\xff\x0a" + bytes(50), "it is a JPEG XL image, which is not read: convert it to JPEG or PNG"),
        (bytes(128) + b"DICM", "it is a DICOM file, which is not read: convert it to JPEG or PNG"),
        (b"PK\x03\x04" + bytes(50), "it is a zip archive, which is not read: unpack it"),
        (b"no image", "not an image that OpenCV reads, or a truncated one"),
    ],
)
def test_what_is_no_image_is_called_what_it_is(data, problem):
    with pytest.raises(ImageError, match=re.escape(problem)):
        decode(data)


def test_too_little_memory_is_no_fault_of_the_file(monkeypatch):
    def imdecode(*_):
        error = cv2.error("Failed to allocate 3145728 bytes")
        error.code = decoder.NO_MEMORY
        raise error

    monkeypatch.setattr(decoder.cv2, "imdecode", imdecode)
    monkeypatch.setattr(jpeg_decoder, "simplejpeg", lambda: None)
    with pytest.raises(MemoryError, match="Failed to allocate"):
        decode(SMALL)
