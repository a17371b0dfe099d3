"""Derm7pt as it is downloaded: two images a case in subfolders, and the published split by row number."""

from __future__ import annotations

import pytest
from downloads import download, dropped, import_folder, kept, written_reasons

from caffe_files.errors import InputError

META = """\
case_num,diagnosis,seven_point_score,pigment_network,streaks,pigmentation,regression_structures,dots_and_globules,\
blue_whitish_veil,vascular_structures,level_of_diagnostic_difficulty,elevation,location,sex,management,clinic,derm,\
case_id,notes
1,basal cell carcinoma,0,absent,absent,absent,absent,absent,absent,arborizing,medium,nodular,abdomen,female,excision,\
NEL/NEL025.JPG,NEL/Nel026.jpg,,
2,melanoma (less than 0.76 mm),5,atypical,irregular,absent,absent,absent,present,absent,low,palpable,head neck,female,\
excision,NEL/NEL027.JPG,NEL/Nel028.jpg,,
3,clark nevus,1,typical,absent,diffuse irregular,absent,regular,absent,absent,low,flat,chest,female,clinical follow up,\
NDL/ndl017.jpg,NDL/Ndl018.jpg,1d171819,"a note, with a comma"
4,vascular lesion,0,absent,absent,absent,absent,absent,absent,absent,low,palpable,acral,male,no further examination,\
NEL/Nel058.jpg,NEL/Nel059.jpg,,
5,dermal nevus,0,absent,absent,absent,absent,absent,absent,comma,low,palpable,,male,excision,NFL/Nfl1.jpg,NFL/Nfl2.jpg,,
6,lentigo,0,absent,absent,absent,absent,absent,absent,absent,low,flat,unknown,male,excision,NFL/Nfl3.jpg,NFL/Nfl4.jpg,,
7,melanosis,0,absent,absent,absent,absent,absent,absent,absent,low,flat,back,male,excision,,NFL/Nfl6.jpg,,
8,blue nevus,0,absent,absent,absent,absent,absent,absent,absent,low,flat,back,male,excision,NFL/Nfl7.jpg,NFL/Nfl8.jpg,,
9,miscellaneous,1,absent,irregular,absent,absent,regular,absent,hairpin,high,flat,genital areas,female,excision,\
NEL/Nel050.jpg,NEL/Nel050.jpg,,Clinical missing and replaced with derm
"""
SPLITS = {"meta/train_indexes.csv": "indexes\n0\n2\n4\n5\n", "meta/valid_indexes.csv": "indexes\n1\n6\n"}
SPLITS["meta/test_indexes.csv"] = "indexes\n3\n7\n8\n"
IMAGES = [
    "images/NEL/NEL025.JPG",
    "images/NEL/nel026.JPG",  # another case than the table's
    "images/NEL/NEL027.JPG",
    "images/NEL/Nel028.jpg",
    "images/NDL/Ndl017.jpg",
    "images/NDL/Ndl018.jpg",
    "images/NEL/Nel058.jpg",
    "images/NEL/Nel059.jpg",
    "images/NEL/Nel050.jpg",
    *(f"images/NFL/Nfl{number}.jpg" for number in (1, 2, 3, 4, 6)),
]
CLINIC = [
    ("images/NEL/NEL025.JPG", "basal cell carcinoma", "abdomen", "case:1"),
    ("images/NEL/NEL027.JPG", "melanoma (less than 0.76 mm)", "head neck", "case:2"),
    ("images/NDL/Ndl017.jpg", "clark nevus", "chest", "case:3"),
    ("images/NEL/Nel058.jpg", "vascular lesion", "acral", "case:4"),
]
DERM = [
    ("images/NEL/nel026.JPG", "basal cell carcinoma", "abdomen", "case:1"),
    ("images/NEL/Nel028.jpg", "melanoma (less than 0.76 mm)", "head neck", "case:2"),
    ("images/NDL/Ndl018.jpg", "clark nevus", "chest", "case:3"),
    ("images/NEL/Nel059.jpg", "vascular lesion", "acral", "case:4"),
    ("images/NFL/Nfl6.jpg", "melanosis", "back", "case:7"),
    ("images/NEL/Nel050.jpg", "miscellaneous", "genital areas", "case:9"),
]
REASONS_OF_BOTH = {
    "no clinical photograph": 1,
    "no image named": 1,
    "no site": 2,
    "unknown site": 2,
    "missing image": 2,
}


@pytest.fixture
def folder(tmp_path):
    return download(tmp_path / "release_v0", {"meta/meta.csv": META, **SPLITS}, IMAGES)


def test_the_clinical_photographs_unless_asked_otherwise(folder):
    imported = import_folder("derm7pt", folder)
    assert kept(imported) == CLINIC
    assert dropped(imported) == [
        (6, "NFL/Nfl1.jpg", "no site", ""),
        (7, "NFL/Nfl3.jpg", "unknown site", "unknown"),
        (8, "", "no image named", ""),
        (9, "NFL/Nfl7.jpg", "missing image", ""),
        (10, "NEL/Nel050.jpg", "no clinical photograph", "Clinical missing and replaced with derm"),
    ]


def test_the_dermoscopic_images(folder):
    imported = import_folder("derm7pt", folder, {"view": "derm"})
    assert kept(imported) == DERM
    assert imported.reasons() == {"no site": 1, "unknown site": 1, "missing image": 1}


def test_both_are_two_rows_of_one_group(folder):
    imported = import_folder("derm7pt", folder, {"view": "both"})
    assert imported.rows_read == 18
    assert sorted(kept(imported)) == sorted(CLINIC + DERM)
    assert {row.others["view"] for row in imported.manifest.rows if row.group == "case:1"} == {"clinic", "derm"}
    assert imported.reasons() == REASONS_OF_BOTH


def test_the_criteria_that_are_not_absent_are_several_labels(folder):
    imported = import_folder("derm7pt", folder, {"labels": "attributes"})
    assert [row.lesions for row in imported.manifest.rows] == [
        ("vascular structures: arborizing",),
        ("pigment network: atypical", "streaks: irregular", "blue whitish veil: present"),
        ("pigment network: typical", "pigmentation: diffuse irregular", "dots and globules: regular"),
    ]
    assert (5, "NEL/Nel058.jpg", "no lesion label", "") in dropped(imported)


def test_the_published_split_is_by_row_number_from_0(folder):
    imported = import_folder("derm7pt", folder)
    assert [row.split for row in imported.manifest.rows] == ["train", "validation", "train", "test"]
    for name in SPLITS:
        (folder / name).unlink()
    assert [row.others for row in import_folder("derm7pt", folder).manifest.rows] == [
        {"view": "clinic", "sex": sex} for sex in ("female", "female", "female", "male")
    ]


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("test", "indexes\n3\n9\n", r"test_indexes.csv:3: row 9 is not in meta.csv, which has 9 rows"),
        ("test", "indexes\n0\n", r"test_indexes.csv:2: row 0 is in train too"),
        ("test", "indexes\n1.0\n", r"test_indexes.csv:2: '1.0' is no row number"),
        ("test", "indexes\n-1\n", r"'-1' is no row number"),
        ("valid", "index\n1\n", r"valid_indexes.csv:1: no column 'indexes' \('index' is near\)"),
    ],
)
def test_a_split_that_does_not_fit_is_refused(folder, name, text, words):
    (folder / "meta" / f"{name}_indexes.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        import_folder("derm7pt", folder)


def test_a_bom_and_a_missing_column(folder):
    (folder / "meta" / "meta.csv").write_text("\ufeff" + META.replace("location", "locations", 1), encoding="utf-8")
    with pytest.raises(InputError, match=r"meta.csv:1: no column 'location' \('locations' is near\)"):
        import_folder("derm7pt", folder)
    (folder / "meta" / "meta.csv").write_text("\ufeff" + META, encoding="utf-8")
    assert kept(import_folder("derm7pt", folder)) == CLINIC


def test_through_the_tool_with_the_image_folder_of_its_own(tool, folder, tmp_path):
    arguments = ("--root", folder / "meta", "--images", folder / "images", "--out", tmp_path / "out")
    finished = tool("import_dataset.py", "derm7pt", *arguments, "--view", "both")
    assert finished.returncode == 0, finished.stderr
    assert written_reasons(tmp_path / "out") == (18, 10, REASONS_OF_BOTH)
    lines = (tmp_path / "out" / "manifest.csv").read_text().splitlines()
    assert lines[:2] == [
        "image,lesions,location,group,split,view,sex",
        "NEL/NEL025.JPG,basal cell carcinoma,abdomen,case:1,train,clinic,female",
    ]
