"""Images are found by what tables call them; what is missing or ambiguous is dropped and said."""

from __future__ import annotations

import pytest
from made_importer import importer_of

from caffe_files.errors import InputError
from skinmtl.images import formats
from skinmtl.importers.importing import UNREAD_IMAGE, import_dataset
from skinmtl.importers.report import summary


class TestImages:
    @pytest.fixture
    def place(self, tmp_path):
        def place(*names, data=b"x"):
            for name in names:
                path = tmp_path / "data" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)

        place("table.txt")
        return place

    def take(self, tmp_path, *images, **fields):
        rows = [(image, ("a",), ("arm",)) for image in images]
        return import_dataset(importer_of(rows, **fields), tmp_path / "data")

    @pytest.mark.parametrize(
        "file, asked",
        [
            ("1.jpg", "1"),
            ("1.jpg", "1.jpg"),
            ("1.JPG", "1.jpg"),
            ("1.jpg", "1.JPG"),
            ("part 1/deep/1.jpeg", "1"),
            ("1.png", "1.jpg"),
            ("images/1.jpg", "data/set/images/1.jpg"),
            ("images/1.jpg", "images\\1.jpg"),
            ("ISIC_1.v2.jpg", "ISIC_1.v2"),
            ("e\u0301.jpg", "\u00e9"),  # macOS writes an accented letter as two characters
            ("a,b; c.jpg", "a,b; c"),
        ],
    )
    def test_found_by_id_or_path_in_any_case_with_or_without_ending_in_any_folder(self, tmp_path, place, file, asked):
        place(file)
        assert self.take(tmp_path, asked).manifest.rows[0].image == file

    def test_what_is_not_there_is_dropped_and_hidden_files_are_not_there(self, tmp_path, place):
        place("1.jpg", "._2.jpg", ".cache/3.jpg", "4.txt")
        imported = self.take(tmp_path, "1", "2", "3", "4")
        assert imported.reasons() == {"missing image": 3}
        assert imported.rows_read == 4

    @pytest.mark.parametrize("ending", [".jfif", ".JPE", ".dib", ".ppm"])
    def test_every_ending_of_a_format_that_is_read_is_an_images(self, tmp_path, place, ending):
        place(f"1{ending}")
        assert self.take(tmp_path, "1").manifest.rows[0].image == f"1{ending}"

    def test_what_is_there_and_not_read_has_its_true_reason(self, tmp_path, place, monkeypatch):
        monkeypatch.setattr(formats, "unread_here", lambda form: "not here" if form is formats.HEIC else "")
        place("0.jpg", "1.HEIC", "case/2.dng", "3.dat")
        imported = self.take(tmp_path, "0", "1", "1.jpg", "case/2", "3.dat", "3", "other/2")
        assert [(row.image, row.reason, row.detail) for row in imported.dropped] == [
            ("1", UNREAD_IMAGE, "1.HEIC is there; not here"),
            ("1.jpg", UNREAD_IMAGE, "1.HEIC is there; not here"),
            (
                *("case/2", UNREAD_IMAGE),
                "case/2.dng is there; a camera's raw format is not read: convert it to JPEG or PNG",
            ),
            ("3.dat", UNREAD_IMAGE, "3.dat is there; its ending is not that of an image"),
            ("3", "missing image", ""),
            ("other/2", "missing image", ""),
        ]

    def test_of_a_photograph_in_two_formats_the_one_that_is_read_is_taken(self, tmp_path, place, monkeypatch):
        monkeypatch.setattr(formats, "unread_here", lambda form: "not here" if form is formats.HEIC else "")
        place("1.heic")
        place("1.jpg", data=b"y")
        assert [row.image for row in self.take(tmp_path, "1").manifest.rows] == ["1.jpg"]

    def test_of_several_the_one_whose_folders_agree_else_none(self, tmp_path, place):
        place("train/1.jpg", "2.jpg")
        place("test/1.jpg", "2.png", data=b"y")
        imported = self.take(tmp_path, "test/1.jpg", "1", "2")
        assert [row.image for row in imported.manifest.rows] == ["test/1.jpg", "2.jpg"]
        assert [(row.reason, row.detail) for row in imported.dropped] == [
            ("ambiguous image", "test/1.jpg; train/1.jpg")
        ]

    def test_an_image_of_that_name_in_another_folder_is_another_image(self, tmp_path, place):
        place("case8/01.jpg", "photos/case9/02.png")
        imported = self.take(tmp_path, "case7/01.jpg", "CASE8/01", "set/case9/02.jpg")
        assert [row.image for row in imported.manifest.rows] == ["case8/01.jpg"]
        assert [(row.image, row.reason) for row in imported.dropped] == [
            ("case7/01.jpg", "missing image"),
            ("set/case9/02.jpg", "missing image"),
        ]
        assert summary(imported)["noticed"]["images_of_that_name_only_in_other_folders"] == {
            "case7/01.jpg": ["case8/01.jpg"],
            "set/case9/02.jpg": ["photos/case9/02.png"],
        }
        with pytest.raises(InputError, match=r"looked for 'images/02' among .* \('photos/case9/02.png' is in another"):
            self.take(tmp_path, "images/02")

    def test_folders_decide_before_endings(self, tmp_path, place):
        place("case8/01.jpg", "case7/01.png")
        assert self.take(tmp_path, "case7/01.jpg").manifest.rows[0].image == "case7/01.png"

    def test_more_folders_that_agree_win_then_the_same_case(self, tmp_path, place):
        for name in ("1.jpg", "a/1.jpg", "B/2.jpg", "b/2.jpg", "3.jpg", "c/3.jpg"):
            place(name, data=name.encode())
        imported = self.take(tmp_path, "a/1.jpg", "b/2.jpg", "x/b/1.jpg", "C/3.jpg")
        assert [row.image for row in imported.manifest.rows] == ["a/1.jpg", "b/2.jpg", "1.jpg", "c/3.jpg"]

    def test_what_the_table_lacks_comes_before_what_the_folder_lacks(self, tmp_path, place):
        place("1.jpg", "a/2.jpg")
        place("b/2.jpg", data=b"y")
        rows = [("1", ("a",), ("arm",)), ("2", (), ("arm",)), ("2", ("a",), ()), ("3", ("a",), ("arm", "leg"))]
        imported = import_dataset(importer_of(rows), tmp_path / "data")
        assert [(row.reason, row.detail) for row in imported.dropped] == [
            ("no lesion label", ""),
            ("no site", ""),
            ("several sites", "arm;leg"),
        ]

    def test_all_ambiguous_says_what_to_do(self, tmp_path, place):
        place("full/1.jpg")
        place("small/1.jpg", data=b"y")
        with pytest.raises(InputError, match=r"1 ambiguous image; name the folder .* \(--images\)"):
            self.take(tmp_path, "1")

    def test_the_data_sets_own_ending_wins_in_any_case(self, tmp_path, place):
        place("1.JPG")
        place("1.png", data=b"y")
        assert self.take(tmp_path, "1").manifest.rows[0].image == "1.JPG"

    def test_copies_with_the_same_bytes_count_as_one(self, tmp_path, place):
        place("HAM_part_1/1.jpg", "ham_part_1/1.jpg")
        imported = self.take(tmp_path, "1")
        assert imported.manifest.rows[0].image == "HAM_part_1/1.jpg"
        assert summary(imported)["noticed"]["images_in_several_places"]["1"] == [
            *("HAM_part_1/1.jpg", "ham_part_1/1.jpg")
        ]

    def test_files_that_cannot_stand_in_a_manifest_are_named(self, tmp_path, place):
        place("1.jpg", " 2.jpg", "3\n.jpg")
        (tmp_path / "data" / b"4\xe6.jpg".decode("utf-8", "surrogateescape")).write_bytes(b"x")
        imported = self.take(tmp_path, "1", "2", "4\xe6")
        assert imported.reasons() == {"missing image": 2}
        assert summary(imported)["noticed"]["image_files_that_cannot_stand_in_a_manifest"] == [
            *("' 2.jpg'", "'3\\n.jpg'", "'4\\udce6.jpg'")
        ]

    def test_a_link_that_leads_back_ends(self, tmp_path, place):
        place("images/1.jpg")
        (tmp_path / "data" / "images" / "loop").symlink_to(tmp_path / "data", target_is_directory=True)
        imported = self.take(tmp_path, "1")
        assert imported.manifest.rows[0].image == "images/1.jpg"
        assert "images_in_several_places" not in summary(imported)["noticed"]

    def test_all_missing_says_what_was_looked_for_where(self, tmp_path, place):
        place("2.jpg")
        with pytest.raises(InputError) as error:
            self.take(tmp_path, "1")
        for word in ("1 missing image", "'1'", "1 image files below", "--images", "--metadata-only"):
            assert word in str(error.value)

    def test_images_in_another_folder(self, tmp_path, place):
        place("elsewhere/1.jpg")
        images = tmp_path / "data" / "elsewhere"
        (tmp_path / "tables").mkdir()
        rows = [("1", ("a",), ("arm",))]
        imported = import_dataset(importer_of(rows), tmp_path / "tables", images=images)
        assert imported.manifest.rows[0].image == "1.jpg"

    def test_no_folder(self, tmp_path):
        with pytest.raises(InputError, match="no such folder"):
            self.take(tmp_path, "1")
