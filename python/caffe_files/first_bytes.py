"""What a file is by its first bytes, whatever its name ends in: for saying why it is not what was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from caffe_files.inputs import regular_file

ENOUGH = 512  # bytes
FETCH = "fetch the file itself (git lfs pull)"
WEB_PAGE = "it is what a site sent in place of the file: download the file itself, signed in if need be"
SAVE_AS_CSV = "save the sheet as CSV UTF-8"
UNPACK = "unpack it"
CONVERT = "convert it to JPEG or PNG"


class Kind(NamedTuple):
    """What a file is, with its article ("a web page (HTML)"), and what to do where another kind was wanted."""

    name: str
    remedy: str
    is_image: bool = False


LFS_POINTER = Kind("a Git LFS pointer", FETCH)
HTML = Kind("a web page (HTML)", WEB_PAGE)
XML = Kind("XML", WEB_PAGE)
WORKBOOK = Kind("an Excel workbook", SAVE_AS_CSV)
OPEN_DOCUMENT = Kind("an OpenDocument file", SAVE_AS_CSV)
ZIP = Kind("a zip archive", UNPACK)
HEIC = Kind("a HEIC image", CONVERT, True)

_STARTS = (
    (b"version https://git-lfs", LFS_POINTER),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind("an old Excel or Word file", SAVE_AS_CSV)),
    (b"\x1f\x8b", Kind("a gzip archive", UNPACK)),
    (b"\xfd7zXZ\0", Kind("an xz archive", UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", Kind("a 7z archive", UNPACK)),
    (b"Rar!\x1a\x07", Kind("a RAR archive", UNPACK)),
    (b"%PDF-", Kind("a PDF document", "save its pictures or tables as files of their own")),
    (b"\x89HDF\r\n\x1a\n", Kind("an HDF5 file", "export what it holds")),
    (b"SQLite format 3\0", Kind("an SQLite database", "export the table as CSV")),
    (b"PAR1\x15", Kind("a Parquet table", "export it as CSV")),
    (b"\0\x05\x16\x07", Kind("what macOS keeps beside a file (._)", "name the file itself")),
    (b"\xff\xd8\xff", Kind("a JPEG image", CONVERT, True)),
    (b"\x89PNG\r\n\x1a\n", Kind("a PNG image", CONVERT, True)),
    (b"GIF8", Kind("a GIF image", CONVERT, True)),
    (b"II*\0", Kind("a TIFF image", CONVERT, True)),
    (b"MM\0*", Kind("a TIFF image", CONVERT, True)),
    (b"\0\0\0\x0cjP  ", Kind("a JPEG 2000 image", CONVERT, True)),
    (b"\xff\x0a", Kind("a JPEG XL image", CONVERT, True)),
    (b"\0\0\0\x0cJXL ", Kind("a JPEG XL image", CONVERT, True)),
)
AVIF_BRANDS = frozenset({b"avif", b"avis"})
HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
VIDEO_BRANDS = frozenset({b"qt  ", b"isom", b"mp41", b"mp42", b"M4V "})
_BRANDS = (  # of the box `ftyp`: the first that is there
    (AVIF_BRANDS, Kind("an AVIF image", CONVERT, True)),
    (HEIC_BRANDS, HEIC),
    (VIDEO_BRANDS, Kind("a video", "save a frame of it as JPEG or PNG")),
)


def kind_of(data: bytes) -> Kind | None:
    """What bytes from the start of a file say it is; None where they are plain text or nothing that is known here."""
    for start, kind in _STARTS:
        if data.startswith(start):
            return kind
    if data[4:8] == b"ftyp":
        found = brands(data)
        return next((kind for names, kind in _BRANDS if found & names), None)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Kind("a WebP image", CONVERT, True)
    if data[:3] == b"BZh" and data[4:10] == b"1AY&SY":
        return Kind("a bzip2 archive", UNPACK)
    if data[128:132] == b"DICM":
        return Kind("a DICOM file", CONVERT, True)
    if data.startswith(b"PK\x03\x04"):
        return _of_zip(data)
    text = data.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head")) or (text.startswith(b"<?xml") and b"<html" in text):
        return HTML
    return XML if text.startswith(b"<?xml") else None


def brands(data: bytes) -> frozenset[bytes]:
    """The brands of the box `ftyp`, the major one and those that it is compatible with; empty for other files."""
    if data[4:8] != b"ftyp":
        return frozenset()
    end = min(len(data), int.from_bytes(data[:4], "big"), ENOUGH)
    return frozenset(data[at : at + 4] for at in (8, *range(16, end, 4)))


def kind_of_file(path: Path) -> Kind | None:
    """`kind_of` a file's first bytes; None where it cannot be read. InputError where it is a pipe or a device."""
    try:
        with open(str(regular_file(path)), "rb") as file:
            return kind_of(file.read(ENOUGH))
    except OSError:
        return None


def _of_zip(data: bytes) -> Kind:
    if b"mimetypeapplication/vnd.oasis.opendocument" in data:
        return OPEN_DOCUMENT
    office = any(name in data for name in (b"[Content_Types].xml", b"xl/", b"_rels/.rels", b"docProps/"))
    return WORKBOOK if office else ZIP
