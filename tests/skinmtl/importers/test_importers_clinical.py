"""DermaCon-IN, SCIN and PAD-UFES-20, on tables with the real headers (tests/data/headers) and a row for each trap."""

from __future__ import annotations

import csv

import pytest
from conftest import ROOT

from caffe_files.errors import InputError
from skinmtl.importers.importing import import_dataset
from skinmtl.importers.registry import importers

HEADERS = ROOT / "tests/data/headers"


@pytest.fixture
def table(tmp_path):
    """Writes a table with the header of tests/data/headers; a row has the columns given, and nothing in the others."""

    def table(name, *rows, header=None, everywhere=""):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = (HEADERS / (header or name)).read_text(encoding="utf-8").strip().split(",")
        with open(str(path), "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, restval=everywhere)
            writer.writeheader()
            writer.writerows(rows)
        return path

    return table


@pytest.fixture
def take(tmp_path):
    def take(name, metadata_only=True, **options):
        imported = import_dataset(importers()[name], tmp_path / "set", options, metadata_only=metadata_only)
        assert imported.rows_read == len(imported.manifest.rows) + len(imported.dropped)
        return imported

    return take


def kept(imported):
    return [(row.image, ";".join(row.lesions), row.location, row.group) for row in imported.manifest.rows]


def dropped(imported):
    return [(row.line, row.image, row.reason) for row in imported.dropped]


class TestDermaConIn:
    ROWS = (
        (
            "IMG_0002.jpg",
            "Groin (Inguinal Region),Lower Extremities Thighs (Femoral Region)",
            "Erythema, Plaque",
            "SUB1",
        ),
        ("IMG_0009.jpg", "Head Cheeks", "Papule", "SUB2"),
        ("IMG_0010.jpg", "Back", "Patch; White (Hypopigmentation);Scale", "SUB2"),
        ("IMG_0011.jpg", "Trunk Back (Dorsum)", "Exophytic/Fungating, Scale", ""),
        ("IMG_0012.jpg", "", "Scale", "SUB3"),
        ("IMG_0013.jpg", "N/A", "Scale", "SUB3"),
        ("IMG_0014.jpg", "Neck", "N/A", "SUB3"),
        ("IMG_0009.jpg", "Head Cheeks", "Papule", "SUB2"),
        ("IMG20241218121213_01.jpg", "Palms", "Scale", "SUB4"),
    )
    KEPT = (
        ("IMG_0009.jpg", "Papule", "Head Cheeks", "SUB2"),
        ("IMG_0010.jpg", "Patch;White (Hypopigmentation);Scale", "Back", "SUB2"),
        ("IMG_0011.jpg", "Exophytic/Fungating;Scale", "Trunk Back (Dorsum)", "IMG_0011.jpg"),
        ("IMG20241218121213_01.jpg", "Scale", "Palms", "SUB4"),
    )
    DROPPED = (
        (2, "IMG_0002.jpg", "several sites"),
        (6, "IMG_0012.jpg", "no site"),
        (7, "IMG_0013.jpg", "unknown site"),
        (8, "IMG_0014.jpg", "unknown lesion"),
        (9, "IMG_0009.jpg", "duplicate"),
    )

    def metadata(self, table):
        columns = ("Image_name", "Body_part", "Descriptors", "Subject_ID")
        table("METADATA/Skin_Metadata.csv", *(dict(zip(columns, row)) for row in self.ROWS), header="Skin_Metadata.csv")

    def test_the_metadata_with_each_of_its_traps(self, table, take):
        self.metadata(table)
        imported = take("dermacon-in")
        assert kept(imported) == list(self.KEPT)
        assert dropped(imported) == list(self.DROPPED)

    def test_what_tells_subgroups_is_kept(self, table, take):
        row = dict(zip(("Image_name", "Body_part", "Descriptors", "Subject_ID"), self.ROWS[1]))
        facts = {"Sex": "Male", "Age": "31", "Fitzpatrick": "4", "Monk_skin_tone": "6"}
        table("METADATA/Skin_Metadata.csv", {**row, **facts}, header="Skin_Metadata.csv")
        others = take("dermacon-in").manifest.rows[0].others
        assert {name.lower(): value for name, value in facts.items()}.items() <= others.items()
        assert set(importers()["dermacon-in"].subgroups) <= set(others)

    def split(self, table, name, *rows):
        table(
            f"METADATA/{name}",
            *(
                {"Image_name": image, "Subject_ID": subject, **dict.fromkeys(columns, "1")}
                for image, subject, columns in rows
            ),
            header="train_split.csv",
            everywhere="0",
        )

    def test_the_split_files_where_there_is_nothing_else(self, table, take):
        self.split(
            table,
            "train_split.csv",
            ("1.jpg", "SUB1", ("Body_part_Back", "Descriptor_Scale", "Descriptor_Exophytic/Fungating")),
            ("2.jpg", "SUB2", ("Body_part_Back", "Body_part_Neck", "Descriptor_Scale")),
            ("3.jpg", "SUB2", ("Body_part_Back",)),
            ("4.jpg", "SUB2", ("Descriptor_Scale",)),
        )
        self.split(table, "test_split.csv", ("5.jpg", "SUB3", ("Body_part_Tongue", "Descriptor_Ulcer")))
        imported = take("dermacon-in")
        assert kept(imported) == [
            ("1.jpg", "Exophytic/Fungating;Scale", "Back", "SUB1"),
            ("5.jpg", "Ulcer", "Tongue", "SUB3"),
        ]
        assert [row.split for row in imported.manifest.rows] == ["train", "test"]
        assert dropped(imported) == [
            (3, "2.jpg", "several sites"),
            (4, "3.jpg", "no lesion label"),
            (5, "4.jpg", "no site"),
        ]

    def test_which_files_are_read(self, table, take):
        self.metadata(table)
        self.split(table, "test_split.csv", ("5.jpg", "SUB3", ("Body_part_Tongue", "Descriptor_Ulcer")))
        assert take("dermacon-in").rows_read == len(self.ROWS)
        assert take("dermacon-in", table="splits").rows_read == 1

    def test_a_cell_that_is_neither_0_nor_1(self, table, take):
        path = table(
            "train_split.csv",
            {"Image_name": "1.jpg", "Body_part_Back": "maybe", "Descriptor_Scale": "1"},
            {"Image_name": "2.jpg", "Body_part_Back": "1.0", "Descriptor_Scale": "1.0"},
            everywhere="0",
        )
        imported = take("dermacon-in")
        assert dropped(imported) == [(2, "1.jpg", "neither 0 nor 1")]
        assert imported.dropped[0].detail == "Body_part_Back=maybe"
        path.write_text("Image_name,Subject_ID\n1.jpg,SUB1\n")
        with pytest.raises(InputError, match="no columns Body_part_"):
            take("dermacon-in")

    def test_no_table(self, tmp_path, take):
        (tmp_path / "set").mkdir()
        (tmp_path / "set" / "Skin_Metadata (1).csv").write_text("")
        with pytest.raises(InputError, match=r"no Skin_Metadata.csv or .* \(Skin_Metadata \(1\).csv is near\)"):
            take("dermacon-in")


class TestScin:
    """Case ids are signed 64-bit numbers: these two are the same number to a reader of floats."""

    FIRST, SECOND = "-9223372036854775807", "-9223372036854775806"

    def cases(self, table, *rows):
        columns = ("case_id", "image_1_path", "image_2_path", "image_3_path")
        table(
            "dataset/scin_cases.csv",
            *(
                {**dict(zip(columns, names)), **{f"body_parts_{site}": "YES" for site in sites}}
                for names, sites in rows
            ),
            header="scin_cases.csv",
        )

    def labels(self, table, *rows):
        columns = ("case_id", "weighted_skin_condition_label")
        table("dataset/scin_labels.csv", *(dict(zip(columns, row)) for row in rows), header="scin_labels.csv")

    def test_cases_and_labels_with_each_of_their_traps(self, table, take):
        image = "dataset/images/{}.png".format
        self.cases(
            table,
            ((self.FIRST, image(-1), image(2), image(3)), ["arm"]),
            ((self.SECOND, image(4), "", image(5)), ["leg"]),
            (("3", image(6)), ["arm", "leg"]),
            (("4", image(7)), []),
            (("5", image(8)), ["palm"]),
            (("6", image(9)), ["palm"]),
            (("7", image(10)), ["palm"]),
            (("8", image(11)), ["palm"]),
            (("9",), ["palm"]),
            (("10", image(12)), ["other"]),
            (("11", image(2)), ["arm"]),
            (("12", image(13)), ["arm"]),
            (("", image(14)), ["arm"]),
        )
        self.labels(
            table,
            (self.FIRST, "{'Eczema': 0.69, 'Lupus, \"discoid\"': 0.3, 'Psoriasis': 0.01}"),
            (self.SECOND, '{"Kaposi\'s sarcoma": 1}'),
            *((case, "{'Acne': 1.0}") for case in ("3", "4", "9", "10", "99")),
            ("5", ""),
            ("6", "{}"),
            ("7", "{'Acne': 0.2, 'Rosacea': 0.2}"),
            ("8", "{'Acne': __import__('os')}"),
            ("11", "{'Eczema': 0.5, 'Lupus, \"discoid\"': 0.5}"),
            ("12", "{'Acne': 1.0}"),
            ("12", "{'Acne': 0.5}"),
            ("", "{'Acne': 1.0}"),
            ("", "{'Acne': 1.0}"),
        )
        imported = take("scin")
        first = 'Eczema;Lupus, "discoid"'
        assert kept(imported) == [
            *((image(n), first, "arm", self.FIRST) for n in (-1, 2, 3)),
            *((image(n), "Kaposi's sarcoma", "leg", self.SECOND) for n in (4, 5)),
            (image(12), "Acne", "other", "10"),
        ]
        assert dropped(imported) == [
            (8, "", "label of no case"),
            (16, "", "label of no case"),
            (17, "", "label of no case"),
            (4, image(6), "several sites"),
            (5, image(7), "no site"),
            (6, image(8), "no lesion label"),
            (7, image(9), "no lesion label"),
            (8, image(10), "no condition of the minimum weight"),
            (9, image(11), "unreadable label"),
            (10, "", "no image named"),
            (12, image(2), "duplicate"),
            (13, image(13), "label rows that contradict"),
            (14, image(14), "no lesion label"),
        ]
        assert imported.rows_read == 19  # 15 images, a case without one, three labels of no case
        assert imported.groups_joined == 1  # cases FIRST and 11 share an image

    @pytest.mark.parametrize(
        "minimum, lesions", [(0.0, ("a", "b", "c")), (0.2, ("a", "b")), (0.5, ("a",)), (0.51, None)]
    )
    def test_the_minimum_weight(self, table, take, minimum, lesions):
        self.cases(table, (("1", "1.png"), ["arm"]))
        self.labels(table, ("1", "{'a': 0.5, 'b': .2, 'c': 1e-1}"))
        if lesions is None:
            with pytest.raises(InputError, match="1 no condition of the minimum weight"):
                take("scin", minimum_weight=minimum)
        else:
            assert take("scin", minimum_weight=minimum).manifest.rows[0].lesions == lesions

    @pytest.mark.parametrize(
        "text",
        [
            *("[1]", "{1: 2}", "{'a': 'b'}", "{'a': {'b': 1}}", "{'a': 1", "{'a': nan}", "{'a': 1, 'b'}", "'a'"),
            *("[" * 5000, "{'a':" * 3000, "-" * 10_000, "{'\\N{no}': 1}", "{'" + "a" * 30_000 + "': 1}"),
        ],
    )
    def test_a_label_that_is_no_flat_dict_of_weights_is_dropped_and_never_run(self, table, take, text):
        self.cases(table, (("1", "1.png"), ["arm"]), (("2", "2.png"), ["arm"]))
        self.labels(table, ("1", "{'a': 1}"), ("2", text))
        assert dropped(take("scin")) == [(3, "2.png", "unreadable label")]

    @pytest.mark.parametrize("age, kept_age", [("AGE_30_TO_39", "AGE_30_TO_39"), ("AGE_UNKNOWN", ""), ("", "")])
    def test_what_tells_subgroups_is_kept(self, table, take, age, kept_age):
        facts = {"age_group": age, "sex_at_birth": "FEMALE", "fitzpatrick_skin_type": "FST3"}
        table("scin_cases.csv", {"case_id": "1", "image_1_path": "1.png", "body_parts_arm": "YES", **facts})
        self.labels(table, ("1", "{'a': 1}"))
        others = take("scin").manifest.rows[0].others
        assert {**facts, "age_group": kept_age}.items() <= others.items()

    def test_textures_as_labels(self, table, take):
        yes = {"body_parts_arm": "YES", "textures_flat": "YES"}
        table(
            "scin_cases.csv",
            {"case_id": "1", "image_1_path": "1.png", **yes, "textures_rough_or_flaky": "YES"},
            {"case_id": "2", "image_1_path": "2.png", **yes, "textures_flat": "perhaps"},
            {"case_id": "3", "image_1_path": "3.png", **yes, "body_parts_arm": "2"},
        )
        self.labels(table, ("1", "nonsense"))
        imported = take("scin", labels="textures")
        assert kept(imported) == [("1.png", "flat;rough_or_flaky", "arm", "1")]
        assert [(row.reason, row.detail) for row in imported.dropped] == [
            ("neither YES nor empty", "textures_flat=perhaps"),
            ("neither YES nor empty", "body_parts_arm=2"),
        ]

    def test_images_beside_the_tables_or_in_the_folders_of_the_bucket(self, table, take, tmp_path):
        self.cases(table, (("1", "dataset/images/-1.png", "dataset/images/2.png"), ["arm"]))
        self.labels(table, ("1", "{'a': 1}"))
        (tmp_path / "set" / "dataset" / "images").mkdir()
        (tmp_path / "set" / "dataset" / "images" / "-1.png").write_bytes(b"x")
        imported = take("scin", metadata_only=False)
        assert [row.image for row in imported.manifest.rows] == ["dataset/images/-1.png"]
        assert dropped(imported) == [(2, "dataset/images/2.png", "missing image")]


class TestPadUfes20:
    COLUMNS = ("patient_id", "lesion_id", "region", "diagnostic", "img_id")

    def test_the_metadata_with_each_of_its_traps(self, table, take):
        rows = (
            ("PAT_1", "8", "ARM", "NEV", "PAT_1_8_1.png"),
            ("PAT_2", "8", "FACE", "BCC", "PAT_2_8_2.png"),  # lesion 8 again: another patient's
            ("PAT_2", "8", "NOSE", "BCC", "PAT_2_8_3.png"),
            ("PAT_3", "9", "", "MEL", "PAT_3_9_4.png"),
            ("", "9", "LIP", "SEK", "PAT_4_9_5.png"),
            ("PAT_5", "9", "LIP", "", "PAT_5_9_6.png"),
        )
        table("metadata.csv", *(dict(zip(self.COLUMNS, row)) for row in rows), header="pad_ufes_20_metadata.csv")
        imported = take("pad-ufes-20")
        assert kept(imported) == [
            ("PAT_1_8_1.png", "NEV", "ARM", "PAT_1"),
            ("PAT_2_8_2.png", "BCC", "FACE", "PAT_2"),
            ("PAT_2_8_3.png", "BCC", "NOSE", "PAT_2"),
            ("PAT_4_9_5.png", "SEK", "LIP", "PAT_4_9_5.png"),
        ]
        assert dropped(imported) == [(5, "PAT_3_9_4.png", "no site"), (7, "PAT_5_9_6.png", "no lesion label")]
        assert imported.lesion_sites == {"PAT_2/8": ("FACE", "NOSE")}

    def test_the_images_lie_in_three_folders(self, table, take, tmp_path):
        rows = [("PAT_1", "8", "ARM", "NEV", f"PAT_1_8_{n}.png") for n in (1, 2, 3, 4)]
        table("metadata.csv", *(dict(zip(self.COLUMNS, row)) for row in rows), header="pad_ufes_20_metadata.csv")
        for n in (1, 2, 3):
            path = tmp_path / "set" / "images" / f"imgs_part_{n}" / f"PAT_1_8_{n}.png"
            path.parent.mkdir(parents=True)
            path.write_bytes(b"x")
        imported = take("pad-ufes-20", metadata_only=False)
        assert [row.image for row in imported.manifest.rows][2] == "images/imgs_part_3/PAT_1_8_3.png"
        assert dropped(imported) == [(5, "PAT_1_8_4.png", "missing image")]


def test_every_importer_says_where_its_data_come_from_and_needs_a_table(tmp_path):
    for importer in importers().values():
        assert importer.title and importer.home_page and importer.licence and importer.lesion_labels and importer.group
        assert importer.name == "csv" or importer.home_page.startswith("https://")
        options = {option.name: "x" for option in importer.options if option.required}
        with pytest.raises(InputError, match=r"no .*(\.csv|\.txt|_Input)"):
            import_dataset(importer, tmp_path, options)
