"""Colours wider than sRGB become sRGB, whatever format carries the profile; what cannot be converted is told of."""

from __future__ import annotations

import builtins
import struct
import zlib

import cv2
import numpy as np
import pytest
from made_icc import ADOBE_RGB, DISPLAY_P3, SRGB, icc, in_srgb
from made_photos import jpeg, with_segment
from made_tiff import tiff

from skinmtl.data.stored_image import image_datum
from skinmtl.images import boxes
from skinmtl.images.image_file import decode, resized

SIDE = 48
ROWS, COLUMNS = np.mgrid[0:SIDE, 0:64]
RGB = np.stack([60 + COLUMNS * 2, 90 + ROWS, np.full((SIDE, 64), 100)], axis=2).astype(np.uint8)
BGR = np.ascontiguousarray(RGB[:, :, ::-1])
PNG = cv2.imencode(".png", BGR)[1].tobytes()
JPEG = jpeg(BGR, quality=100, progressive=0)


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_with(*chunks):
    return PNG[:33] + b"".join(chunks) + PNG[33:]


def jpeg_with(profile, parts=1):
    data, size = JPEG, -(-len(profile) // parts)
    for number in reversed(range(parts)):
        body = profile[size * number : size * (number + 1)]
        data = with_segment(data, b"ICC_PROFILE\0" + bytes([number + 1, parts]) + body, 0xE2)
    return data


def webp_with(profile):
    simple = cv2.imencode(".webp", BGR, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()[12:]
    size = struct.pack("<I", 63)[:3] + struct.pack("<I", SIDE - 1)[:3]
    body = b"VP8X" + struct.pack("<I", 10) + b"\x20\0\0\0" + size
    body += b"ICCP" + struct.pack("<I", len(profile)) + profile + b"\0" * (len(profile) % 2) + simple
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def tiff_with(profile):
    data = tiff(RGB, more=[(34675, 0)])
    at = data.index(struct.pack("<HH", 34675, 3))
    entry = struct.pack("<HHII", 34675, 7, len(profile), len(data))
    return data[:at] + entry + data[at + 12 :] + profile


def bmp_with(profile):
    pixels = BGR[::-1].tobytes()
    header = struct.pack("<IiiHHIIiiII", 124, 64, SIDE, 1, 24, 0, len(pixels), 0, 0, 0, 0).ljust(56, b"\0") + b"DEBM"
    header = header.ljust(112, b"\0") + struct.pack("<II", 124 + len(pixels), len(profile))
    header = header.ljust(124, b"\0")
    return b"BM" + struct.pack("<IHHI", 138 + len(pixels) + len(profile), 0, 0, 138) + header + pixels + profile


CARRIERS = {
    "JPEG": jpeg_with,
    "JPEG, profile in 3 parts": lambda profile: jpeg_with(profile, 3),
    "PNG": lambda profile: png_with(chunk(b"iCCP", b"a name\0\0" + zlib.compress(profile))),
    "WebP": webp_with,
    "TIFF": tiff_with,
    "BMP": bmp_with,
}


@pytest.mark.parametrize("carrier", CARRIERS)
def test_wide_colours_become_srgb(carrier):
    pytest.importorskip("PIL.ImageCms")
    for primaries, name in ((DISPLAY_P3, "Display P3"), (ADOBE_RGB, "Adobe RGB (1998)")):
        data = CARRIERS[carrier](icc(primaries, name=name))
        expected = in_srgb(decode(CARRIERS[carrier](b""))[:, :, ::-1], primaries)
        pixels = decode(data)[:, :, ::-1].astype(float)
        assert np.abs(pixels - expected).max() <= 2.5
        assert np.abs(expected - RGB).max() > 8, "as they are they would be far off"
        assert resized(data, SIDE).converted == name
        assert resized(data, SIDE).told == ()


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("gamma", [2.2, 2.19])
def test_srgb_and_what_is_near_stays_as_it_is(carrier, gamma):
    plain, said = CARRIERS[carrier](b""), CARRIERS[carrier](icc(SRGB, gamma, "sRGB"))
    np.testing.assert_array_equal(decode(said), decode(plain))
    assert resized(said, SIDE)[2:] == resized(plain, SIDE)[2:]


def test_another_gamma_is_converted():
    pytest.importorskip("PIL.ImageCms")
    data = CARRIERS["PNG"](icc(SRGB, 1.8, "an old screen"))
    assert np.abs(decode(data)[:, :, ::-1] - in_srgb(RGB, SRGB, 1.8)).max() <= 2
    assert resized(data, SIDE).converted == "an old screen"


def test_grey_with_a_profile_for_grey():
    pytest.importorskip("PIL.ImageCms")
    grey = cv2.imencode(".png", RGB[:, :, 0])[1].tobytes()
    packed = zlib.compress(icc(gamma=1.0, name="linear", space=b"GRAY"))
    found = decode(grey[:33] + chunk(b"iCCP", b"a\0\0" + packed) + grey[33:])
    assert np.abs(found - in_srgb(RGB[:, :, :1].repeat(3, axis=2), SRGB, 1.0)).max() <= 2


def test_a_passed_jpeg_is_coded_anew_where_its_colours_change(tmp_path):
    """Caffe knows no profiles: the file's own bytes would be taken as sRGB."""
    pytest.importorskip("PIL.ImageCms")
    for name, profile, is_passed in (("wide", icc(), False), ("srgb", icc(SRGB, name="sRGB"), True)):
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(jpeg_with(profile))
        stored = image_datum((path, SIDE))
        assert stored.is_passed is is_passed
        assert stored.converted == ("" if is_passed else "Display P3")
        assert b"ICC_PROFILE" not in stored.datum


def test_without_pillow_the_file_is_told_of(monkeypatch):
    imported = builtins.__import__

    def no_pillow(name, *rest):
        if name.startswith("PIL"):
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_pillow)
    found = resized(jpeg_with(icc()), SIDE)
    assert found.told == ("its colours (Display P3) are taken as sRGB: install Pillow, or save it as sRGB",)
    np.testing.assert_array_equal(found.pixels, resized(JPEG, SIDE).pixels)


@pytest.mark.parametrize(
    "said, why",
    [
        (icc(space=b"CMYK"), r"\(Display P3\) are taken as sRGB: it is not for RGB; save it as sRGB"),
        (icc()[:200], r"\(a profile without a name\) are taken as sRGB: it is damaged"),
        (icc(name="a\x1b[31m\nb"), ""),
        (icc(space=b"GRAY"), ""),
        (b"nonsense", "are taken as sRGB: it is not for RGB"),
        (icc()[:128] + b"\xff\xff\xff\xff" + bytes(40), "it is damaged"),
    ],
)
def test_a_profile_that_says_nothing_usable(said, why):
    pytest.importorskip("PIL.ImageCms")
    found = resized(jpeg_with(said), SIDE)
    assert all(line.isprintable() for line in (*found.told, found.converted))
    if why:
        assert len(found.told) == 1
        assert pytest.approx(found.pixels.astype(int)) == resized(JPEG, SIDE).pixels.astype(int)
        import re

        assert re.search(why, found.told[0])


def test_colours_that_are_told_by_numbers():
    """Nothing converts them: they are told of."""
    for body, told in (
        (chunk(b"cICP", bytes([12, 13, 0, 1])), "Display P3"),
        (chunk(b"cICP", bytes([9, 16, 0, 1])), "HDR (PQ)"),
        (chunk(b"cICP", bytes([1, 13, 0, 1])), ""),
        (chunk(b"gAMA", struct.pack(">I", 100_000)), "gamma 1"),
        (chunk(b"gAMA", struct.pack(">I", 45_455)), ""),
        (chunk(b"gAMA", struct.pack(">I", 100_000)) + chunk(b"sRGB", b"\0"), ""),
        (chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)), ""),
        (chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)), "primaries of"),
    ):
        lines = resized(png_with(body), SIDE).told
        assert [told in line for line in lines] == ([True] if told else []), body


def exif_of_a_camera(index=b"R03\0", colour_space=0xFFFF):
    """Adobe RGB as the DCF standard writes it: no profile, but two numbers."""
    first = struct.pack(">HHHIII", 1, 0x8769, 4, 1, 26, 0)
    exif = struct.pack(">HHHIHHHHIII", 2, 0xA001, 3, 1, colour_space, 0, 0xA005, 4, 1, 56, 0)
    inner = struct.pack(">HHHI", 1, 1, 2, 4) + index + bytes(4)
    return b"Exif\0\0MM\0*" + struct.pack(">I", 8) + first + exif + inner


def test_a_camera_that_says_adobe_rgb_in_exif_alone():
    assert resized(with_segment(JPEG, exif_of_a_camera()), SIDE).told == (
        "its colours (Adobe RGB) are taken as sRGB: it is no ICC profile; save it as sRGB",
    )
    for other in (exif_of_a_camera(b"R98\0"), exif_of_a_camera(colour_space=1), exif_of_a_camera()[:40]):
        assert resized(with_segment(JPEG, other), SIDE).told == ()


def test_colours_of_boxes():
    def box(name, body):
        return struct.pack(">I", len(body) + 8) + name + body

    def avif(colours):
        entries = box(b"ipco", box(b"colr", colours)), box(b"ipma", bytes(7) + b"\1\0\1\1\x81")
        inner = box(b"pitm", bytes(4) + b"\0\1") + box(b"iprp", b"".join(entries))
        return box(b"ftyp", b"avif\0\0\0\0") + box(b"meta", bytes(4) + inner)

    assert boxes.colours(avif(b"prof" + icc())).profile == icc()
    assert boxes.colours(avif(b"nclx" + struct.pack(">3HB", 12, 13, 6, 0x80)))[1:] == (12, 13)
    jp2 = b"\0\0\0\x0cjP  \r\n\x87\n" + box(b"jp2h", box(b"colr", b"\2\0\0" + icc()))
    assert boxes.profile_of_jpeg_2000(jp2) == icc()
