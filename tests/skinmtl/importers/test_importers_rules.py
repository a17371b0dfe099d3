"""What holds for every importer: which rows are kept, which are dropped and for what reason, and that none is lost."""

from __future__ import annotations

from collections import Counter

import pytest
from made_importer import TABLE, importer_of

from caffe_files.errors import InputError
from skinmtl.data.manifest import read_manifest
from skinmtl.importers.files import Files
from skinmtl.importers.importer import Found
from skinmtl.importers.importing import import_dataset
from skinmtl.importers.labels import SiteMap
from skinmtl.importers.report import summary, write_import
from skinmtl.importers.source import Source


@pytest.fixture
def take(tmp_path):
    """Imports made rows without images; returns what came of them."""

    def take(*rows, site_map=None, **fields):
        path = None
        if site_map is not None:
            path = tmp_path / "map.csv"
            path.write_text(site_map, encoding="utf-8")
        imported = import_dataset(importer_of(rows, **fields), tmp_path, metadata_only=True, site_map=path)
        assert imported.rows_read == len(rows) == len(imported.manifest.rows) + len(imported.dropped)
        assert sum(imported.reasons().values()) == len(imported.dropped)
        return imported

    return take


def kept(imported):
    return [(row.image, ";".join(row.lesions), row.location, row.group) for row in imported.manifest.rows]


def dropped(imported):
    return [(row.line, row.image, row.reason) for row in imported.dropped]


GOOD = ("1.jpg", ("naevus",), ("arm",))


class TestSites:
    def test_a_row_needs_one_known_site(self, take):
        imported = take(
            GOOD,
            ("2.jpg", ("naevus",), ()),
            ("3.jpg", ("naevus",), (" ",)),
            ("4.jpg", ("naevus",), ("Unknown",)),
            ("5.jpg", ("naevus",), ("arm", "leg")),
        )
        assert dropped(imported) == [
            (3, "2.jpg", "no site"),
            (4, "3.jpg", "no site"),
            (5, "4.jpg", "unknown site"),
            (6, "5.jpg", "several sites"),
        ]
        assert imported.reasons() == {"no site": 2, "unknown site": 1, "several sites": 1}

    def test_an_unknown_site_falls_away_beside_a_known_one_and_a_repeated_one_counts_once(self, take):
        imported = take(("1.jpg", ("a",), ("unknown", "arm")), ("2.jpg", ("a",), ("leg", " leg ")))
        assert [row.location for row in imported.manifest.rows] == ["arm", "leg"]

    def test_near_synonyms_stay_apart_and_are_pointed_out(self, take):
        imported = take(("1.jpg", ("a",), ("Back",)), ("2.jpg", ("a",), ("back",)), ("3.jpg", ("a",), ("Dorsum",)))
        assert imported.manifest.location_names == ("Back", "Dorsum", "back")
        assert summary(imported)["noticed"]["look_alike_locations"] == [("Back", "back")]

    def test_one_lesion_with_several_sites_keeps_them_and_is_listed(self, take):
        named = ((2, "arm", "L1"), (3, "leg", "L1"), (4, "arm", "N/A"), (5, "leg", "N/A"))
        rows = [Found(TABLE, n, f"{n}.jpg", ("a",), (site,), lesion_id=lesion) for n, site, lesion in named]
        imported = take(*rows, GOOD)
        assert len(imported.manifest.rows) == 5
        assert summary(imported)["noticed"]["lesions_with_several_sites"] == {"L1": ["arm", "leg"]}


class TestSiteMap:
    ROWS = (
        ("1.jpg", ("a",), ("cheek", "nose")),
        ("2.jpg", ("a",), ("unknown",)),
        ("3.jpg", ("a",), ()),
        ("4.jpg", ("a",), ("arm", "leg")),
        ("5.jpg", ("a",), ("leg", "other")),
        ("6.jpg", ("a",), ("other",)),
    )

    def test_it_comes_before_the_rules_about_sites(self, take):
        names = "from,to\ncheek,face\nnose,face\nunknown,anywhere\n,anywhere\nleg;arm,limbs\nother,\nknee,leg\n"
        imported = take(*self.ROWS, site_map=names)
        assert [row.location for row in imported.manifest.rows] == ["face", "anywhere", "anywhere", "limbs", "leg"]
        assert dropped(imported) == [(7, "6.jpg", "site left out by the map")]
        noticed = summary(imported)["noticed"]
        assert noticed["site_map_entries_that_no_row_had"] == ["knee"]
        assert noticed["rows_changed_by_the_site_map"]["leg;arm"] == 1

    def test_of_a_map_for_refine_labels_only_the_lines_for_sites_count(self, take):
        imported = take(("1.jpg", ("a",), ("a",)), site_map="from,to,kind\na,b,lesion-merge\na,c,site-merge\n")
        assert kept(imported) == [("1.jpg", "a", "c", "1.jpg")]

    @pytest.mark.parametrize(
        "text, words",
        [
            ("from,too\na,b\n", ["map.csv:1:", "'to'", "'too' is near"]),
            ("from,to\na,b\na,c\n", ["map.csv:3:", "two names"]),
            ("from,to\na,b;c\n", ["map.csv:2:", "more than one site"]),
            ("from,to\n", ["map.csv: no line for a body site"]),
            ("from,to,kind\na,b,lesion-merge\n", ["map.csv: no line for a body site"]),
        ],
    )
    def test_a_map_that_cannot_be_followed(self, tmp_path, text, words):
        (tmp_path / "map.csv").write_text(text)
        with pytest.raises(InputError) as error:
            SiteMap(tmp_path / "map.csv")
        assert all(word in str(error.value) for word in words)


class TestLabels:
    def test_white_space_is_tidied_and_a_semicolon_inside_a_label_becomes_a_comma(self, take):
        imported = take(
            ("1.jpg", (" a  b ", "c;d", "c; d"), ("head/neck",)),
            ("2.jpg", ("tinea, of the foot", "a b", "x\ty"), ("left,  upper; arm",)),
        )
        assert imported.manifest.lesion_names == ("a b", "c, d", "c,d", "tinea, of the foot", "x y")
        assert imported.manifest.location_names == ("head/neck", "left, upper, arm")
        changed = {(each["from"], each["to"]): each["times"] for each in summary(imported)["noticed"]["labels_changed"]}
        assert changed[("c;d", "c,d")] == 1
        assert changed[("a  b", "a b")] == 1
        assert (" a b", "a b") not in changed

    @pytest.mark.parametrize("lesions", [(), ("",), (" ", ";"), ("\x00",)])
    def test_no_lesion(self, take, lesions):
        assert dropped(take(GOOD, ("2.jpg", lesions, ("arm",)))) == [(3, "2.jpg", "no lesion label")]

    def test_a_lesion_named_twice_counts_once(self, take):
        assert take(("1.jpg", ("a", "b", " a"), ("arm",))).manifest.rows[0].lesions == ("a", "b")


class TestGroups:
    def test_the_group_given_else_the_image_itself_and_never_one_empty_group(self, take):
        imported = take((*GOOD, "p1"), ("2.jpg", ("a",), ("arm",), " "), ("3", ("a",), ("arm",)))
        assert [row.group for row in imported.manifest.rows] == ["p1", "2.jpg", "3.jpg"]

    def test_a_lesion_is_never_taken_for_a_patient_of_that_name(self, tmp_path):
        group_of = Source(Files(tmp_path), {}).group_of
        assert group_of("7", lesion="8") == "7"
        assert group_of("", lesion="7", case="9") == "lesion:7"
        assert group_of("", lesion="", case="9") == "case:9"
        assert group_of("", lesion="") == ""

    @pytest.mark.parametrize("nobody", ["N/A", "nan", "None", " unknown "])
    def test_a_cell_that_says_unknown_is_nobodys_name(self, take, tmp_path, nobody):
        imported = take((*GOOD, nobody), ("2", ("a",), ("arm",), nobody), ("3", ("a",), ("arm",), "p1"))
        assert [row.group for row in imported.manifest.rows] == ["1.jpg", "2.jpg", "p1"]
        assert summary(imported)["noticed"]["rows_without_a_group_so_that_each_is_its_own"] == 2
        group_of = Source(Files(tmp_path), {}).group_of
        assert group_of(nobody.strip(), lesion=nobody.strip(), case="9") == "case:9"

    def test_groups_that_share_an_image_become_one(self, take):
        rows = [("1.jpg", "p1"), ("1.jpg", "p2"), ("2.jpg", "p2"), ("3.jpg", "p3"), ("2.jpg", "p3"), ("4.jpg", "p4")]
        imported = take(*((image, ("a",), ("arm",), group) for image, group in rows))
        assert {row.image: row.group for row in imported.manifest.rows} == {
            **{"1.jpg": "p1", "2.jpg": "p1", "3.jpg": "p1", "4.jpg": "p4"}
        }
        assert summary(imported)["noticed"]["groups_joined_since_they_share_an_image"] == 2

    def test_an_image_on_a_row_that_is_dropped_joins_groups_too(self, take):
        imported = take(
            ("1.jpg", ("a",), ("arm",), "p1"),
            ("1.jpg", ("a",), (), "p2"),
            ("2.jpg", ("a",), ("arm",), "p2"),
            ("", ("a",), ("arm",), "p3"),
            ("", ("a",), ("arm",), "p4"),
            ("3.jpg", ("a",), ("arm",), "p4"),
        )
        assert [row.group for row in imported.manifest.rows] == ["p1", "p1", "p4"]


class TestDuplicates:
    def test_the_first_of_rows_that_agree_is_kept(self, take):
        imported = take(("1", ("a", "b"), ("arm",)), ("1.jpg", ("b", "a"), ("arm",)), ("2", ("a",), ("arm",)))
        assert kept(imported) == [("1.jpg", "a;b", "arm", "1.jpg"), ("2.jpg", "a", "arm", "2.jpg")]
        assert [(row.line, row.reason, row.detail) for row in imported.dropped] == [
            (3, "duplicate", "1.jpg: as table.csv:2")
        ]

    def test_of_rows_that_disagree_none_is_kept(self, take):
        imported = take(
            ("1", ("a",), ("arm",)), ("1", ("a",), ("leg",)), ("1", ("a",), ("arm",)), ("2", ("a",), ("arm",))
        )
        assert imported.reasons() == {"contradictory duplicate": 3}
        assert [row.detail for row in imported.dropped][:2] == ["1.jpg: a / arm", "1.jpg: a / leg"]

    def test_a_row_that_cannot_be_used_contradicts_nothing(self, take):
        imported = take(("1", ("a",), ("arm",)), ("1", ("b",), ()))
        assert (len(imported.manifest.rows), imported.reasons()) == (1, {"no site": 1})


class TestOtherRows:
    @pytest.mark.parametrize("image", ["/data/1.jpg", "../1.jpg", "C:\\1.jpg", "a\x01.jpg"])
    def test_an_image_name_that_cannot_stand_in_a_manifest(self, take, image):
        assert dropped(take(GOOD, (image, ("a",), ("arm",)))) == [(3, image, "unusable image name")]

    def test_no_image_and_what_the_importer_itself_finds_wrong(self, take):
        rows = [("", ("a",), ("arm",)), Found(TABLE, 9, "3", (), (), problem="unreadable label", detail="{{")]
        imported = take(GOOD, *rows)
        assert imported.reasons() == {"unreadable label": 1, "no image named": 1}
        assert imported.dropped[1].detail == "{{"

    def test_none_kept_says_why(self, tmp_path):
        with pytest.raises(InputError, match=r"of 2 rows none can be kept: 1 no lesion label, 1 no site; correct"):
            rows = [("1", (), ("arm",)), ("2", ("a",), ())]
            import_dataset(importer_of(rows), tmp_path, metadata_only=True)
        with pytest.raises(InputError, match="of 0 rows none can be kept: the tables have none"):
            import_dataset(importer_of([]), tmp_path, metadata_only=True)

    def test_another_column_is_kept_and_never_takes_the_place_of_a_known_one(self, take, tmp_path):
        imported = take(Found(TABLE, 2, "1", ("a",), ("arm",), others={"group": "x", "age": " 7"}))
        write_import(imported, tmp_path / "out", {})
        again = read_manifest(tmp_path / "out" / "manifest.csv")
        assert (again.rows[0].group, dict(again.rows[0].others)) == ("1.jpg", {"source_group": "x", "age": "7"})


def test_the_report_adds_up(take, tmp_path):
    imported = take(GOOD, ("2", ("a", "b"), ("leg",)), ("3", ("a",), ()), ("|4|", (), ("arm",)))
    write_import(imported, tmp_path / "out", {})
    record = summary(imported)
    assert record["rows_read"] == record["rows_kept"] + record["rows_dropped"] == 4
    assert record["lesions"] == {"a": 1, "b": 1, "naevus": 1}
    assert record["locations"] == {"arm": 1, "leg": 1}
    assert (record["groups"], record["rows_with_several_lesions"]) == (2, 1)
    text = (tmp_path / "out" / "import.md").read_text(encoding="utf-8")
    assert "### no site: 1" in text
    assert "| table.csv:5 | \\|4\\| |  |" in text
    lines = (tmp_path / "out" / "dropped.csv").read_text(encoding="utf-8").splitlines()
    assert lines == ["file,line,image,reason,detail", "table.csv,4,3,no site,", "table.csv,5,|4|,no lesion label,"]
    assert Counter(path.name for path in (tmp_path / "out").iterdir()) == Counter(
        ["manifest.csv", "lesions.txt", "locations.txt", "dropped.csv", "import.json", "import.md", ".made.json"]
    )
