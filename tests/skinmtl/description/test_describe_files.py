"""What a description says of image files: real files of each format, whole, damaged, missing and there twice."""

from __future__ import annotations

import io
import os
import struct
import zlib

import cv2
import numpy as np
import pytest

from caffe_files.errors import InputError
from skinmtl.data.manifest import read_manifest
from skinmtl.description.file_summary import PERCENTILES, summarise
from skinmtl.description.files import TILE, FileFacts, look, look_at_files
from skinmtl.description.headers import read_header
from skinmtl.description.sheets import COLUMNS, contact_sheet
from skinmtl.images.image_file import ImageError, decode, resized

RANDOM = np.random.RandomState(1)


def picture(width, height, channels=3, dtype=np.uint8):
    small = RANDOM.randint(0, 256, (3, 3, channels)).astype(np.uint8)
    drawn = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return drawn.astype(dtype) * (257 if dtype == np.uint16 else 1)


def encoded(suffix, image):
    return cv2.imencode(suffix, image)[1].tobytes()


def turned_jpeg(image, orientation):
    """A JPEG with an EXIF orientation."""
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    data = encoded(".jpg", image)
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


def bomb(width, height):
    """A PNG of some bytes that claims any size."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.fixture()
def of_files(tmp_path):
    """Writes files by name and looks at them; a file of None is named in the manifest and missing."""

    def look_at(files, labels=("a,x,p",), fold_of=None, thumbnails=()):
        folder = tmp_path / "images"
        folder.mkdir()
        lines = ["image,lesions,location,group"]
        for n, (name, data) in enumerate(files.items()):
            if data is not None:
                (folder / name).write_bytes(data)
            lines.append(f"{name},{labels[n % len(labels)]}")
        (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
        manifest = read_manifest(tmp_path / "manifest.csv")
        facts = look_at_files(manifest, folder, thumbnails, workers=1)
        return summarise(manifest, facts, None if fold_of is None else np.array(fold_of))

    return look_at


class TestHeader:
    @pytest.mark.parametrize(
        "suffix, image, name, colours, bits",
        [
            (".jpg", picture(40, 30), "JPEG", "colour", 8),
            (".jpg", picture(40, 30, 1), "JPEG", "grey", 8),
            (".png", picture(40, 30), "PNG", "colour", 8),
            (".png", picture(40, 30, 1, np.uint16), "PNG", "grey", 16),
            (".png", picture(40, 30, 4), "PNG", "with transparency", 8),
            (".bmp", picture(40, 30), "BMP", "colour", 8),
            (".tiff", picture(40, 30), "TIFF", "colour", 8),
            (".tiff", picture(40, 30, 3, np.uint16), "TIFF", "colour", 16),
            (".webp", picture(40, 30), "WebP", "colour", 8),
            (".webp", picture(40, 30, 4), "WebP", "with transparency", 8),
            (".ppm", picture(40, 30), "Netpbm", "colour", 8),
        ],
    )
    def test_of_each_format(self, suffix, image, name, colours, bits):
        assert read_header(encoded(suffix, image)) == (name, 40, 30, bits, colours, 1)

    def test_of_a_cmyk_jpeg(self):
        pillow = pytest.importorskip("PIL.Image")
        file = io.BytesIO()
        pillow.fromarray(picture(40, 30, 4), "CMYK").save(file, "JPEG")
        assert read_header(file.getvalue()).colours == "CMYK"

    def test_cut_or_changed_anywhere_it_never_raises(self):
        for suffix in (".jpg", ".png", ".bmp", ".tiff", ".webp"):
            data = bytearray(encoded(suffix, picture(9, 7)))
            for end in range(0, len(data), 3):
                read_header(bytes(data[:end]))
            for _ in range(200):
                data[RANDOM.randint(len(data))] = RANDOM.randint(256)
                read_header(bytes(data))


class TestOneFile:
    @pytest.mark.parametrize("orientation", [1, 4, 5, 6, 8])
    def test_its_facts_are_those_of_the_decoded_image(self, tmp_path, orientation):
        (tmp_path / "a.jpg").write_bytes(turned_jpeg(picture(90, 60), orientation))
        facts = look((tmp_path / "a.jpg", True))
        shown = decode((tmp_path / "a.jpg").read_bytes())
        assert (facts.height, facts.width) == shown.shape[:2] == ((90, 60) if orientation > 4 else (60, 90))
        assert (facts.header.turned, facts.n_bytes) == (orientation, (tmp_path / "a.jpg").stat().st_size)
        small = cv2.imdecode(np.frombuffer(facts.thumbnail, np.uint8), cv2.IMREAD_COLOR)
        assert small.shape == shown.shape
        assert np.abs(small.astype(int) - shown).mean() < 4
        (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-99])
        damaged = look((tmp_path / "a.jpg", True))
        assert (damaged.kind, damaged.width, damaged.height) == ("damaged", facts.width, facts.height)

    @pytest.mark.parametrize("orientation", [1, 6])
    def test_a_tiff_that_its_own_tag_turns(self, tmp_path, orientation):
        tags = [(256, 9), (257, 6), (258, 8), (259, 1), (262, 1), (273, 122), (274, orientation), (277, 1), (279, 54)]
        directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + directory + bytes(4) + bytes(54))
        facts = look((tmp_path / "a.tif", False))
        assert facts.kind == ""
        assert (facts.height, facts.width) == decode((tmp_path / "a.tif").read_bytes()).shape[:2]

    def test_a_large_one_has_a_thumbnail_of_the_tiles_size(self, tmp_path):
        (tmp_path / "a.jpg").write_bytes(encoded(".jpg", picture(1600, 2400)))
        small = cv2.imdecode(np.frombuffer(look((tmp_path / "a.jpg", True)).thumbnail, np.uint8), cv2.IMREAD_COLOR)
        assert small.shape[0] == TILE and abs(small.shape[1] - TILE * 2 / 3) <= 1

    @pytest.mark.parametrize(
        "data, kind, words",
        [
            (None, "missing", "missing"),
            (b"", "damaged", "empty"),
            (b"<html>404</html>", "damaged", "it is a web page (HTML)"),
            (encoded(".jpg", picture(90, 60))[:-200], "damaged", "truncated"),
            (encoded(".png", picture(90, 60))[:200], "damaged", "truncated"),
            (bomb(60000, 60000), "damaged", "60000 x 60000"),
            (encoded(".png", picture(3000, 4)), "too narrow", "3000 x 4"),
        ],
        ids=["missing", "empty", "a web page", "half a JPEG", "half a PNG", "a bomb", "a line"],
    )
    def test_what_cannot_be_used_has_a_kind_and_one_line(self, tmp_path, data, kind, words):
        if data is not None:
            (tmp_path / "a.png").write_bytes(data)
        facts = look((tmp_path / "a.png", True))
        assert (facts.kind, facts.thumbnail) == (kind, None)
        assert words in facts.problem and "\n" not in facts.problem

    @pytest.mark.parametrize("progressive", [0, 1])
    def test_damage_is_found_at_the_small_scale_that_is_read_here_as_at_that_of_the_lmdb(self, tmp_path, progressive):
        options = [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive]
        data = cv2.imencode(".jpg", picture(900, 700), options)[1].tobytes()
        verdicts = []
        for place in RANDOM.randint(700, len(data), 20):
            damaged = data[:place] + RANDOM.bytes(30) + data[place + 30 :]
            (tmp_path / "a.jpg").write_bytes(damaged)
            try:
                resized(damaged, 256)
                verdicts.append("")
            except ImageError:
                verdicts.append("damaged")
            assert look((tmp_path / "a.jpg", False)).kind == verdicts[-1]
        assert "damaged" in verdicts

    def test_a_folder_a_pipe_and_a_name_that_is_too_long(self, tmp_path):
        os.mkfifo(str(tmp_path / "pipe"))
        for name, kind in ((".", "unreadable"), ("pipe", "unreadable"), ("x" * 5000, "unreadable")):
            assert look((tmp_path / name, False)).kind == kind

    def test_one_colour(self, tmp_path):
        for name, image, blank in (
            ("flat", np.full((50, 40, 3), 200, np.uint8), True),
            ("not", picture(40, 50), False),
        ):
            (tmp_path / name).write_bytes(encoded(".jpg", image))
            assert look((tmp_path / name, False)).blank is blank


class TestAllFiles:
    def test_sizes_over_the_usable_files_only(self, of_files):
        sizes = [(300, 220), (500, 600), (90, 60), (2100, 500)]
        files = {f"{n}.png": encoded(".png", picture(*size)) for n, size in enumerate(sizes)}
        files["5.jpg"], files["6.jpg"] = None, b""
        found = of_files(files)
        assert found.usable.tolist() == [0, 1, 2, 3]
        assert found.problems == [4, 5]
        assert found.kinds == {"missing": 1, "damaged": 1}
        assert found.percentiles["shorter side"] == np.percentile([220, 500, 60, 500], PERCENTILES).tolist()
        assert found.percentiles["width"][-1] == 2100
        assert found.below == {224: 2, 256: 2, 480: 2}
        assert found.long == [3]
        assert found.n_sizes == 4
        assert found.total_bytes == sum(len(data or b"") for data in files.values())

    def test_formats_colours_bits_and_names_that_say_another_format(self, of_files):
        found = of_files(
            {
                "a.jpg": encoded(".jpg", picture(50, 40)),
                "b.jpg": encoded(".png", picture(50, 40)),
                "C.JPEG": turned_jpeg(picture(50, 40, 1), 3),
                "d.png": encoded(".png", picture(50, 40, 4, np.uint16)),
            }
        )
        assert found.formats == {"JPEG": 2, "PNG": 2}
        assert found.colours == {"colour": 2, "grey": 1, "with transparency": 1}
        assert found.bits == {"8": 3, "16": 1}
        assert (found.turned, found.misnamed) == (1, [1])

    def test_duplicates_and_whether_the_manifest_treats_them_alike(self, of_files):
        one, two, three = (encoded(".png", picture(50, 40)) for _ in range(3))
        files = {"a": one, "b": two, "c": one, "d": three, "e": two, "f": two, "g": b"", "h": b""}
        labels = ["l;m,x,p1", "l,x,p1", "m;l,x,p1", "l,x,p1", "l,x,p2", "m,x,p1", "l,x,p1", "l,x,p1"]
        found = of_files(files, labels, fold_of=[0, 0, 0, 1, 1, 2, 0, 0]).duplicates
        assert [(one.rows, one.same_labels, one.same_group, one.folds) for one in found] == [
            ((0, 2), True, True, 1),
            ((1, 4, 5), False, False, 3),
        ]

    def test_no_file_can_be_used(self, of_files):
        found = of_files({"a.jpg": b"", "b.jpg": b"no"})
        assert (len(found.usable), found.percentiles["width"], found.below[256]) == (0, [], 0)

    def test_the_wrong_folder_is_refused_before_anything_is_read(self, tmp_path):
        (tmp_path / "manifest.csv").write_text("image,lesions,location\na.jpg,l,x\nb.jpg,l,x\n")
        manifest = read_manifest(tmp_path / "manifest.csv")
        with pytest.raises(InputError, match="has none of the 2 images"):
            look_at_files(manifest, tmp_path, (), 1)
        with pytest.raises(InputError, match="no such folder"):
            look_at_files(manifest, tmp_path / "manifest.csv", (), 1)


def test_a_contact_sheet_has_each_thumbnail_in_its_place(tmp_path):
    colours = [(250, 20, 20), (20, 250, 20), (20, 20, 250)] * 3
    facts = []
    for n, colour in enumerate(colours):
        (tmp_path / f"{n}.png").write_bytes(encoded(".png", np.full((300, 300, 3), colour, np.uint8)))
        facts.append(look((tmp_path / f"{n}.png", True)))
    facts.append(FileFacts(kind="missing"))
    sheet, boxes = contact_sheet(facts, [(f"$x_{n}$ 腕.png", f"group {n}") for n in range(10)], "lesion: <b>")
    for n, colour in enumerate(colours):
        shown = (np.abs(sheet.astype(int) - colour).max(axis=2) < 12).sum(axis=0)
        assert abs(shown.sum() - colours.count(colour) * TILE * TILE) < 0.02 * shown.sum()
        at = n % COLUMNS
        assert shown[int((at + 0.5) * sheet.shape[1] / COLUMNS)] >= TILE - 2
        left, top, width, height = boxes[n]
        cut_out = sheet[top : top + height, left : left + width].astype(int)
        assert (width, height) == (TILE, TILE) and np.abs(cut_out - colour).max() < 12
    assert (sheet == 232).all(axis=2).sum() > 0.9 * TILE * TILE  # the missing one
