"""Exports of the ISIC Archive, of before and after the sites and diagnoses became trees."""

from __future__ import annotations

import pytest
from downloads import download, dropped, import_folder, kept, report_text, written_reasons

from caffe_files.errors import InputError

# An export has the columns that its images fill, in this order; since April 2026 without anatom_site_general.
TREE = """\
isic_id,attribution,copyright_license,patient_id,age_approx,sex,fitzpatrick_skin_type,lesion_id,acquisition_day,\
clin_size_long_diam_mm,melanocytic,concomitant_biopsy,anatom_site_special,anatom_site_1,anatom_site_2,anatom_site_3,\
anatom_site_4,anatom_site_5,diagnosis_confirm_type,diagnosis_1,diagnosis_2,diagnosis_3,diagnosis_4,diagnosis_5,\
image_type,dermoscopic_type,image_manipulation
ISIC_0000001,A,CC-0,IP_0000001,45,male,II,IL_0000001,1,2.5,true,false,,Trunk,Posterior trunk,Upper back,,,,Benign,\
Benign melanocytic proliferations,Nevus,"Nevus, Atypical, Dysplastic, or Clark","Nevus, Dysplastic",dermoscopic,\
contact polarized,
ISIC_0000002,"B, C",CC-BY,,45,male,,IL_0000001,,,true,false,,Trunk,,,,,histopathology,Malignant,\
Malignant melanocytic proliferations (Melanoma),Melanoma Invasive,,,clinical: close-up,,altered
ISIC_0000003,A,CC-BY-NC,,50,female,,IL_0000002,,,,,acral palms or soles,Upper extremity,Hand,Palm of hand,,,,Benign,\
Benign epidermal proliferations,Seborrheic keratosis,,,dermoscopic,,
ISIC_0000004,A,CC-0,,60,female,,,,,,,,Head and neck,Head,Face,Nose,Tip of nose,,Malignant,,,,,dermoscopic,,
ISIC_0000005,A,CC-0,IP_0000002,60,,,,,,,,,,,,,,,Benign,,Nevus,,,dermoscopic,,
ISIC_0000006,A,CC-0,IP_0000002,60,,,,,,,,,Trunk,,,,,,,,,,,dermoscopic,,
ISIC_0000007,A,CC-0,IP_0000002,60,,,,,,,,,Trunk,,,,,,Benign,,Nevus,,,dermoscopic,,
"""
IMAGES = [
    "ISIC_0000001.jpg",
    "ISIC_0000002.JPG",
    "deeper/ISIC_0000003.jpeg",
    "deeper/isic_0000004.png",
    "ISIC_0000005.jpg",
    "ISIC_0000006.jpg",
]
NEVUS, MELANOMA, KERATOSIS, ONLY_MALIGNANT = (
    ("ISIC_0000001.jpg", "Nevus, Dysplastic", "Trunk", "IP_0000001"),
    ("ISIC_0000002.JPG", "Melanoma Invasive", "Trunk", "IP_0000001"),  # the patient of its lesion
    ("deeper/ISIC_0000003.jpeg", "Seborrheic keratosis", "Upper extremity", "lesion:IL_0000002"),
    ("deeper/isic_0000004.png", "Malignant", "Head and neck", "deeper/isic_0000004.png"),
)
REASONS = {"no lesion label": 1, "no site": 1, "missing image": 1}

FLAT = """\
isic_id,attribution,copyright_license,acquisition_day,age_approx,anatom_site_general,benign_malignant,\
clin_size_long_diam_mm,concomitant_biopsy,dermoscopic_type,diagnosis,diagnosis_confirm_type,family_hx_mm,\
fitzpatrick_skin_type,image_type,lesion_id,mel_class,mel_mitotic_index,mel_thick_mm,mel_type,mel_ulcer,melanocytic,\
nevus_type,patient_id,personal_hx_mm,sex
ISIC_0000001,A,CC-BY,1,45,upper extremity,benign,,false,,nevus,,,,dermoscopic,IL_0000001,,,,,,true,blue,IP_0000001,,male
ISIC_0000002,A,CC-BY,1,45,oral/genital,malignant,,true,,melanoma,,,,dermoscopic,IL_0000002,,,,,,true,,,,male
ISIC_0000005,A,CC-BY,1,45,,benign,,false,,nevus,,,,dermoscopic,,,,,,,true,,IP_0000003,,male
ISIC_0000006,A,CC-BY,1,45,palms/soles,benign,,false,,,,,,dermoscopic,,,,,,,true,,IP_0000003,,male
"""


@pytest.fixture
def folder(tmp_path):
    return download(tmp_path / "the archive", {"metadata.csv": TREE}, IMAGES)


class TestTrees:
    def test_the_root_site_the_most_specific_diagnosis_and_the_groups(self, folder):
        imported = import_folder("isic-archive", folder)
        assert kept(imported) == [NEVUS, MELANOMA, KERATOSIS, ONLY_MALIGNANT]
        assert dropped(imported) == [
            (6, "ISIC_0000005", "no site", ""),
            (7, "ISIC_0000006", "no lesion label", ""),
            (8, "ISIC_0000007", "missing image", ""),
        ]
        assert imported.manifest.rows[2].others == {
            "image_type": "dermoscopic",
            "copyright_license": "CC-BY-NC",
            "anatom_site_special": "acral palms or soles",
            **{
                "fitzpatrick_skin_type": "",
                "sex": "female",
                "age_approx": "50",
                "dermoscopic_type": "",
                "attribution": "A",
            },
        }

    @pytest.mark.parametrize(
        "level, sites",
        [
            ("1", ["Trunk", "Trunk", "Upper extremity", "Head and neck"]),
            ("2", ["Posterior trunk", "Trunk", "Hand", "Head"]),
            ("3", ["Upper back", "Trunk", "Palm of hand", "Face"]),
            ("deepest", ["Upper back", "Trunk", "Palm of hand", "Tip of nose"]),
        ],
    )
    def test_a_deeper_site_is_taken_as_far_as_the_row_has_it(self, folder, level, sites):
        imported = import_folder("isic-archive", folder, {"site_level": level})
        assert [row.location for row in imported.manifest.rows] == sites
        assert imported.reasons() == REASONS

    @pytest.mark.parametrize(
        "level, diagnoses",
        [
            ("1", ["Benign", "Malignant", "Benign", "Malignant"]),
            ("3", ["Nevus", "Melanoma Invasive", "Seborrheic keratosis", "Malignant"]),
            ("4", ["Nevus, Atypical, Dysplastic, or Clark", "Melanoma Invasive", "Seborrheic keratosis", "Malignant"]),
        ],
    )
    def test_a_diagnosis_of_a_level_may_have_commas(self, folder, level, diagnoses):
        imported = import_folder("isic-archive", folder, {"diagnosis_level": level})
        assert [row.lesions for row in imported.manifest.rows] == [(name,) for name in diagnoses]

    def test_a_special_site_is_a_column_unless_asked_for_as_the_site(self, folder):
        imported = import_folder("isic-archive", folder, {"special_site": "own"})
        assert kept(imported)[2][2] == "acral palms or soles"
        assert [row[2] for row in kept(imported)][:2] == ["Trunk", "Trunk"]

    def test_image_types_can_be_chosen(self, folder):
        imported = import_folder("isic-archive", folder, {"image_type": ("Dermoscopic",)})
        assert imported.reasons() == {"another image type": 1, **REASONS}
        assert (3, "ISIC_0000002", "another image type", "clinical: close-up") in dropped(imported)

    def test_columns_that_no_image_fills_are_not_in_an_export(self, tmp_path):
        table = "isic_id,anatom_site_1,diagnosis_1,diagnosis_3\nISIC_0000001,Trunk,Benign,Nevus\n"
        folder = download(tmp_path, {"metadata.csv": table}, IMAGES)
        imported = import_folder("isic-archive", folder, {"site_level": "3"})
        assert kept(imported) == [("ISIC_0000001.jpg", "Nevus", "Trunk", "ISIC_0000001.jpg")]


class TestFlatColumns:
    def test_before_april_2026(self, tmp_path):
        name = "challenge-2020-training_metadata_2024-01-01.csv"
        imported = import_folder("isic-archive", download(tmp_path, {name: "\ufeff" + FLAT}, IMAGES))
        assert kept(imported) == [
            ("ISIC_0000001.jpg", "nevus", "upper extremity", "IP_0000001"),
            ("ISIC_0000002.JPG", "melanoma", "oral/genital", "lesion:IL_0000002"),
        ]
        assert imported.reasons() == {"no lesion label": 1, "no site": 1}

    def test_an_unknown_site_is_dropped_as_such_and_the_users_map_can_name_it(self, tmp_path):
        table = "isic_id,anatom_site_general,diagnosis\nISIC_0000001,unknown,nevus\nISIC_0000002,head/neck,unknown\n"
        folder = download(tmp_path / "set", {"metadata.csv": f"{table}ISIC_0000005,head/neck,nevus\n"}, IMAGES)
        imported = import_folder("isic-archive", folder)
        assert imported.reasons() == {"no lesion label": 1, "unknown site": 1}
        (tmp_path / "map.csv").write_text("from,to\nunknown,anywhere\n")
        mapped = import_folder("isic-archive", folder, site_map=tmp_path / "map.csv")
        assert mapped.manifest.location_names == ("anywhere", "head/neck")

    def test_a_tree_wins_beside_flat_columns_unless_asked_otherwise(self, tmp_path):
        table = (
            "isic_id,anatom_site_general,anatom_site_1,diagnosis,diagnosis_1\n"
            "ISIC_0000001,palms/soles,Upper extremity,nevus,Benign\n"
            "ISIC_0000002,palms/soles,,nevus,Benign\n"
        )
        folder = download(tmp_path, {"metadata.csv": table}, IMAGES)
        imported = import_folder("isic-archive", folder)
        assert (kept(imported)[0][1:3], imported.reasons()) == (("Benign", "Upper extremity"), {"no site": 1})
        flat = import_folder("isic-archive", folder, {"site_level": "flat", "diagnosis_level": "flat"})
        assert [row[1:3] for row in kept(flat)] == [("nevus", "palms/soles")] * 2


class TestWhichTable:
    def test_other_tables_beside_it_are_not_taken_for_it(self, folder):
        download(folder, {"training_gt.csv": "lesion_id,MEL\nIL_1,1\n", "b/copy.csv": TREE, "empty.csv": ""})
        assert len(import_folder("isic-archive", folder).manifest.rows) == 4

    def test_of_two_exports_one_must_be_named(self, folder):
        download(folder, {"old/metadata_2024.csv": FLAT})
        with pytest.raises(InputError, match=r"several exports there: metadata.csv, old.metadata_2024.csv; name one"):
            import_folder("isic-archive", folder)
        imported = import_folder("isic-archive", folder, {"table": "metadata_2024.csv"})
        assert imported.manifest.location_names == ("oral/genital", "upper extremity")

    def test_a_renamed_column_is_named_with_the_nearest_and_no_table_at_all_is_said(self, tmp_path):
        folder = download(tmp_path, {"metadata.csv": FLAT.replace("anatom_site_general", "anatom_site_gen")}, IMAGES)
        with pytest.raises(InputError, match=r"no column 'anatom_site_general' \('anatom_site_gen' is near\)"):
            import_folder("isic-archive", folder)
        (folder / "metadata.csv").unlink()
        with pytest.raises(InputError, match=r"no metadata.csv there"):
            import_folder("isic-archive", folder)

    def test_an_export_without_diagnosis_says_so(self, tmp_path):
        folder = download(tmp_path, {"metadata.csv": "isic_id,anatom_site_1\nISIC_0000001,Trunk\n"}, IMAGES)
        with pytest.raises(InputError, match=r"metadata.csv:1: no column 'diagnosis'"):
            import_folder("isic-archive", folder)


def test_through_the_tool_with_its_rules_in_the_report(tool, folder, tmp_path, refused):
    arguments = ("isic-archive", "--root", folder, "--out", tmp_path / "out", "--image-type", "dermoscopic")
    finished = tool("import_dataset.py", *arguments, "--image-type", "clinical: close-up", "--site-level", "2")
    assert finished.returncode == 0, finished.stderr
    assert written_reasons(tmp_path / "out") == (7, 4, REASONS)
    locations = (tmp_path / "out" / "locations.txt").read_text().splitlines()
    assert locations == ["Hand", "Head", "Posterior trunk", "Trunk"]
    text = report_text(import_folder("isic-archive", folder), tmp_path / "again")
    assert "The two vocabularies are never mixed" in text
    assert "never train on one and test on another" in text
    assert "rows by licence: 3 (CC-0: 5; CC-BY: 1; CC-BY-NC: 1)" in text
    assert "rows with a special site: 1" in text
    wrong = tool("import_dataset.py", "isic-archive", "--root", folder, "--out", tmp_path / "o", "--site-level", "6")
    assert wrong.returncode == 2


def test_a_patient_who_is_not_known_is_nobody(tmp_path):
    rows = ("1,IL_1,nan", "2,IL_2,N/A", "3,IL_2,IP_1", "4,nan,N/A", "5,nan,IP_2")
    table = "isic_id,lesion_id,patient_id,anatom_site_1,diagnosis_1\n" + "".join(
        f"{row},Trunk,Benign\n" for row in rows
    )
    imported = import_folder("isic-archive", download(tmp_path / "set", {"metadata.csv": table}), metadata_only=True)
    assert [row.group for row in imported.manifest.rows] == ["lesion:IL_1", "IP_1", "IP_1", "4.jpg", "IP_2"]
