"""PH2 and HAM10000's masks as they are downloaded, and masks that a table of one's own names."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from downloads import dropped, import_folder, report_text
from made_mask_sets import bmp_of_24_bits, bmp_of_one_bit, encoded, lesion, masks_of, photograph, png_mask, put

from caffe_files.errors import InputError

HEADER = "||   Name || Histological Diagnosis || Clinical Diagnosis || Asymmetry | Pigment Network || Colors ||"
TABLE = f"""\
{HEADER}
|| IMD002 ||                        ||                  0 ||         0 |               T ||      4 ||
|| IMD058 ||              Melanoma  ||                  2 ||         2 |              AT ||   3  4 ||
|| IMD100 ||                        ||                  1 ||         1 |               T ||      4 ||
|| IMD101 ||                        ||                  7 ||         1 |               T ||      4 ||
|| IMD102 ||                        ||                  0 ||         1 |               T ||      4 ||

Legends:
\tClinical Diagnosis:
\t\t0 - Common Nevus; 1 - Atypical Nevus; 2 - Melanoma.
"""


def case(number, **forms):
    """The files of one PH2 image, whose photograph and mask are BMPs with rows from the bottom, or from the top."""
    name, folder = f"IMD{number:03d}", f"PH2 Dataset images/IMD{number:03d}"
    return {
        f"{folder}/{name}_Dermoscopic_Image/{name}.bmp": bmp_of_24_bits(photograph(number), **forms),
        f"{folder}/{name}_lesion/{name}_lesion.bmp": bmp_of_one_bit(lesion(number), **forms),
        f"{folder}/{name}_roi/{name}_R1_Label4.bmp": bmp_of_one_bit(lesion(number + 1)),
    }


class TestPh2:
    @pytest.fixture
    def root(self, tmp_path):
        cases = {**case(2), **case(58, top_down=True), **case(100), **case(101)}
        return put(tmp_path / "PH2Dataset", {**cases, "PH2_dataset.txt": TABLE})

    def test_diagnoses_and_masks(self, root):
        imported = import_folder("ph2", root)
        assert [(row.lesions, row.others["histology"]) for row in imported.manifest.rows] == [
            (("common nevus",), ""),
            (("melanoma",), "Melanoma"),
            (("atypical nevus",), ""),
        ]
        folder = "PH2 Dataset images/IMD058"
        assert masks_of(imported)[f"{folder}/IMD058_Dermoscopic_Image/IMD058.bmp"] == (
            f"{folder}/IMD058_lesion/IMD058_lesion.bmp"
        )
        assert dropped(imported) == [
            (5, "IMD101", "neither 0, 1 nor 2", "7"),
            (6, "IMD102", "missing image", ""),
        ]

    def test_its_files_of_one_bit_and_of_both_row_orders_are_what_was_drawn(self, root):
        for row in import_folder("ph2", root).manifest.rows:
            number = int(row.image[-7:-4])
            mask = cv2.imread(str(root / row.mask), cv2.IMREAD_GRAYSCALE)
            np.testing.assert_array_equal(mask > 128, lesion(number))
            np.testing.assert_array_equal(cv2.imread(str(root / row.image)), photograph(number))

    def test_masks_of_colours_are_passed_over(self, root, tmp_path):
        text = report_text(import_folder("ph2", root), tmp_path / "out")
        assert "image files passed over since they are no images: 4" in text
        assert "image files of no kept row: 2 (1 in" in text  # IMD101 and its mask

    def test_binary(self, root):
        imported = import_folder("ph2", root, {"binary": True})
        assert [row.lesions for row in imported.manifest.rows] == [("benign",), ("malignant",), ("benign",)]

    @pytest.mark.parametrize(
        "text, words",
        [
            (TABLE.replace("Clinical Diagnosis ||", "Diagnosis ||"), r"dataset.txt:1: no column 'Clinical Diagnosis'"),
            ("image,label\nIMD002,0\n", r"dataset.txt: no line starts with '\|\|'"),
            (f"{HEADER}\n|| IMD002 || \n", r"dataset.txt:2: 1 cells where the header has 5"),
        ],
    )
    def test_another_table_is_refused(self, root, text, words):
        (root / "PH2_dataset.txt").write_text(text)
        with pytest.raises(InputError, match=words):
            import_folder("ph2", root)

    def test_a_table_that_is_no_text_of_the_encoding(self, root):
        (root / "PH2_dataset.txt").write_bytes(TABLE.encode().replace(b"Melanoma", b"M\xe9lanome"))
        with pytest.raises(InputError, match=r"dataset.txt:3: not utf-8"):
            import_folder("ph2", root)
        assert len(import_folder("ph2", root, encoding="cp1252").manifest.rows) == 3


HAM = "lesion_id,image_id,dx,dx_type,age,sex,localization\n"
HAM_ROWS = "H1,ISIC_0024306,nv,histo,80.0,male,scalp\nH1,ISIC_0024307.jpg,nv,histo,80.0,male,unknown\n"
FOLDER = "HAM10000_segmentations_lesion_tschandl"


class TestHam10000:
    @pytest.fixture
    def root(self, tmp_path):
        files = {f"HAM10000_images_part_{n}/ISIC_002430{5 + n}.jpg": encoded(".jpg", photograph(n)) for n in (1, 2)}
        return put(tmp_path / "ham", {**files, "HAM10000_metadata.csv": HAM + HAM_ROWS})

    def test_the_masks_are_a_download_of_their_own(self, root, tmp_path):
        before = import_folder("ham10000", root)
        assert not before.manifest.has_masks
        assert f"- {FOLDER} (masks)" in report_text(before, tmp_path / "out")
        put(root, {f"{FOLDER}/ISIC_002430{n}_segmentation.png": png_mask(n) for n in (6, 7)})
        after = import_folder("ham10000", root)
        assert masks_of(after) == {"HAM10000_images_part_1/ISIC_0024306.jpg": f"{FOLDER}/ISIC_0024306_segmentation.png"}
        assert after.reasons() == {"unknown site": 1}

    def test_without_locations_no_row_is_dropped_for_its_site(self, root):
        put(root, {f"{FOLDER}/ISIC_0024307_segmentation.png": png_mask(7)})
        imported = import_folder("ham10000", root, without_locations=True)
        assert [bool(mask) for mask in masks_of(imported).values()] == [False, True]
        assert imported.manifest.location_names == ()

    def test_masks_that_are_not_of_one_mind(self, root):
        """The same name in two folders, and other bytes: no mask is better than the wrong one."""
        for folder, number in (("one", 6), ("two", 7)):
            put(root, {f"{folder}/ISIC_0024306_segmentation.png": png_mask(number)})
        imported = import_folder("ham10000", root)
        assert masks_of(imported)["HAM10000_images_part_1/ISIC_0024306.jpg"] == ""
        assert "differ" in imported.masks.missing["HAM10000_images_part_1/ISIC_0024306.jpg"]


OPTIONS = {"image_column": "id", "lesion_column": ("what",), "mask_column": "outline", "split_column": "part"}


def test_a_table_of_ones_own_with_masks_and_splits(tmp_path):
    rows = "1.jpg,a,m/one.png,Training\n2,b,nan,val\n3,b,two,\n4,a,,elsewhere\n"
    root = put(tmp_path, {"table.csv": f"id,what,outline,part\n{rows}", "m/one.png": png_mask(1), "two.png": b"2"})
    put(root, {f"{n}.jpg": encoded(".jpg", photograph(n)) for n in (1, 2, 3, 4)})
    imported = import_folder("csv", root, OPTIONS, without_locations=True)
    assert [(row.mask, row.split) for row in imported.manifest.rows] == [
        ("m/one.png", "train"),
        ("", "validation"),
        ("two.png", ""),
    ]
    assert dropped(imported) == [(5, "4", "unknown split", "elsewhere")]
    with pytest.raises(InputError, match="Give --location-column or --location-prefix, or --without-locations"):
        import_folder("csv", root, OPTIONS)


def test_two_rows_of_one_image_in_two_splits_contradict(tmp_path):
    root = put(tmp_path, {"table.csv": "id,what,outline,part\n1,a,,train\n1,a,,test\n2,a,,test\n"})
    put(root, {f"{n}.jpg": encoded(".jpg", photograph(n)) for n in (1, 2)})
    imported = import_folder("csv", root, OPTIONS, without_locations=True)
    assert imported.reasons() == {"contradictory duplicate": 2}
    assert dropped(imported)[0][3] == "1.jpg: a / train"
