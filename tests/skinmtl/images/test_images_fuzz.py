"""Real files with bytes changed, cut out, put in and exchanged: an image, or ImageError, and nothing else."""

from __future__ import annotations

import cv2
import made_tiff
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_icc import icc
from made_photos import exif, jpeg, photograph, with_segment

from skinmtl.images import jpeg as jpeg_file
from skinmtl.images import tiff
from skinmtl.images.image_file import ImageError, decode, resized
from skinmtl.images.image_size import MAX_PIXELS, size_of

SIDE = 16
PIXELS = photograph(80, 72)
ALPHA = np.dstack([PIXELS, PIXELS[:, :, 0]])


def encode(suffix, pixels=PIXELS, *options):
    return cv2.imencode(suffix, pixels, list(options))[1].tobytes()


FILES = [
    with_segment(jpeg(PIXELS), b"Exif\0\0" + exif(6)),
    jpeg(PIXELS, progressive=1),
    jpeg(PIXELS, rst_interval=1),
    encode(".png"),
    encode(".png", ALPHA),
    with_segment(jpeg(PIXELS), b"ICC_PROFILE\0\1\1" + icc(), 0xE2),
    made_tiff.tiff(PIXELS, more=[(274, 6)]),
    made_tiff.tiff(ALPHA, extra=[2], separate=True),
    encode(".tiff"),
    encode(".tiff", PIXELS.astype(np.uint16)),
    encode(".bmp"),
    encode(".webp", PIXELS, cv2.IMWRITE_WEBP_QUALITY, 80),
    encode(".webp", ALPHA, cv2.IMWRITE_WEBP_QUALITY, 101),
    encode(".jp2"),
    encode(".ppm"),
    encode(".pam"),
    encode(".sr"),
]
# headers are short, so that a change that is drawn over the whole file would hardly ever meet one
EARLY = st.integers(0, 200)
CHANGES = st.one_of(
    st.tuples(st.just("set"), EARLY, st.binary(min_size=1, max_size=4)),
    st.tuples(st.just("set"), st.integers(0, 20_000), st.binary(min_size=1, max_size=4)),
    st.tuples(st.just("insert"), EARLY, st.binary(min_size=1, max_size=12)),
    st.tuples(st.just("remove"), EARLY, st.binary(min_size=1, max_size=12)),
    st.tuples(st.just("cut"), st.integers(0, 20_000), st.just(b"")),
)


@st.composite
def spoilt_files(draw):
    data = draw(st.sampled_from(FILES))
    for kind, at, given_bytes in draw(st.lists(CHANGES, min_size=1, max_size=4)):
        at = at % (len(data) + 1)
        if kind == "insert":
            data = data[:at] + given_bytes + data[at:]
        elif kind == "cut":
            data = data[:at]
        else:
            data = data[:at] + (given_bytes if kind == "set" else b"") + data[at + len(given_bytes) :]
    return data


def check(data):
    size = size_of(data)
    try:
        pixels = decode(data)
    except ImageError as error:
        assert str(error)
        assert "\n" not in str(error)
    else:
        assert pixels.shape[:2] in (size, size[::-1])
        assert size[0] * size[1] <= MAX_PIXELS
        assert (pixels.dtype, pixels.shape[2]) == (np.uint8, 3)
    try:
        pixels = resized(data, SIDE).pixels
    except ImageError:
        pass
    else:
        assert min(pixels.shape[:2]) == SIDE
    if data.startswith(jpeg_file.START):
        jpeg_file.without_notes(data)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(spoilt_files())
def test_a_spoilt_file_is_an_image_or_an_image_error(data):
    check(data)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([data[:12] for data in FILES]), st.binary(max_size=300))
def test_any_bytes_after_a_true_start(start, rest):
    data = start + rest
    check(data)
    tiff.problem(data)


@pytest.mark.parametrize("count", [0xFFFF, 0xFFFFFFFF])
def test_a_directory_that_claims_to_be_long_is_read_in_no_time(count):
    data = b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0" + count.to_bytes(8, "little") + bytes(400)
    assert size_of(data) is None
    assert tiff.problem(data) == ""
