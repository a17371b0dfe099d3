"""The colour profile of an image file (ICC.1), and its pixels in sRGB, which the net was trained on.

Phones and many cameras write wider colours than sRGB: read as they are, they come out pale. LittleCMS converts them,
where Pillow is installed; where it is not, the file is told of.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from skinmtl.images import bmp, boxes, formats, jpeg, png, tiff
from skinmtl.images.exif import chunks
from skinmtl.images.formats import Format

# of the profile IEC 61966-2.1, for ICC's white D50: X, Y, Z of red, green and blue
SRGB = {"rXYZ": (0.4361, 0.2225, 0.0139), "gXYZ": (0.3851, 0.7169, 0.0971), "bXYZ": (0.1431, 0.0606, 0.7141)}
# Our choice: within these nothing is converted. Less than two of 255 levels, but in the very dark.
NEAR_PRIMARIES, NEAR_CURVE = 0.005, 0.01
LEVELS = np.linspace(0.0, 1.0, 33)
LONGEST_NAME = 40
COLOURS, MONOCHROME = b"RGB ", b"GRAY"
RELATIVE, BLACK_POINT = 1, 0x2000  # relative colorimetric, the black point kept: as viewers of photographs do


class Profile(NamedTuple):
    """What a file says of its colours: the ICC profile where it embeds one, else b""; a name for people."""

    icc: bytes
    name: str


class InSrgb(NamedTuple):
    """(H, W, 3) uint8 BGR; from which profile it was converted, or ""; what was not done, in a line, or ""."""

    pixels: np.ndarray
    converted: str = ""
    told: str = ""


def profile_of(data: bytes, form: Format) -> Profile | None:
    """None where the file says nothing, or that it is sRGB or so near that nobody sees the difference."""
    icc, said = b"", ""
    if form is formats.JPEG:
        icc, said = jpeg.colours(data)
    elif form is formats.PNG:
        icc = png.profile(data)
        said = "" if icc else png.other_colours(data)
    elif form is formats.TIFF:
        icc = tiff.profile(data)
    elif form is formats.WEBP:
        icc = next((body for name, body in chunks(data) if name == b"ICCP"), b"")
    elif form is formats.BMP:
        icc = bmp.profile(data)
    elif form is formats.JPEG_2000:
        icc = boxes.profile_of_jpeg_2000(data)
    elif form in (formats.AVIF, formats.HEIC):
        icc, primaries, transfer = boxes.colours(data)
        said = "" if icc else png.coded_colours(primaries, transfer)
    if icc:
        return None if _is_near_srgb(icc) else Profile(icc, _name(icc))
    return Profile(b"", said) if said else None


def in_srgb(pixels: np.ndarray, profile: Profile | None) -> InSrgb:
    """The pixels, (H, W, 3) uint8 BGR, converted from the file's profile."""
    if profile is None:
        return InSrgb(pixels)
    if not profile.icc:
        return InSrgb(pixels, told=_told(profile, "it is no ICC profile; save it as sRGB"))
    space = profile.icc[16:20]
    if space not in (COLOURS, MONOCHROME):
        return InSrgb(pixels, told=_told(profile, "it is not for RGB; save it as sRGB"))
    try:
        from PIL import Image, ImageCms
    except ImportError:
        return InSrgb(pixels, told=_told(profile, "install Pillow, or save it as sRGB"))
    mode = "RGB" if space == COLOURS else "L"
    if mode == "L" and not (pixels == pixels[:, :, :1]).all():
        return InSrgb(pixels, told=_told(profile, "it is for grey; save it as sRGB"))
    try:
        image = Image.fromarray(np.ascontiguousarray(pixels[:, :, ::-1] if mode == "RGB" else pixels[:, :, 0]))
        converted = ImageCms.applyTransform(image, _transform(profile.icc, mode))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return InSrgb(pixels, told=_told(profile, "it is damaged; save it as sRGB"))
    return InSrgb(np.ascontiguousarray(np.asarray(converted)[:, :, ::-1]), profile.name)


def _told(profile: Profile, why: str) -> str:
    return f"its colours ({profile.name}) are taken as sRGB: {why}"


@lru_cache(maxsize=8)
def _transform(icc: bytes, mode: str) -> Any:
    from io import BytesIO

    from PIL import ImageCms

    to = ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(ImageCms.ImageCmsProfile(BytesIO(icc)), to, mode, "RGB", RELATIVE, BLACK_POINT)


@lru_cache(maxsize=16)
def _is_near_srgb(icc: bytes) -> bool:
    """Of RGB: primaries and curve; of grey: the curve. False for what is damaged, or made of tables."""
    tags = _tags(icc)
    if icc[16:20] == MONOCHROME:
        return _is_near_curve(tags.get("kTRC", b""))
    if icc[16:20] != COLOURS or "A2B0" in tags:
        return False
    for name, expected in SRGB.items():
        found = tags.get(name, b"")[8:20]
        if len(found) < 12 or np.abs(np.array(struct.unpack(">3i", found)) / 65536 - expected).max() > NEAR_PRIMARIES:
            return False
    return all(_is_near_curve(tags.get(name, b"")) for name in ("rTRC", "gTRC", "bTRC"))


def _is_near_curve(tag: bytes) -> bool:
    linear = np.where(LEVELS <= 0.04045, LEVELS / 12.92, ((LEVELS + 0.055) / 1.055) ** 2.4)
    with np.errstate(all="ignore"):  # numbers of a damaged profile
        found = _curve(tag)
    return found is not None and bool(np.abs(found - linear).max() <= NEAR_CURVE)


def _curve(tag: bytes) -> np.ndarray | None:
    """The linear light of LEVELS; None where the tag is none that is known."""
    count = int.from_bytes(tag[8:12], "big")
    if tag[:4] == b"curv" and len(tag) >= 12 + 2 * count:
        table = np.frombuffer(tag, ">u2", count, 12)
        if count < 2:
            return LEVELS ** (table[0] / 256 if count else 1.0)
        return np.interp(LEVELS, np.linspace(0, 1, count), table / 65535)
    kind = int.from_bytes(tag[8:10], "big")
    size = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}.get(kind)
    if tag[:4] != b"para" or size is None or len(tag) < 12 + 4 * size:
        return None
    g, a, b, c, d, e, f = (*(n / 65536 for n in struct.unpack_from(f">{size}i", tag, 12)), *[0.0] * 6)[:7]
    if kind == 0:
        return LEVELS**g
    if kind in (1, 2):  # below -b / a nothing but c
        c, d, e, f = 0.0, (-b / a if a else 0.0), (c if kind == 2 else 0.0), (c if kind == 2 else 0.0)
    return np.where(d <= LEVELS, np.maximum(a * LEVELS + b, 0.0) ** g + e, c * LEVELS + f)


def _tags(icc: bytes) -> dict[str, bytes]:
    found = {}
    for n in range(min(int.from_bytes(icc[128:132], "big"), 100)):
        entry = icc[132 + 12 * n : 144 + 12 * n]
        start, size = int.from_bytes(entry[4:8], "big"), int.from_bytes(entry[8:12], "big")
        found[entry[:4].decode("latin-1")] = icc[start : start + size]
    return found


def _name(icc: bytes) -> str:
    """The profile's own description, of letters that can be printed; "a profile without a name"."""
    tag = _tags(icc).get("desc", b"")
    if tag[:4] == b"mluc" and len(tag) >= 28:
        size, start = struct.unpack(">2I", tag[20:28])
        text = tag[start : start + size].decode("utf-16-be", "replace")
    else:
        text = tag[12 : 12 + int.from_bytes(tag[8:12], "big")].decode("ascii", "replace")
    text = " ".join("".join(letter for letter in text if letter.isprintable() and letter != "\ufffd").split())
    return text[:LONGEST_NAME] or "a profile without a name"
