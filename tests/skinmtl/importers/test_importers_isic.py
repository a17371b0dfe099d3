"""ISIC 2019 and ISIC 2020 as they are downloaded: two tables to be joined, and a table with its list of duplicates."""

from __future__ import annotations

import pytest
from downloads import download, dropped, import_folder, kept, report_text, written_reasons

from caffe_files.errors import InputError

TRUTH_2019 = """\
image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK
ISIC_0000001,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
ISIC_0000002_downsampled,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
ISIC_0000003_downsampled,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
ISIC_0024306,0.0,0.0,0.0,0.0,1.0,0.0,0.0,0.0,0.0
ISIC_0024307.jpg,0,0,0,0,1,0,0,0,0
ISIC_0053454,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,0.0
ISIC_0053455,0.0,0.0,1.0,1.0,0.0,0.0,0.0,0.0,0.0
ISIC_0053456,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
ISIC_0053457,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0
ISIC_0053458,0.0,0.7,0.0,0.0,0.0,0.0,0.0,,0.0
ISIC_0053459,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
ISIC_0053460,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
ISIC_0053461,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
ISIC_0053462,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
"""
METADATA_2019 = """\
image,age_approx,anatom_site_general,lesion_id,sex
ISIC_0000001,55,anterior torso,,female
ISIC_0000002_downsampled,50,posterior torso,,female
ISIC_0000003_downsampled,50,lateral torso,,
ISIC_0024306,45,oral/genital,HAM_0000550,male
ISIC_0024307,45,oral/genital,HAM_0000550,male
isic_0053454.JPG,80,head/neck,BCN_0000885,male
ISIC_0053455,80,head/neck,BCN_0000886,male
ISIC_0053456,80,head/neck,BCN_0000887,male
ISIC_0053457,80,head/neck,BCN_0000888,male
ISIC_0053458,80,head/neck,BCN_0000889,male
ISIC_0053459,80,,MSK4_0011169,male
ISIC_0053460,80,palms/soles,BCN_0000891,male
ISIC_0053460,80,head/neck,BCN_0000891,male
ISIC_0053461,80,palms/soles,BCN_0000892,male
ISIC_0053461,80,palms/soles,BCN_0000892,male
ISIC_0053463,,upper extremity,,
"""
IMAGES_2019 = [
    "ISIC_2019_Training_Input/ISIC_2019_Training_Input/ISIC_0000001.jpg",
    "ISIC_2019_Training_Input/ISIC_2019_Training_Input/ISIC_0000002_downsampled.jpg",
    "ISIC_2019_Training_Input/ISIC_2019_Training_Input/ISIC_0000003.jpg",  # as the archive names it
    "ISIC_2019_Training_Input/ISIC_2019_Training_Input/ISIC_0024306.JPG",
    "ISIC_2019_Training_Input/ISIC_2019_Training_Input/ISIC_0024307.jpg",
    "ISIC_2019_Training_Input/ISIC_2019_Training_Input/ISIC_0053454.jpg",
    "ISIC_2019_Training_Input/ISIC_2019_Training_Input/ISIC_0053461.jpg",
]
REASONS_2019 = {
    "several classes set": 1,
    "no class set": 2,
    "neither 0 nor 1": 1,
    "contradictory rows in the metadata": 1,
    "no row in the metadata": 1,
    "no row in the ground truth": 1,
    "no site": 1,
}


class TestIsic2019:
    @pytest.fixture
    def folder(self, tmp_path):
        tables = {"ISIC_2019_Training_GroundTruth.csv": TRUTH_2019, "ISIC_2019_Training_Metadata.csv": METADATA_2019}
        return download(tmp_path / "isic 2019", tables, IMAGES_2019)

    def test_the_two_tables_are_joined_and_a_row_without_a_lesion_is_its_own_group(self, folder):
        images = IMAGES_2019
        assert kept(import_folder("isic2019", folder)) == [
            (images[0], "NV", "anterior torso", images[0]),
            (images[1], "NV", "posterior torso", images[1]),
            (images[2], "MEL", "lateral torso", images[2]),
            (images[3], "BKL", "oral/genital", "lesion:HAM_0000550"),
            (images[4], "BKL", "oral/genital", "lesion:HAM_0000550"),
            (images[5], "SCC", "head/neck", "lesion:BCN_0000885"),
            (images[6], "MEL", "palms/soles", "lesion:BCN_0000892"),
        ]

    def test_every_dropped_row(self, folder):
        imported = import_folder("isic2019", folder)
        assert dropped(imported) == [
            (17, "ISIC_0053463", "no row in the ground truth", ""),  # of the metadata
            (8, "ISIC_0053455", "several classes set", "BCC;AK"),
            (9, "ISIC_0053456", "no class set", ""),
            (10, "ISIC_0053457", "no class set", "UNK"),
            (11, "ISIC_0053458", "neither 0 nor 1", "NV=0.7;SCC="),
            (12, "ISIC_0053459", "no site", ""),
            (13, "ISIC_0053460", "contradictory rows in the metadata", ""),
            (15, "ISIC_0053462", "no row in the metadata", ""),
        ]
        assert imported.reasons() == REASONS_2019

    def test_a_file_of_the_tables_own_name_comes_before_the_archives(self, folder):
        download(folder, {}, [IMAGES_2019[1].replace("_downsampled", "")])
        assert kept(import_folder("isic2019", folder))[1][0] == IMAGES_2019[1]

    def test_its_part_that_is_ham10000_can_be_left_out(self, folder):
        imported = import_folder("isic2019", folder, {"ham10000": "leave-out"})
        assert imported.reasons() == {**REASONS_2019, "of HAM10000": 2}
        assert "HAM" not in {row.others["source"] for row in imported.manifest.rows}

    def test_age_and_sex_are_kept_but_not_where_two_rows_of_the_image_differ(self, folder):
        table = folder / "ISIC_2019_Training_Metadata.csv"
        table.write_text(METADATA_2019 + "ISIC_0000001,60,anterior torso,,female\n")
        rows = import_folder("isic2019", folder).manifest.rows
        assert rows[0].others == {"source": "", "age_approx": "", "sex": "female"}
        assert rows[5].others == {"source": "BCN", "age_approx": "80", "sex": "male"}

    def test_without_the_unk_column_and_with_a_bom_and_windows_line_ends(self, folder):
        for name, text in (("GroundTruth", TRUTH_2019), ("Metadata", METADATA_2019)):
            if name == "GroundTruth":
                text = "".join(line.rpartition(",")[0] + "\n" for line in text.splitlines())
            path = folder / f"ISIC_2019_Training_{name}.csv"
            path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
        assert import_folder("isic2019", folder).reasons() == REASONS_2019

    def test_a_missing_column_and_a_missing_table_are_named(self, folder):
        truth = folder / "ISIC_2019_Training_GroundTruth.csv"
        truth.write_text(TRUTH_2019.replace("SCC", "SSC", 1))
        with pytest.raises(InputError, match=r"GroundTruth.csv:1: no column 'SCC' \('SSC' is near\)"):
            import_folder("isic2019", folder)
        truth.rename(folder / "ISIC_2019_Training_GroundTruth(1).csv")
        with pytest.raises(InputError, match=r"GroundTruth.csv .*GroundTruth\(1\).csv is near"):
            import_folder("isic2019", folder)

    def test_through_the_tool(self, tool, folder, tmp_path):
        finished = tool("import_dataset.py", "isic2019", "--root", folder, "--out", tmp_path / "out")
        assert finished.returncode == 0, finished.stderr
        assert written_reasons(tmp_path / "out") == (15, 7, REASONS_2019)
        text = (tmp_path / "out" / "import.md").read_text()
        assert "ISIC 2019 contains all of HAM10000" in text
        assert "several classes set" in text
        assert "rows of ham10000 which that data set has too: 2" in text


HEADER_2020 = (
    "image_name,patient_id,lesion_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target"
)
ROWS_2020 = """\
ISIC_0000101,IP_0000001,IL_0000001,male,45,head/neck,nevus,benign,0
ISIC_0000102,IP_0000001,IL_0000002,male,45,torso,melanoma,malignant,1
ISIC_0000103,IP_0000002,IL_0000003,female,50,,nevus,benign,0
ISIC_0000104,IP_0000003,IL_0000004,female,50,palms/soles,unknown,benign,0
ISIC_0000105,,IL_0000005,,,torso,lentigo NOS,benign,0
ISIC_0000106,,,female,30,upper extremity,solar lentigo,benign,0
ISIC_0000107,IP_0000001,IL_0000001,male,45,head/neck,nevus,benign,0
ISIC_0000108,IP_0000004,IL_0000006,male,60,lower extremity,nevus,benign,0
ISIC_0000109,IP_0000005,IL_0000007,male,60,lower extremity,nevus,benign,0
ISIC_0000110,IP_0000005,IL_0000007,male,60,lower extremity,nevus,benign,0
ISIC_0000111,IP_0000006,IL_0000008,female,40,,seborrheic keratosis,benign,0
ISIC_0000112,IP_0000006,IL_0000008,female,40,oral/genital,seborrheic keratosis,benign,0
ISIC_0000113,IP_0000007,IL_0000009,female,40,torso,nevus,benign,0
"""
DUPLICATES_2020 = """\
image_name_1,image_name_2
ISIC_0000101,ISIC_0000107
ISIC_0000108,ISIC_0000109
ISIC_0000109,ISIC_0000110
ISIC_0000111,ISIC_0000112
ISIC_0000999,ISIC_0000113
ISIC_0000998,ISIC_0000997
"""
IMAGES_2020 = [f"train/ISIC_0000{number}.jpg" for number in range(101, 114)]


class TestIsic2020:
    @pytest.fixture
    def folder(self, tmp_path):
        tables = {
            "ISIC_2020_Training_GroundTruth_v2.csv": f"{HEADER_2020}\n{ROWS_2020}",
            "ISIC_2020_Training_Duplicates.csv": DUPLICATES_2020,
        }
        return download(tmp_path / "isic 2020", tables, IMAGES_2020)

    def test_the_rows_kept_are_grouped_by_patient_else_lesion_else_image(self, folder):
        assert kept(import_folder("isic2020", folder)) == [
            ("train/ISIC_0000101.jpg", "nevus", "head/neck", "IP_0000001"),
            ("train/ISIC_0000102.jpg", "melanoma", "torso", "IP_0000001"),
            ("train/ISIC_0000105.jpg", "lentigo NOS", "torso", "lesion:IL_0000005"),
            ("train/ISIC_0000106.jpg", "solar lentigo", "upper extremity", "train/ISIC_0000106.jpg"),
            ("train/ISIC_0000108.jpg", "nevus", "lower extremity", "IP_0000004"),
            ("train/ISIC_0000112.jpg", "seborrheic keratosis", "oral/genital", "IP_0000006"),
            ("train/ISIC_0000113.jpg", "nevus", "torso", "IP_0000007"),  # its pair is not in the table
        ]

    def test_age_and_sex_are_kept(self, folder):
        others = import_folder("isic2020", folder).manifest.rows[0].others
        assert {"age_approx", "sex"} <= set(others)

    def test_of_listed_duplicates_one_is_kept_the_one_that_has_its_labels(self, folder):
        imported = import_folder("isic2020", folder)
        across = "listed duplicate of another patient's image"
        assert dropped(imported) == [
            (4, "ISIC_0000103", "no site", ""),
            (5, "ISIC_0000104", "unknown diagnosis", "benign"),
            (8, "ISIC_0000107", "listed duplicate", "of ISIC_0000101"),
            (10, "ISIC_0000109", across, "of ISIC_0000108, IP_0000005 and IP_0000004"),
            (11, "ISIC_0000110", across, "of ISIC_0000108, IP_0000005 and IP_0000004"),
            (12, "ISIC_0000111", "listed duplicate", "of ISIC_0000112"),
        ]

    def test_patients_whose_images_are_one_photograph_become_one_group(self, folder, tmp_path):
        more = """\
ISIC_0000114,IP_0000005,,male,60,torso,melanoma,malignant,1
ISIC_0000115,,,male,60,torso,nevus,benign,0
ISIC_0000116,IP_0000008,,male,60,torso,nevus,benign,0
ISIC_0000117,IP_0000008,,male,60,torso,nevus,benign,0
"""
        (folder / "ISIC_2020_Training_GroundTruth_v2.csv").write_text(f"{HEADER_2020}\n{ROWS_2020}{more}")
        (folder / "ISIC_2020_Training_Duplicates.csv").write_text(f"{DUPLICATES_2020}ISIC_0000115,ISIC_0000116\n")
        imported = import_folder("isic2020", folder, metadata_only=True)
        groups = {row.image: row.group for row in imported.manifest.rows}
        assert groups["ISIC_0000108.jpg"] == groups["ISIC_0000114.jpg"] == "IP_0000004"
        assert groups["ISIC_0000115.jpg"] == groups["ISIC_0000117.jpg"] == "IP_0000008"  # 115 names no patient
        assert "groups joined by the list of duplicates: 1\n" in report_text(imported, tmp_path / "out")

    def test_without_the_list_no_pair_is_dropped_and_the_report_says_so(self, folder, tmp_path):
        (folder / "ISIC_2020_Training_Duplicates.csv").unlink()
        imported = import_folder("isic2020", folder)
        assert imported.reasons() == {"unknown diagnosis": 1, "no site": 2}
        assert "no list of duplicates so that pairs of one photograph stay" in report_text(imported, tmp_path / "out")

    def test_benign_and_malignant_keep_the_images_without_a_diagnosis(self, folder):
        imported = import_folder("isic2020", folder, {"labels": "benign-malignant"})
        assert ("train/ISIC_0000104.jpg", "benign", "palms/soles", "IP_0000003") in kept(imported)
        assert imported.manifest.lesion_names == ("benign", "malignant")

    def test_a_row_without_an_image_is_no_duplicate_of_anything(self, folder):
        table = folder / "ISIC_2020_Training_GroundTruth_v2.csv"
        table.write_text(f"{HEADER_2020}\n{ROWS_2020},IP_0000009,,male,45,torso,nevus,benign,0\n")
        reasons = import_folder("isic2020", folder).reasons()
        assert (reasons["no image named"], reasons["listed duplicate"]) == (1, 2)

    @pytest.mark.parametrize("name", ["ISIC_2020_Training_GroundTruth.csv", "train.csv"])
    def test_the_first_version_and_kaggles_have_no_lesion(self, folder, name):
        (folder / "ISIC_2020_Training_GroundTruth_v2.csv").unlink()
        cells = [line.split(",") for line in f"{HEADER_2020}\n{ROWS_2020}".splitlines()]
        text = "".join(",".join(line[:2] + line[3:]) + "\n" for line in cells)
        (folder / name).write_text("\ufeff" + text, encoding="utf-8")
        groups = [row.group for row in import_folder("isic2020", folder).manifest.rows]
        assert groups.count("IP_0000001") == 2
        assert "train/ISIC_0000105.jpg" in groups

    def test_a_renamed_column_and_half_a_pair_are_refused(self, folder):
        pairs = folder / "ISIC_2020_Training_Duplicates.csv"
        pairs.write_text("image_name_1,image_name_2\nISIC_0000101,\n")
        with pytest.raises(InputError, match=r"Duplicates.csv:2: a pair needs two names"):
            import_folder("isic2020", folder)
        table = folder / "ISIC_2020_Training_GroundTruth_v2.csv"
        table.write_text(f"{HEADER_2020}\n{ROWS_2020}".replace("_challenge", ""))
        with pytest.raises(InputError, match=r"no column 'anatom_site_general_challenge' \('anatom_site_general' is"):
            import_folder("isic2020", folder)

    def test_through_the_tool(self, tool, folder, tmp_path):
        out = tmp_path / "out"
        arguments = ("--root", folder, "--out", out, "--labels", "benign-malignant")
        finished = tool("import_dataset.py", "isic2020", *arguments)
        assert finished.returncode == 0, finished.stderr
        reasons = {"listed duplicate": 2, "listed duplicate of another patient's image": 2, "no site": 1}
        assert written_reasons(out) == (13, 8, reasons)
