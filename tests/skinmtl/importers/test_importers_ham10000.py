"""HAM10000 as it is downloaded: its table in several guises, its two image folders, and what its traps become."""

from __future__ import annotations

import pytest
from downloads import download, dropped, import_folder, kept, report_text, written_reasons

from caffe_files.errors import InputError

HEADER = "lesion_id,image_id,dx,dx_type,age,sex,localization,dataset"  # the release at the home page
ROWS = """\
HAM_0000001,ISIC_0020001,bkl,histo,80.0,male,scalp,vidir_modern
HAM_0000001,ISIC_0020002.jpg,bkl,histo,80.0,male,scalp,vidir_modern
HAM_0000002,ISIC_0020003,nv,follow_up,45.0,female,unknown,vidir_molemax
HAM_0000003,ISIC_0020004,mel,histo,,male,back,rosendahl
HAM_0000003,ISIC_0020005,mel,histo,,male,chest,rosendahl
HAM_0000004,ISIC_0020006,nv,consensus,50.0,female,trunk,vienna_dias
HAM_0000005,ISIC_0020007,df,histo,35.0,unknown,,vidir_modern
,ISIC_0020008,vasc,consensus,0.0,female,lower extremity,vidir_modern
,ISIC_0020009,akiec,confocal,60.0,male,acral,vidir_modern
HAM_0000001,ISIC_0020001,bkl,histo,80.0,male,scalp,vidir_modern
HAM_0000006,ISIC_0020010,,histo,60.0,male,face,vidir_modern
"""
IMAGES = (
    "HAM10000_images_part_1/ISIC_0020001.jpg",
    "HAM10000_images_part_1/ISIC_0020002.jpg",
    "HAM10000_images_part_1/ISIC_0020003.jpg",
    "HAM10000_images_part_2/ISIC_0020004.JPG",  # upper case
    "HAM10000_images_part_2/isic_0020005.jpg",  # lower case
    "HAM10000_images_part_2/ISIC_0020007.jpg",  # and no ISIC_0020006
    "HAM10000_images_part_2/ISIC_0020008.jpg",
    "HAM10000_images_part_2/ISIC_0020009.jpg",
    "HAM10000_images_part_2/ISIC_0020010.jpg",
)
KEPT = [
    ("HAM10000_images_part_1/ISIC_0020001.jpg", "bkl", "scalp", "lesion:HAM_0000001"),
    ("HAM10000_images_part_1/ISIC_0020002.jpg", "bkl", "scalp", "lesion:HAM_0000001"),
    ("HAM10000_images_part_2/ISIC_0020004.JPG", "mel", "back", "lesion:HAM_0000003"),
    ("HAM10000_images_part_2/isic_0020005.jpg", "mel", "chest", "lesion:HAM_0000003"),
    (IMAGES[6], "vasc", "lower extremity", IMAGES[6]),  # without a lesion: each a group of its own
    (IMAGES[7], "akiec", "acral", IMAGES[7]),
]
REASONS = {"no lesion label": 1, "no site": 1, "unknown site": 1, "missing image": 1, "duplicate": 1}


def without_dataset(rows):
    """The table as Kaggle has it."""
    return "".join(line.rpartition(",")[0] + "\n" for line in rows.splitlines())


def test_the_rows_kept_and_each_row_dropped(tmp_path):
    imported = import_folder("ham10000", download(tmp_path, {"HAM10000_metadata.csv": f"{HEADER}\n{ROWS}"}, IMAGES))
    assert kept(imported) == KEPT
    assert dropped(imported) == [
        (4, "ISIC_0020003", "unknown site", "unknown"),
        (7, "ISIC_0020006", "missing image", ""),
        (8, "ISIC_0020007", "no site", ""),
        (11, "ISIC_0020001", "duplicate", f"{IMAGES[0]}: as HAM10000_metadata.csv:2"),
        (12, "ISIC_0020010", "no lesion label", ""),
    ]
    assert imported.reasons() == REASONS
    assert imported.lesion_sites == {"HAM_0000003": ("back", "chest")}  # kept, each row its own site
    assert imported.manifest.rows[2].others == {
        **{"dx_type": "histo", "dataset": "rosendahl", "age": "", "sex": "male"},
    }


@pytest.mark.parametrize(
    "name, table",
    [
        ("HAM10000_metadata.csv", "\ufeff" + without_dataset(f"{HEADER}\n{ROWS}")),
        ("HAM10000_metadata.csv", f"{HEADER}\n{ROWS}".replace("\n", "\r\n")),
        ("HAM10000_metadata", f"{HEADER}\n{ROWS}"),
        ("HAM10000_metadata.tab", f"{HEADER}\n{ROWS}".replace(",", "\t")),
        ("metadata/ham10000_METADATA.CSV", f"{HEADER}\n{ROWS}"),
    ],
    ids=["Kaggle's columns and a BOM", "Windows line ends", "no ending", "tabs", "a folder and another case"],
)
def test_every_guise_of_the_table_gives_the_same(tmp_path, name, table):
    imported = import_folder("ham10000", download(tmp_path, {name: table}, IMAGES))
    assert (kept(imported), imported.reasons()) == (KEPT, REASONS)


def test_kaggles_second_copy_of_the_image_folders_is_not_ambiguous(tmp_path):
    download(tmp_path, {"HAM10000_metadata.csv": f"{HEADER}\n{ROWS}"}, IMAGES)
    for name in IMAGES:
        other = tmp_path / "kaggle" / name
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_bytes((tmp_path / name).read_bytes())
    imported = import_folder("ham10000", tmp_path)
    assert (len(imported.manifest.rows), imported.reasons()) == (len(KEPT), REASONS)
    assert len(imported.images.copies) >= len(KEPT)


def test_before_the_images_are_there_their_names_come_from_the_table(tmp_path):
    folder = download(tmp_path, {"HAM10000_metadata.csv": f"{HEADER}\n{ROWS}"})
    imported = import_folder("ham10000", folder, metadata_only=True)
    assert imported.reasons() == {name: count for name, count in REASONS.items() if name != "missing image"}
    assert [row.image for row in imported.manifest.rows][:2] == ["ISIC_0020001.jpg", "ISIC_0020002.jpg"]


def test_an_unknown_site_is_kept_where_the_users_map_names_it(tmp_path):
    folder = download(tmp_path / "set", {"HAM10000_metadata.csv": f"{HEADER}\n{ROWS}"}, IMAGES)
    (tmp_path / "map.csv").write_text("from,to\nunknown,elsewhere\n,elsewhere\n")
    imported = import_folder("ham10000", folder, site_map=tmp_path / "map.csv")
    assert [row[:3] for row in kept(imported) if row[2] == "elsewhere"] == [
        ("HAM10000_images_part_1/ISIC_0020003.jpg", "nv", "elsewhere"),
        ("HAM10000_images_part_2/ISIC_0020007.jpg", "df", "elsewhere"),
    ]


def test_a_missing_column_is_named_with_the_nearest(tmp_path):
    table = f"{HEADER}\n{ROWS}".replace("localization", "localisation", 1)
    with pytest.raises(InputError) as error:
        import_folder("ham10000", download(tmp_path, {"HAM10000_metadata.csv": table}, IMAGES))
    assert "HAM10000_metadata.csv:1: no column 'localization' ('localisation' is near)" in str(error.value)


def test_the_report_warns_of_isic_2019(tmp_path):
    folder = download(tmp_path / "set", {"HAM10000_metadata.csv": f"{HEADER}\n{ROWS}"}, IMAGES)
    assert "ISIC 2019 contains all of HAM10000" in report_text(import_folder("ham10000", folder), tmp_path / "out")


def test_the_tool_imports_it_and_refuses_another_folder(tool, tmp_path, refused):
    folder = download(tmp_path / "HAM 10000", {"HAM10000_metadata.csv": f"\ufeff{HEADER}\n{ROWS}"}, IMAGES)
    finished = tool("import_dataset.py", "ham10000", "--root", folder, "--out", tmp_path / "out")
    assert finished.returncode == 0, finished.stderr
    assert written_reasons(tmp_path / "out") == (11, 6, REASONS)
    assert (tmp_path / "out" / "manifest.csv").read_text().splitlines()[1] == (
        "HAM10000_images_part_1/ISIC_0020001.jpg,bkl,scalp,lesion:HAM_0000001,histo,80.0,male,vidir_modern"
    )
    elsewhere = tool("import_dataset.py", "ham10000", "--root", tmp_path / "out", "--out", tmp_path / "other")
    refused(elsewhere, "no HAM10000_metadata.csv or HAM10000_metadata")
    assert not (tmp_path / "other").exists()
