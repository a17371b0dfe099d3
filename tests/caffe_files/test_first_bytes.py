"""What a file is by its first bytes, so that a tool can say what it was given in place of a table or an image."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_files.errors import InputError
from caffe_files.first_bytes import kind_of, kind_of_file


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return file.getvalue()


def heif(*brands: bytes) -> bytes:
    box = b"ftyp" + brands[0] + b"\0\0\0\0" + b"".join(brands[1:])
    return (len(box) + 4).to_bytes(4, "big") + box


KINDS = {
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    "a web page (HTML)": b"\xef\xbb\xbf \n<!DOCTYPE html><html><body>sign in</body></html>",
    "XML": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "an Excel workbook": zipped("[Content_Types].xml", "xl/workbook.xml"),
    "an OpenDocument file": zipped("mimetype").replace(b"mimetypex", b"mimetypeapplication/vnd.oasis.opendocument"),
    "a zip archive": zipped("images/1.jpg"),
    "an old Excel or Word file": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100),
    "a HEIC image": heif(b"heic", b"mif1", b"heic"),
    "an AVIF image": heif(b"mif1", b"avif", b"miaf"),
    "a video": heif(b"qt  "),
    "a DICOM file": bytes(128) + b"DICM",
    "a WebP image": b"RIFF\0\0\0\0WEBPVP8 ",
}


@pytest.mark.parametrize("name", KINDS)
def test_a_file_is_known_by_its_start_alone(name):
    assert kind_of(KINDS[name][:512]).name == name


@pytest.mark.parametrize(
    "data", [b"", b"image,lesions,location\n", b"<5 mm,naevus\n", b"PK,1\n", "é;ü\n".encode("utf-16")]
)
def test_text_is_no_kind(data):
    assert kind_of(data) is None


def test_a_missing_file_and_a_folder_are_no_kind_and_a_device_is_refused(tmp_path):
    assert kind_of_file(tmp_path) is None
    assert kind_of_file(tmp_path / "absent") is None
    with pytest.raises(InputError, match="a device"):
        kind_of_file("/dev/zero")


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.sampled_from([b"", *KINDS.values()]), st.binary(max_size=30), st.integers(0, 40))
def test_any_bytes_have_a_kind_or_none(start, more, cut):
    assert kind_of(start[:cut] + more) is None or kind_of(start[:cut] + more).remedy
