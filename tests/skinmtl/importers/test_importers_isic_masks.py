"""ISIC 2016, 2017 and 2018 as they are downloaded: parts, masks, splits, and what lacks."""

from __future__ import annotations

import json

import pytest
from downloads import dropped, import_folder, report_text
from made_mask_sets import encoded, masks_of, photograph, png_mask, put

from caffe_files.errors import InputError
from skinmtl.data.manifest import read_manifest


def images(folder, *numbers, ending=".jpg"):
    return {f"{folder}/ISIC_{n:07d}{ending}": encoded(".jpg", photograph(n)) for n in numbers}


def masks(folder, *numbers, word="segmentation"):
    return {f"{folder}/ISIC_{n:07d}_{word}.png": png_mask(n) for n in numbers}


def labelled(imported):
    """The number in the image's name -> (lesion, split, whether it has a mask)."""
    return {
        int(row.image.rpartition("_")[2][:7]): (*row.lesions, row.split, bool(row.mask))
        for row in imported.manifest.rows
    }


TRUTH_2017 = "image_id,melanoma,seborrheic_keratosis\n"
SET_2017 = {
    **images("ISIC-2017_Training_Data", 1, 2, 3, 9),
    **masks("ISIC-2017_Training_Part1_GroundTruth", 1, 2, 3),
    "ISIC-2017_Training_Data/ISIC_0000001_superpixels.png": png_mask(5),
    "ISIC-2017_Training_Data/ISIC-2017_Training_Data_metadata.csv": "image_id,age_approximate,sex\n"
    "ISIC_0000001,55,female\nISIC_0000002,unknown,unknown\n",
    "ISIC-2017_Training_Part3_GroundTruth.csv": TRUTH_2017
    + "ISIC_0000001,1.0,0.0\nISIC_0000002,0.0,1.0\nISIC_0000003,0.0,0.0\nISIC_0000004,0.0,0.0\n",
    **images("ISIC-2017_Validation_Data", 20, ending=".JPG"),
    **masks("ISIC-2017_Validation_Part1_GroundTruth", 20, word="Segmentation"),
    "ISIC-2017_Validation_Part3_GroundTruth.csv": f"{TRUTH_2017}ISIC_0000020,0,0\n",
    **images("ISIC-2017_Test_v2_Data", 30, 31),
}


class TestIsic2017:
    @pytest.fixture
    def root(self, tmp_path):
        return put(tmp_path / "isic 2017", SET_2017)

    def test_diagnoses_splits_and_masks(self, root):
        imported = import_folder("isic2017", root)
        assert labelled(imported) == {
            1: ("melanoma", "train", True),
            2: ("seborrheic keratosis", "train", True),
            3: ("nevus", "train", True),
            20: ("nevus", "validation", True),
        }
        assert masks_of(imported)["ISIC-2017_Validation_Data/ISIC_0000020.JPG"] == (
            "ISIC-2017_Validation_Part1_GroundTruth/ISIC_0000020_Segmentation.png"
        )
        assert imported.manifest.location_names == ()
        first, second = imported.manifest.rows[:2]
        assert first.others == {"age_approximate": "55", "sex": "female"}
        assert second.others == {"age_approximate": "", "sex": ""}

    def test_what_is_not_there_is_counted_and_named(self, root, tmp_path):
        imported = import_folder("isic2017", root)
        test = root / "ISIC-2017_Test_v2_Data"
        train = root / "ISIC-2017_Training_Data"
        assert {(row.file, row.line, row.reason) for row in imported.dropped} == {
            (root / "ISIC-2017_Training_Part3_GroundTruth.csv", 5, "missing image"),
            (train / "ISIC_0000009.jpg", 0, "no row in the ground truth"),
            (test / "ISIC_0000030.jpg", 0, "no ground truth of its split"),
            (test / "ISIC_0000031.jpg", 0, "no ground truth of its split"),
        }
        text = report_text(imported, tmp_path / "out")
        assert "- ISIC-2017_Test_v2_Part1_GroundTruth (masks of test)\n" in text
        assert "- ISIC-2017_Test_v2_Part3_GroundTruth.csv (labels of test)\n" in text
        assert "ISIC-2017_Test_v2_Data" not in text.partition("## Not there (2)")[2].partition("##")[0]
        assert "Images with a mask: 4. Images without: 0." in text
        assert "image files passed over since they are no images: 1" in text

    def test_binary_is_melanoma_against_benign_in_isic_2016s_words(self, root):
        imported = import_folder("isic2017", root, {"binary": True})
        assert [row.lesions for row in imported.manifest.rows] == [
            ("malignant",),
            ("benign",),
            ("benign",),
            ("benign",),
        ]

    def test_one_class_needs_no_labels_at_all(self, root):
        for path in root.glob("*.csv"):
            path.unlink()
        imported = import_folder("isic2017", root, {"one_class": True})
        assert set(labelled(imported)) == {1, 2, 3, 9, 20, 30, 31}
        assert imported.manifest.lesion_names == ("lesion",)
        assert [row.image for row in imported.manifest.rows if not row.mask] == [
            "ISIC-2017_Training_Data/ISIC_0000009.jpg",
            "ISIC-2017_Test_v2_Data/ISIC_0000030.jpg",
            "ISIC-2017_Test_v2_Data/ISIC_0000031.jpg",
        ]

    def test_a_row_without_a_mask_is_kept_and_named(self, root, tmp_path):
        (root / "ISIC-2017_Training_Part1_GroundTruth" / "ISIC_0000002_segmentation.png").unlink()
        imported = import_folder("isic2017", root)
        assert labelled(imported)[2] == ("seborrheic keratosis", "train", False)
        text = report_text(imported, tmp_path / "out")
        assert "| ISIC-2017_Training_Data/ISIC_0000002.jpg | no such file |" in text
        record = json.loads((tmp_path / "out" / "import.json").read_text())
        assert record["masks"]["images_without"] == {"ISIC-2017_Training_Data/ISIC_0000002.jpg": "no such file"}
        assert record["splits"]["train"] == {
            "rows": 3,
            "with_a_mask": 2,
            "lesions": {"melanoma": 1, "nevus": 1, "seborrheic keratosis": 1},
        }

    @pytest.mark.parametrize(
        "row, reason, detail",
        [
            ("1.0,1.0", "several classes set", "melanoma;seborrheic keratosis"),
            ("0.3,0.0", "neither 0 nor 1", "melanoma=0.3"),
            (",0.0", "neither 0 nor 1", "melanoma="),
        ],
    )
    def test_a_row_that_tells_no_diagnosis(self, root, row, reason, detail):
        path = root / "ISIC-2017_Training_Part3_GroundTruth.csv"
        path.write_text(path.read_text().replace("0000003,0.0,0.0", f"0000003,{row}"))
        assert (4, "ISIC-2017_Training_Data/ISIC_0000003.jpg", reason, detail) in dropped(
            import_folder("isic2017", root)
        )

    def test_isic_2016_in_the_same_folder_is_not_mixed_in(self, root):
        """The two have images of one name, and other bytes; 2016's masks are not taken for 2017's."""
        put(root, images("ISBI2016_ISIC_Part1_Training_Data", 1, 2))
        for number in (1, 2):
            (root / f"ISBI2016_ISIC_Part1_Training_Data/ISIC_{number:07d}.jpg").write_bytes(b"another")
        put(root, masks("ISBI2016_ISIC_Part1_Training_GroundTruth", 1, 30))
        (root / "ISBI2016_ISIC_Part1_Training_GroundTruth/ISIC_0000001_segmentation.png").write_bytes(b"another")
        (root / "ISIC-2017_Training_Part1_GroundTruth/ISIC_0000002_segmentation.png").unlink()
        imported = import_folder("isic2017", root)
        assert {name.partition("/")[0] for name in masks_of(imported)} == {
            "ISIC-2017_Training_Data",
            "ISIC-2017_Validation_Data",
        }
        assert labelled(imported)[1][2] and not labelled(imported)[2][2]

    def test_a_zip_unpacked_into_a_folder_of_its_own_name(self, tmp_path):
        nested = {f"data/{name.partition('/')[0]}/{name}": data for name, data in SET_2017.items()}
        imported = import_folder("isic2017", put(tmp_path, nested))
        assert len(imported.manifest.rows) == 4
        assert all(masks_of(imported).values())

    def test_images_and_masks_elsewhere(self, root, tmp_path):
        (root / "ISIC-2017_Training_Data").rename(tmp_path / "photographs")
        (root / "ISIC-2017_Training_Part1_GroundTruth").rename(tmp_path / "truth")
        imported = import_folder("isic2017", root, images=tmp_path / "photographs", masks=tmp_path / "truth")
        assert masks_of(imported)["ISIC_0000001.jpg"] == "ISIC_0000001_segmentation.png"
        assert imported.masks.root == tmp_path / "truth"

    def test_nothing_of_it_there(self, tmp_path):
        with pytest.raises(InputError, match=r"no ISIC-2017_Training_Data or ISIC-2017_Training_Part3_GroundTruth.csv"):
            import_folder("isic2017", tmp_path)

    def test_through_the_tool(self, tool, root, tmp_path, refused):
        out = tmp_path / "out"
        done = tool("import_dataset.py", "isic2017", "--root", root, "--out", out, "--binary")
        assert (done.returncode, done.stderr) == (0, "")
        assert "masks: 4 of 4 images have one, 0 images none\nsplits: train 3, validation 1\n" in done.stdout
        assert "not there: ISIC-2017_Test_v2_Part1_GroundTruth (masks of test)\n" in done.stdout
        assert "--split-column" not in done.stdout  # there is no test set to set apart
        manifest = read_manifest(out / "manifest.csv")
        assert (manifest.lesion_names, manifest.location_names) == (("benign", "malignant"), ())
        assert [row.split for row in manifest.rows] == ["train", "train", "train", "validation"]
        assert not (out / "locations.txt").exists()
        both = tool("import_dataset.py", "isic2017", "--root", root, "--out", tmp_path / "b", "--binary", "--one-class")
        assert (both.returncode, "not allowed with" in both.stderr) == (2, True)


def test_the_official_split_goes_on_into_folds(tool, tmp_path):
    test = {"ISIC-2017_Test_v2_Part3_GroundTruth.csv": f"{TRUTH_2017}ISIC_0000030,0,0\nISIC_0000031,1,0\n"}
    root = put(tmp_path / "set", {**SET_2017, **test})
    done = tool("import_dataset.py", "isic2017", "--root", root, "--out", tmp_path / "out")
    folds, lmdb, at_once = done.stdout.splitlines()[-3:]
    assert folds.endswith(" --split-column split")
    assert " --fold 0 --subset train --validation-fold 1 " in lmdb
    assert " --only-fold 0 --validation-fold 1 --preset mask-demo " in at_once
    made = tool(*(folds.split()[1].partition("/")[2], *folds.split()[2:]))
    assert made.returncode == 0, made.stderr
    rows = (tmp_path / "out" / "folds.csv").read_text().splitlines()[1:]
    assert sorted(line.rpartition(",")[2] for line in rows) == ["0", "0", "1", "2", "2", "2"]


SET_2016 = {
    **images("ISBI2016_ISIC_Part1_Training_Data", 1, 2),
    **masks("ISBI2016_ISIC_Part1_Training_GroundTruth", 1, 2, word="Segmentation"),
    "ISBI2016_ISIC_Part3_Training_GroundTruth.csv": "ISIC_0000001,benign\nISIC_0000002,malignant\n",
    **images("ISBI2016_ISIC_Part3_Test_Data", 3, 4, 5),
    **masks("ISBI2016_ISIC_Part1_Test_GroundTruth", 3, 4, word="Segmentation"),
    "ISBI2016_ISIC_Part3_Test_GroundTruth.csv": "ISIC_0000003,0.0\nISIC_0000004,1\nISIC_0000005,0.5\n",
}


class TestIsic2016:
    @pytest.fixture
    def root(self, tmp_path):
        return put(tmp_path / "isic2016", SET_2016)

    def test_tables_without_a_header_in_words_and_in_numbers(self, root):
        imported = import_folder("isic2016", root)
        assert labelled(imported) == {
            1: ("benign", "train", True),
            2: ("malignant", "train", True),
            3: ("benign", "test", True),
            4: ("malignant", "test", True),
        }
        assert [row[:3] for row in dropped(imported)] == [
            (3, "ISBI2016_ISIC_Part3_Test_Data/ISIC_0000005.jpg", "neither benign nor malignant")
        ]

    def test_a_byte_order_mark_and_windows_line_ends(self, root):
        path = root / "ISBI2016_ISIC_Part3_Training_GroundTruth.csv"
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
        assert set(labelled(import_folder("isic2016", root))) == {1, 2, 3, 4}

    def test_part_3b_has_images_and_masks_in_one_folder(self, tmp_path):
        folder = "ISBI2016_ISIC_Part3B_Training_Data"
        root = put(
            tmp_path,
            {
                **images(folder, 1, 2),
                **masks(folder, 1, 2, word="Segmentation"),
                "ISBI2016_ISIC_Part3B_Training_GroundTruth.csv": "ISIC_0000001,benign\n",
            },
        )
        imported = import_folder("isic2016", root)
        assert masks_of(imported) == {f"{folder}/ISIC_0000001.jpg": f"{folder}/ISIC_0000001_Segmentation.png"}
        assert [row[2] for row in dropped(imported)] == ["no row in the ground truth"]  # and no mask is an image

    def test_the_same_images_in_parts_1_and_3_are_taken_once(self, root):
        put(root, images("ISBI2016_ISIC_Part3_Training_Data", 1, 2))
        imported = import_folder("isic2016", root)
        assert imported.rows_read == 5
        assert imported.manifest.rows[0].image == "ISBI2016_ISIC_Part1_Training_Data/ISIC_0000001.jpg"


COLUMNS_2018 = "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\n"
SET_2018 = {
    **images("ISIC2018_Task1-2_Training_Input", 1, 2, 3),
    **masks("ISIC2018_Task1_Training_GroundTruth", 1, 2),
    **images("ISIC2018_Task1-2_Validation_Input", 4),
    **masks("ISIC2018_Task1_Validation_GroundTruth", 4),
    "ISIC2018_Task1-2_Training_Input/ATTRIBUTION.txt": "CC-0",
}


class TestIsic2018:
    def test_masks_alone(self, tmp_path):
        imported = import_folder("isic2018", put(tmp_path, SET_2018))
        assert labelled(imported) == {
            1: ("lesion", "train", True),
            2: ("lesion", "train", True),
            3: ("lesion", "train", False),
            4: ("lesion", "validation", True),
        }
        assert "no_diagnoses_so_that_every_lesion_is_called" in imported.noticed

    def test_task_3s_diagnoses_and_lesions_where_they_are_there(self, tmp_path):
        truth = "ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv"
        root = put(
            tmp_path,
            {
                **SET_2018,
                truth: COLUMNS_2018 + "ISIC_0000001,1.0,0,0,0,0,0,0\nISIC_0000002,0,1.0,0,0,0,0,0\n"
                "ISIC_0000003,1,1,0,0,0,0,0\nISIC_0024306,0,1,0,0,0,0,0\n",
                "ISIC2018_Task3_Training_LesionGroupings.csv": "image,lesion_id,diagnosis_confirm_type\n"
                "ISIC_0000001,HAM_1,histopathology\nISIC_0000002,HAM_1,histopathology\n",
            },
        )
        imported = import_folder("isic2018", root)
        assert labelled(imported) == {1: ("MEL", "train", True), 2: ("NV", "train", True)}
        assert {row.group for row in imported.manifest.rows} == {"lesion:HAM_1"}
        assert imported.reasons() == {"several classes set": 1, "no row in Task 3's ground truth": 1}
        assert len(import_folder("isic2018", root, {"one_class": True}).manifest.rows) == 4

    def test_before_the_images_are_there_it_has_nothing_to_read(self, tmp_path):
        with pytest.raises(InputError, match="no table, so that --metadata-only has nothing to read"):
            import_folder("isic2018", put(tmp_path, SET_2018), metadata_only=True)
