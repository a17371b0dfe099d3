"""Words that mean nothing, names that cannot stand as they are, and patients under two spellings, in every importer."""

from __future__ import annotations

import json

import pytest
from made_importer import importer_of

from caffe_files.errors import InputError
from skinmtl.data.manifest import read_manifest
from skinmtl.importers.importing import import_dataset
from skinmtl.importers.labels import SiteMap
from skinmtl.importers.registry import importers
from skinmtl.importers.report import summary, write_import

NOTHING = ["nan", "N/A", "#N/A", "#REF!", "-", "?", ".", "n.a.", "null", "None", "unknown", "UNK"]


@pytest.fixture
def take(tmp_path):
    """Imports made rows without images."""

    def take(*rows, keep_words=()):
        return import_dataset(importer_of(rows), tmp_path, metadata_only=True, keep_words=keep_words)

    return take


GOOD = ("1.jpg", ("naevus",), ("arm",), "p1")


@pytest.mark.parametrize("word", NOTHING)
def test_a_word_that_means_nothing_is_no_label_no_site_no_patient_and_no_image(take, word):
    imported = take(
        GOOD,
        ("2.jpg", (word,), ("arm",), "p1"),
        ("3.jpg", ("naevus", word), ("arm", word), word),
        ("4.jpg", ("naevus",), (word,), "p1"),
        (word, ("naevus",), ("arm",), "p1"),
    )
    assert [(row.image, row.lesions, row.location, row.group) for row in imported.manifest.rows] == [
        ("1.jpg", ("naevus",), "arm", "p1"),
        ("3.jpg", ("naevus",), "arm", "3.jpg"),
    ]
    assert imported.reasons() == {"no image named": 1, "unknown lesion": 1, "unknown site": 1}
    counted = summary(imported)["noticed"]["words_that_mean_nothing"]
    assert counted == {f"{word!r} in groups": 1, f"{word!r} in lesions": 2, f"{word!r} in locations": 2}


def test_a_word_that_is_a_name_is_kept_and_later_tools_need_not_be_told(take, tmp_path):
    rows = [GOOD, ("2.jpg", ("None",), ("unknown",), "NA"), ("3.jpg", ("None",), ("arm",), "NA")]
    imported = take(*rows, keep_words=["none", "Unknown", "na"])
    write_import(imported, tmp_path / "out", {})
    manifest = read_manifest(tmp_path / "out" / "manifest.csv")
    assert (manifest.lesion_names, manifest.location_names) == (("None", "naevus"), ("arm", "unknown"))
    assert [row.group for row in manifest.rows] == ["p1", "group:NA", "group:NA"]
    assert manifest.notes == ()


def test_labels_become_names_by_the_one_rule_and_the_change_is_told(take):
    imported = take(
        ("1.jpg", ("blue\u00a0nae\u0300vus", "a\u200bb"), ("left\u3000arm",)), ("2.jpg", ("a\u00adb",), ("arm",))
    )
    assert imported.manifest.lesion_names == ("ab", "blue na\u00e8vus")
    assert imported.manifest.location_names == ("arm", "left arm")
    changed = summary(imported)["noticed"]["labels_changed"]
    assert {"from": "a\u00adb", "to": "ab", "times": 1} in changed
    assert len(changed) == 4


def test_patients_that_may_be_one_are_told(take, tmp_path):
    rows = [
        (f"{n}.jpg", ("a",), ("arm",), group)
        for n, group in enumerate(["P1", "p1", "12", "12.0", "e\u0301", "\u00e9 "])
    ]
    imported = take(*rows)
    assert len({row.group for row in imported.manifest.rows}) == 5
    assert summary(imported)["noticed"]["look_alike_groups"] == [("P1", "p1"), ("12", "12.0")]
    write_import(imported, tmp_path / "out", {})
    assert r"look alike groups: 2 (P1 \| p1; 12 \| 12.0)" in (tmp_path / "out" / "import.md").read_text(
        encoding="utf-8"
    )


@pytest.fixture
def table(tmp_path):
    """A function that writes table.csv and imports it as any table."""

    def take(text, **options):
        (tmp_path / "table.csv").write_text(text, encoding="utf-8")
        columns = {"image_column": "image", "lesion_column": ("lesion",), "location_column": "site", **options}
        return import_dataset(importers()["csv"], tmp_path, columns, metadata_only=True)

    return take


def test_what_excel_writes_is_passed_over_and_told(table):
    imported = table("sep=,\nimage,lesion,site,\n1.jpg,a,arm,\n,,,\n   \n2.jpg,a,leg,,,\n3.jpg,#N/A,leg\n")
    assert [row.image for row in imported.manifest.rows] == ["1.jpg", "2.jpg"]
    assert imported.reasons() == {"unknown lesion": 1}
    noticed = " ".join(summary(imported)["noticed"]["lines_and_columns_passed_over"])
    assert all(words in noticed for words in ("no header", "2 lines of commas", "1 line with more commas"))


def test_a_table_with_patients_says_whose_the_images_are(table):
    text = "image,lesion,site,patient_id\n1.jpg,a,arm,p\n2.jpg,a,leg,p\n"
    with pytest.raises(InputError, match=r"table\.csv:1: 'patient_id' may say .* give --group-column patient_id, or"):
        table(text)
    assert {row.group for row in table(text, group_column=("patient_id",)).manifest.rows} == {"p"}
    assert {row.group for row in table(text, group_column=("image",)).manifest.rows} == {"1.jpg", "2.jpg"}


def test_a_site_maps_kind_under_another_name_is_refused(tmp_path):
    (tmp_path / "map.csv").write_text("from,to,Kind\na,b,lesion-merge\n")
    with pytest.raises(InputError, match=r"map\.csv:1: no column 'kind', but 'Kind'"):
        SiteMap(tmp_path / "map.csv")


def test_the_tool_keeps_a_word_that_is_asked_for(tool, tmp_path):
    (tmp_path / "table.csv").write_text("image,lesion,site\n1.jpg,none,arm\n2.jpg,nan,arm\n")
    columns = ["--image-column", "image", "--lesion-column", "lesion", "--location-column", "site"]
    command = ["import_dataset.py", "csv", "--root", tmp_path, *columns, "--metadata-only", "--keep-word", "none"]
    done = tool(*command, "--out", tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    record = json.loads((tmp_path / "out" / "import.json").read_text(encoding="utf-8"))
    assert (record["lesions"], record["dropped"]) == ({"none": 1}, {"unknown lesion": 1})
    assert record["noticed"]["words_that_mean_nothing"] == {"'nan' in lesions": 1}
