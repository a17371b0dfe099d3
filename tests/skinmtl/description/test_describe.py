"""tools/describe.py as a user runs it, and the page that it makes."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
from conftest import ROOT
from usage_errors import usage_errors

from caffe_files.errors import InputError
from skinmtl.description.page import short_text
from skinmtl.description.sections import shortened, width
from skinmtl.description.write import Request, describe

LESIONS = ["<b>naevus</b> & co", "it's $x$ {{ 7*7 }}", "x" * 3000, "白癜風", "Naevus", "naevus"]
LOCATIONS = ["<i>arm</i>", 'the "leg"']
NAMES = ["<img src=x onerror=alert(1)>.jpg", "ünï côdé 写真.png", "long " + "y" * 200 + ".jpg", "it's $a$ #1 %41?.bmp"]
FILES = {
    *("index.html", "description.txt", "description.json", "labels.csv", "lesion_by_lesion.csv", "images.csv"),
    *("lesion_by_location.csv", "problems.csv", "duplicates.csv", "sheets"),
    *("lesions.png", "locations.png", "lesion_by_lesion.png", "lesion_by_location.png", "sizes.png"),
    ".made.json",
}


class Page(HTMLParser):
    """The tags of a page, well nested, what they load and lead to, and the text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.loaded, self.ids, self.text = [], [], [], [], ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in ("meta", "img", "br", "link", "wbr"):
            self.open.append(tag)
        self.loaded += [value for name, value in attributes if name in ("src", "href")]
        self.ids += [value for name, value in attributes if name == "id"]
        assert not any(name.startswith("on") for name, _ in attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data if self.open[-1:] != ["style"] else ""


def read(path):
    with open(str(path), encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """24 images with names that anybody may write; a missing, a damaged one, and two that are there twice."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "images").mkdir()
    rows = [["image", "lesions", "location", "group"]]
    for n in range(24):
        name = NAMES[n] if n < len(NAMES) else f"{n}.png"
        noise = np.random.RandomState(n).randint(0, 256, (4, 4, 3)).astype(np.uint8)
        data = cv2.imencode(name[-4:], cv2.resize(noise, (120 + 30 * n, 90 + 20 * n)))[1].tobytes()
        if n != 20:
            (folder / "images" / name).write_bytes(data[:99] if n == 21 else data)
        lesions = [LESIONS[n % 6], *([LESIONS[0]] if n % 6 and n % 4 == 0 else [])]
        rows.append([name, ";".join(lesions), LOCATIONS[n % 2], f"<u>{n // 4}"])
    for n, copied in ((10, 13), (12, 18)):
        shutil.copy(str(folder / "images" / f"{n}.png"), str(folder / "images" / f"{copied}.png"))
    with open(str(folder / "manifest.csv"), "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    with open(str(folder / "folds.csv"), "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["image", "fold"], *([row[0], n % 2] for n, row in enumerate(rows[1:]))])
    return folder


@pytest.fixture(scope="module")
def made(data, tool, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "out"
    arguments = (
        "--images",
        data / "images",
        "--folds",
        data / "folds.csv",
        "--sheet",
        4,
        "--workers",
        1,
        "--out",
        out,
        "--fail-if-unusable",
    )
    return tool("describe.py", "--manifest", data / "manifest.csv", *arguments), out


@pytest.fixture()
def html(made):
    return (made[1] / "index.html").read_text(encoding="utf-8")


@pytest.fixture()
def no_charts(monkeypatch):
    """For tests that look at no chart: drawing is most of the time."""
    monkeypatch.setattr("skinmtl.description.charts.save_picture", lambda figure, path: (1, 1))


def described(data, out, images=True, folds=None, per_sheet=0):
    request = Request(data / "manifest.csv", data / "images" if images else None, folds, per_sheet, 1, 1)
    return describe(request, out, {})


class TestTool:
    def test_strict_makes_the_description_and_then_exits_with_1(self, made):
        done, out = made
        assert done.returncode == 1
        assert done.stderr.splitlines() == [
            f"describe.py: {out / 'problems.csv'}: 2 of 24 images cannot be used; "
            "mend them or take their lines out of the manifest"
        ]
        assert {path.name for path in out.iterdir()} == FILES

    def test_it_prints_what_needs_a_look(self, made):
        done, _ = made
        first, *others = done.stdout.splitlines()
        assert first == "24 images, 6 groups, 6 lesions, 2 body locations, 2 folds"
        for words in (
            "2 images of 24 cannot be used (1 missing, 1 damaged)",
            "4 files in 2 sets are the same byte for byte",
            "labels differ within 1 of 2 sets of equal files: some of them are wrong",
            "groups differ within 2 of 2 sets of equal files: folds by group can leak",
            "folds differ within 1 of 2 sets of equal files: the test set leaks",
            "6 groups in more than one fold",
            "“Naevus” and “naevus”",
            "6 lesions with fewer than 10 images (the paper drops such a lesion): ",
        ):
            assert any(words in line for line in others), words
        assert max(map(width, others)) < 600  # no 3,000 characters of a name

    def test_the_problems_and_the_duplicates_are_listed(self, made):
        _, out = made
        assert [(row["line"], row["image"], row["kind"]) for row in read(out / "problems.csv")] == [
            ("22", "20.png", "missing"),
            ("23", "21.png", "damaged"),
        ]
        rows = read(out / "duplicates.csv")
        assert [(row["set"], row["image"], row["same_labels"], row["same_group"], row["fold"]) for row in rows] == [
            ("1", "10.png", "0", "0", "0"),
            ("1", "13.png", "0", "0", "1"),
            ("2", "12.png", "1", "0", "0"),
            ("2", "18.png", "1", "0", "0"),
        ]

    def test_the_numbers_are_those_of_the_manifest(self, made, data):
        _, out = made
        rows = read(data / "manifest.csv")
        record = json.loads((out / "description.json").read_text(encoding="utf-8"))
        for row in read(out / "labels.csv"):
            has = [one for one in rows if row["name"] in (*one["lesions"].split(";"), one["location"])]
            assert (int(row["images"]), int(row["groups"])) == (len(has), len({one["group"] for one in has}))
            assert int(row["fold 0"]) + int(row["fold 1"]) == len(has)
        assert [each["name"] for each in record["labels"]["lesions"]] == sorted(LESIONS)
        assert (record["files"]["looked_at"], record["files"]["usable"]) == (24, 22)
        assert record["arguments"]["fail_if_unusable"] is True and len(record["inputs_sha256"]) == 2
        images = {row["image"]: row for row in read(out / "images.csv")}
        assert (images["5.png"]["width"], images["5.png"]["height"], images["5.png"]["format"]) == ("270", "190", "PNG")

    def test_the_text_has_every_section(self, made):
        _, out = made
        text = (out / "description.txt").read_text(encoding="utf-8")
        titles = ("Lesions", "Body locations", "Groups", "Names that may be one label", "Folds", "Image sizes")
        for title in (*titles, "Files that cannot be used", "Files that are there twice"):
            assert f"\n{title}\n" in text
        assert max(map(width, text.splitlines())) < 600


class TestPage:
    def test_it_is_well_formed_and_loads_only_what_is_beside_it(self, made, html):
        page = Page(html)
        assert len(set(page.ids)) == len(page.ids)
        assert "script" not in page.tags
        for target in page.loaded:
            if target.startswith("#"):
                assert target[1:] in page.ids
            else:
                assert (made[1] / unquote(target)).is_file(), target

    def test_names_are_shown_as_they_are_written(self, html):
        page = Page(html)
        for name in (*LESIONS, *LOCATIONS, "<u>0"):
            assert shortened(name, 90) in page.text
        for name in NAMES:
            assert name in page.text
        for tag in ("<b>", "<i>", "<u>", "<img src=x"):
            assert tag not in html

    def test_each_label_has_its_contact_sheet(self, made, html):
        record = json.loads((made[1] / "description.json").read_text(encoding="utf-8"))
        sheets = [one for kind in ("lesion", "location") for one in record["sheets"][kind]]
        assert len(sheets) == len(LESIONS) + len(LOCATIONS)
        assert {path.name for path in (made[1] / "sheets").iterdir()} == {one["file"] for one in sheets}
        for one in sheets:
            assert f'src="sheets/{one["file"]}"' in html
            assert one["file"].isascii() and len(one["file"]) < 80 and len(one["images"]) == 4
            assert cv2.imread(str(made[1] / "sheets" / one["file"])).shape == (290, 850, 3)


class TestLibrary:
    def test_the_same_input_gives_the_same_files(self, data, tmp_path, no_charts):
        for out in ("a", "b"):
            described(data, tmp_path / out, folds=data / "folds.csv", per_sheet=3)
        for path in (path for path in (tmp_path / "a").rglob("*") if path.is_file()):
            assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes(), path

    def test_without_images_only_the_labels_are_described(self, data, tmp_path, no_charts):
        found = described(data, tmp_path / "out", images=False, per_sheet=5)
        assert (found.files, found.sheets) == (None, {})
        assert "not looked at" in short_text(found)[1]
        assert not (tmp_path / "out" / "images.csv").exists()
        page = Page((tmp_path / "out" / "index.html").read_text(encoding="utf-8"))
        assert "sizes.png" not in page.loaded and "sheets" not in page.ids

    @pytest.mark.parametrize("lesions", ["l", "l;m"])
    def test_one_image_is_enough(self, tmp_path, lesions):
        (tmp_path / "images").mkdir()
        cv2.imwrite(str(tmp_path / "images" / "a.png"), np.arange(300 * 300 * 3).reshape(300, 300, 3) % 251)
        (tmp_path / "manifest.csv").write_text(f"image,lesions,location\na.png,{lesions},x\n")
        assert described(tmp_path, tmp_path / "out", per_sheet=2).files.problems == []
        Page((tmp_path / "out" / "index.html").read_text(encoding="utf-8"))

    def test_nothing_usable_and_a_lesion_without_image(self, tmp_path, no_charts):
        (tmp_path / "images").mkdir()
        (tmp_path / "images" / "a.png").touch()
        (tmp_path / "manifest.csv").write_text("image,lesions,location\na.png,l,x\nb.png,l,x\n")
        (tmp_path / "lesions.txt").write_text("l\nunseen\n")
        found = described(tmp_path, tmp_path / "out", per_sheet=2)
        assert len(found.files.problems) == 2
        assert found.sheets["lesion"][1] == ("", ())
        assert any("1 lesion with no image at all" in line for line in short_text(found))

    def test_many_labels_and_group_sizes_are_cut_with_a_word(self, tmp_path, monkeypatch):
        monkeypatch.setattr("skinmtl.description.charts.BARS", 20)  # not 100: quicker to draw
        monkeypatch.setattr("skinmtl.description.charts.CELLS", 10)
        lines = ["image,lesions,location,group"]
        for group in range(20):
            lines += [f"{group}-{n}.jpg,lesion {group}{n % 7};l,x,p{group}" for n in range(group + 1)]
        (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
        found = described(tmp_path, tmp_path / "out", images=False)
        assert len(found.labels.lesions.names) > 100
        page = Page((tmp_path / "out" / "index.html").read_text(encoding="utf-8"))
        for words in ("8 to 15", "16 to 31", "The 20 most frequent of", "lesion_by_lesion.csv has all"):
            assert words in page.text
        for name in ("lesions.png", "lesion_by_lesion.png", "lesion_by_location.png"):
            assert max(cv2.imread(str(tmp_path / "out" / name)).shape) < 1500  # ten inches

    def test_refused_input_leaves_nothing(self, data, tmp_path):
        (tmp_path / "there").mkdir()
        with pytest.raises(InputError, match="exists already"):
            described(data, tmp_path / "there")
        shutil.copy(str(data / "manifest.csv"), str(tmp_path))
        (tmp_path / "images").mkdir()
        with pytest.raises(InputError, match="has none of the 24 images"):
            described(tmp_path, tmp_path / "out")
        assert {path.name for path in tmp_path.iterdir()} == {"there", "manifest.csv", "images"}


def test_wrong_use_is_a_usage_error(tmp_path):
    command_lines = [
        ["--manifest", "manifest.csv", "--out", "out", *flags] for flags in (["--fail-if-unusable"], ["--sheet", 301])
    ]
    assert usage_errors("describe", command_lines, tmp_path) == [
        "--fail-if-unusable needs --images",
        "--sheet: at most 300 images fit on a contact sheet",
    ]


def test_a_manifest_that_is_not_there(tool, refused, tmp_path):
    refused(
        tool("describe.py", "--manifest", tmp_path / "no.csv", "--out", tmp_path / "out"), "no.csv", "cannot be read"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_run_leaves_nothing(data, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    lines = ["image,lesions,location"]
    for n in range(4000):
        (images / f"{n}.png").symlink_to(data / "images" / "19.png")
        lines.append(f"{n}.png,l,x")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    command = [sys.executable, str(ROOT / "tools" / "describe.py"), "--manifest", str(tmp_path / "manifest.csv")]
    command += ["--images", str(images), "--out", str(tmp_path / "out"), "--workers", "2"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not list(tmp_path.glob(".out.*")) and run.poll() is None:
        time.sleep(0.05)
    time.sleep(0.3)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said
    assert said.decode().splitlines()[-1] == "describe.py: stopped by SIGINT"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "manifest.csv"]
