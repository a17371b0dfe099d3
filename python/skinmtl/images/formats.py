"""The image formats, one table: by which bytes and endings each is known, by what it is read, and what is understood.

Whoever decides whether a file is an image, whether it is read, and what to say where it is not, asks here; docs/data.md
shows the table. `caffe_files.first_bytes` knows what else a file can be.
"""

from __future__ import annotations

import importlib.util
import re
from functools import lru_cache
from pathlib import PurePosixPath
from typing import NamedTuple

import cv2

from caffe_files.first_bytes import AVIF_BRANDS, CONVERT, HEIC_BRANDS, brands


class Format(NamedTuple):
    """A format that is read.

    starts       bytes of which a file's first ones are one; formats without any are known by their boxes
    needs        what of OpenCV's build information must not be NO, or PILLOW_HEIF
    since        the OpenCV that reads it first, where that is no very old one
    the rest     how each is handled, in words for the documents
    """

    name: str
    endings: tuple[str, ...]
    starts: tuple[bytes, ...]
    needs: str
    since: str
    orientation: str
    transparency: str
    depth: str
    profile: str


PILLOW_HEIF = "pillow_heif"
ON_WHITE = "laid on white"
NONE = "has none"
ICC = "ICC profile"
JPEG = Format("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), (b"\xff\xd8",), "JPEG", "", "EXIF", NONE, "8 bits", ICC)
PNG = Format(
    *("PNG", (".png",), (b"\x89PNG\r\n\x1a\n",), "PNG", ""),
    *("EXIF", f"{ON_WHITE}; a grey one with one transparent grey is refused", "1 to 16 bits, `sBIT` followed", ICC),
)
TIFF = Format(
    *("TIFF", (".tif", ".tiff"), (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "TIFF", "", "its tag"),
    f"RGB {ON_WHITE}, multiplied or not; `ExtraSamples` 0 left out; grey, and 16-bit planes, refused",
    *("1, 4, 8 or 16 bits", ICC),
)
WEBP = Format("WebP", (".webp",), (), "WEBP", "", "EXIF", ON_WHITE, "8 bits", ICC)
BMP = Format(
    *("BMP", (".bmp", ".dib"), (b"BM",), "", "", "order of its rows"),
    *(f"{ON_WHITE} if its header has a mask for it", "1 to 8 bits", ICC),
)
GIF = Format("GIF", (".gif",), (b"GIF87a", b"GIF89a"), "GIF", "4.12", NONE, ON_WHITE, "8 bits", "not looked for")
JPEG_2000 = Format(
    *("JPEG 2000", (".jp2", ".j2k", ".j2c"), (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"), "JPEG 2000", ""),
    *(NONE, ON_WHITE, "8 to 16 bits", ICC),
)
AVIF = Format(
    *("AVIF", (".avif",), (), "AVIF", "4.8", "`irot` and `imir`", ON_WHITE, "8, 10 or 12 bits"),
    ICC,
)
HEIC = Format(
    *("HEIC", (".heic", ".heif", ".hif"), (), PILLOW_HEIF, "", "`irot` and `imir`", ON_WHITE, "8 to 12 bits"),
    ICC,
)
NETPBM = Format(
    *("Netpbm", (".pbm", ".pgm", ".ppm", ".pnm", ".pam"), tuple(b"P%d" % n for n in range(1, 8)), "", ""),
    *(NONE, "refused (PAM)", "1 to 16 bits, its largest value followed", NONE),
)
SUN = Format("Sun raster", (".sr", ".ras"), (b"\x59\xa6\x6a\x95",), "", "", NONE, NONE, "1 or 8 bits", NONE)
FORMATS = (JPEG, PNG, TIFF, WEBP, BMP, GIF, JPEG_2000, AVIF, HEIC, NETPBM, SUN)

# images too, or what holds some: never read
UNREAD = {
    "JPEG XL": (".jxl",),
    "OpenEXR": (".exr",),
    "Radiance HDR": (".hdr",),
    "floating-point PFM": (".pfm",),
    "JPEG XR": (".jxr", ".wdp"),
    "Targa": (".tga",),
    "Photoshop": (".psd", ".psb"),
    "DICOM": (".dcm", ".dicom"),
    "a camera's raw format": (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef"),
    "SVG": (".svg",),
    "PDF": (".pdf",),
}
_OF_ENDING = {ending: form for form in FORMATS for ending in form.endings}
_UNREAD_OF_ENDING = {ending: name for name, endings in UNREAD.items() for ending in endings}
ENDINGS = frozenset({*_OF_ENDING, *_UNREAD_OF_ENDING})  # of all that are known


def format_of(data: bytes) -> Format | None:
    """The format by the file's own bytes, whatever its name is; None for what is none of FORMATS."""
    for form in FORMATS:
        if form.starts and data.startswith(form.starts):
            return form
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WEBP
    found = brands(data)
    if found & AVIF_BRANDS:
        return AVIF
    return HEIC if found & HEIC_BRANDS else None


def has_image_ending(name: str) -> bool:
    """Of any known format, read or not."""
    return _ending(name) in ENDINGS


def is_read(name: str) -> bool:
    """True where the name ends as those of a format that this installation reads."""
    form = _OF_ENDING.get(_ending(name))
    return form is not None and not unread_here(form)


def is_misnamed(name: str, format_name: str) -> bool:
    """True where a file is of the format of that name, and its own name ends as those of none or of another."""
    return any(form.name == format_name and _ending(name) not in form.endings for form in FORMATS)


def why_unread(name: str) -> str:
    """Why an image of this name is not read, and what to do; "" for one that is, and for what has no image's ending."""
    ending = _ending(name)
    if ending in _UNREAD_OF_ENDING:
        return f"{_UNREAD_OF_ENDING[ending]} is not read: {CONVERT}"
    return unread_here(_OF_ENDING[ending]) if ending in _OF_ENDING else ""


@lru_cache(maxsize=None)
def unread_here(form: Format) -> str:
    """Why this installation does not read the format, and what to do; "" where it does."""
    if form.needs == PILLOW_HEIF:
        if importlib.util.find_spec(PILLOW_HEIF) is None:
            return f"{form.name} is read where pillow-heif is installed: pip install pillow-heif, or {CONVERT}"
        return ""
    said = re.search(rf"^ *{form.needs}: +(.*)$", cv2.getBuildInformation(), re.MULTILINE) if form.needs else None
    if (said and not said.group(1).startswith("NO")) or not (form.since or said):
        return ""
    newer = f" ({form.since} and later can)" if form.since else ""
    return f"{form.name} is not read by this OpenCV, {cv2.__version__}{newer}: {CONVERT}"


def _ending(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
