"""The `csv` importer: any table, its columns named by flags; and what a table can have wrong with it."""

from __future__ import annotations

import pytest

from caffe_files.errors import InputError
from skinmtl.importers.importing import import_dataset
from skinmtl.importers.registry import importers
from skinmtl.importers.report import summary

COLUMNS = {"image_column": "id", "lesion_column": ("what",), "location_column": "where"}


@pytest.fixture
def take(tmp_path):
    def take(text, name="table.csv", encoding="utf-8", rows=None, **options):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
        options = {**COLUMNS, **options}
        imported = import_dataset(importers()["csv"], tmp_path, options, metadata_only=True, encoding=encoding)
        assert imported.rows_read == len(imported.manifest.rows) + len(imported.dropped)
        assert rows is None or imported.rows_read == rows
        return imported

    return take


def kept(imported):
    return [(row.image, ";".join(row.lesions), row.location, row.group) for row in imported.manifest.rows]


class TestColumns:
    def test_labels_of_several_columns_and_several_in_a_cell(self, take):
        imported = take(
            "id,what,more,where\n1,a; b,c,arm\n2.png,a,,leg\n3,,d,arm;leg\n",
            lesion_column=("what", "more"),
            rows=3,
        )
        assert kept(imported) == [("1.jpg", "a;b;c", "arm", "1.jpg"), ("2.png", "a", "leg", "2.png")]
        assert imported.reasons() == {"several sites": 1}

    def test_another_separator_and_none(self, take):
        text = 'id,what,where\n1,a|b;c,"arm, left"\n'
        assert take(text, separator="|").manifest.lesion_names == ("a", "b,c")
        assert take(text, separator="").manifest.lesion_names == ("a|b,c",)

    def test_columns_of_0_and_1(self, take):
        imported = take(
            "id,is_a,is_b c,at_arm,at_leg\n1,1,0,YES,\n2,0.0,1.0,,true\n3,1,2,1,0\n4,0,0,1,0\n",
            **{"lesion_column": (), "lesion_prefix": "is_", "location_column": None, "location_prefix": "at_"},
        )
        assert kept(imported) == [("1.jpg", "a", "arm", "1.jpg"), ("2.jpg", "b c", "leg", "2.jpg")]
        assert [(row.line, row.reason, row.detail) for row in imported.dropped] == [
            (4, "neither 0 nor 1", "is_b c=2"),
            (5, "no lesion label", ""),
        ]

    def test_groups_other_columns_and_lesions_with_several_sites(self, take):
        imported = take(
            "id,what,where,patient,lesion,age\n1,a,arm,7,x,3\n2,a,leg,NA,7,4\n3,a,leg,,nan,5\n4,a,leg,7,x,\n",
            group_column=("patient", "lesion"),
            keep_column=("age",),
            lesion_id_column="lesion",
            ending=".png",
        )
        assert [row.group for row in imported.manifest.rows] == ["7", "lesion:7", "3.png", "7"]
        assert [row.others["age"] for row in imported.manifest.rows] == ["3", "4", "5", ""]
        assert imported.lesion_sites == {"x": ("arm", "leg")}

    @pytest.mark.parametrize(
        "options, words",
        [
            ({"lesion_column": ()}, ["--lesion-column or --lesion-prefix"]),
            ({"location_column": None}, ["--location-column or --location-prefix"]),
            ({"lesion_prefix": "has_"}, ["'has_'", "--lesion-prefix"]),
            ({"group_column": ("patint",)}, ["no column 'patint'", "'patient' is near"]),
        ],
    )
    def test_flags_that_do_not_fit_the_table(self, take, options, words):
        with pytest.raises(InputError) as error:
            take("id,what,where,patient\n1,a,arm,7\n", **options)
        assert all(word in str(error.value) for word in words)


class TestTable:
    def test_the_only_one_or_the_one_that_is_named(self, take, tmp_path):
        assert take("id,what,where\n1,a,arm\n", "a [1].CSV").rows_read == 1
        with pytest.raises(InputError, match=r"2 tables, such as a \[1\].CSV and b.csv; name the one"):
            take("id,what,where\n2,a,arm\n", "b.csv")
        assert take("id,what,where\n2,a,arm\n", "b.csv", table="A [1].csv").manifest.rows[0].image == "1.jpg"
        (tmp_path / "old").mkdir()
        (tmp_path / "old" / "b.csv").write_text("id,what,where\n3,a,arm\n")
        with pytest.raises(InputError, match=r"b.csv has that name too, and differs"):
            take("id,what,where\n2,a,arm\n", "b.csv", table="b.csv")
        assert take("id,what,where\n2,a,arm\n", "b.csv", table="old/b.csv").manifest.rows[0].image == "3.jpg"
        assert take("id,what,where\n2,a,arm\n", "b.csv", table="elsewhere/a [1].csv").rows_read == 1
        with pytest.raises(InputError, match=r"no c.csv there or in its folders"):
            take("id,what,where\n2,a,arm\n", "b.csv", table="c.csv")

    @pytest.mark.parametrize(
        "text, options",
        [
            (b"\xef\xbb\xbfid,what,where\r\n1,n\xc3\xa6vus,arm\r\n", {}),
            (b"id;what;where\n1;n\xc3\xa6vus;arm\n", {"delimiter": ";", "separator": "|"}),
            (b"id\twhat\twhere\n1\tn\xc3\xa6vus\tarm\n", {"delimiter": "\t"}),
            (b"id,what,where\n1,n\xe6vus,arm\n", {"encoding": "cp1252"}),
            ("id,what,where\n1,n\xe6vus,arm\n".encode("utf-16"), {"encoding": "utf-16"}),
        ],
        ids=["byte order mark, CRLF", "semicolons", "tabs", "Windows", "UTF-16"],
    )
    def test_what_spreadsheets_write(self, take, text, options):
        assert kept(take(text, rows=1, **options)) == [("1.jpg", "n\xe6vus", "arm", "1.jpg")]

    @pytest.mark.parametrize(
        "text, options, words",
        [
            (b"id,what\n1,a\n", {}, [":1:", "no column 'where'"]),
            (b"id,What,where\n1,a,arm\n", {}, [":1:", "no column 'what'", "'What' is near"]),
            (b"id;what;where\n1;a;arm\n", {}, [":1:", "separator is ';'"]),
            (b"id,what,where,what\n1,a,arm,b\n", {}, [":1:", "more than one column 'what'"]),
            (b"id,what,where\n1,a,arm\n2,b\n", {}, [":3:", "2 fields where the header has 3"]),
            (b"id,what,where\n1,a;b,arm\n2,a;b;c,arm\n", {"delimiter": ";"}, [":1:", "separator is ','"]),
            (b'id,what,where\n1,a,"arm\n2,b,leg\n', {}, [":2:", "not CSV"]),
            (b'id,what,where\n1,a,"arm\n2,b,leg"\n3,c,leg\n', {}, [":2:", "a line break in 'where'", "quote"]),
            (b"id,what,where\n1,a,arm\n2,n\xe6vus,arm\n3,n\xc3\xa6vus,arm\n", {}, [":3:", "not utf-8", "cp1252"]),
            (b"id,what,where\n1,a\x81,arm\n", {"encoding": "cp1252"}, [":2:", "not cp1252"]),
            ("id,what\n".encode("utf-16"), {}, [":1:", "not utf-8"]),
            (b"id,what,where\n1,a,arm\n", {"encoding": "utf-16"}, [":1:", "not utf-16"]),
            (b"id,what,where\n1,a,arm\n", {"encoding": "latin-99"}, ["'latin-99'", "no text encoding"]),
            (b"id,what,where\n1,a,arm\n", {"encoding": "hex"}, ["'hex'", "no text encoding"]),
            (b"", {}, [":1:", "no column 'id'"]),
            (b"id,what,where\n", {}, ["of 0 rows none can be kept"]),
        ],
    )
    def test_refused_with_the_line(self, take, tmp_path, text, options, words):
        with pytest.raises(InputError) as error:
            take(text, **options)
        assert str(tmp_path) in str(error.value)
        assert "\n" not in str(error.value)
        assert all(word in str(error.value) for word in words), error.value

    def test_a_line_break_in_a_column_that_is_not_used_is_counted(self, take):
        imported = take('id,what,where,note\n1,a,arm,"first\nsecond"\n2,b,leg,\n', rows=2)
        assert [row.image for row in imported.manifest.rows] == ["1.jpg", "2.jpg"]
        assert summary(imported)["noticed"]["fields_with_line_breaks"] == 1

    def test_100_000_rows_are_all_accounted_for(self, take):
        lines = [f"{n},label {n % 180},{('arm', 'leg', '', 'unknown')[n % 4]},p{n % 9000}" for n in range(100_000)]
        imported = take("id,what,where,p\n" + "\n".join(lines), group_column=("p",), rows=100_000)
        assert imported.reasons() == {"no site": 25_000, "unknown site": 25_000}
        assert len(imported.manifest.lesion_names) == 90
