"""tools/import_dataset.py as a user runs it: the list, an import, the next step, and what it refuses."""

from __future__ import annotations

import hashlib
import json

import pytest

from caffe_files.errors import InputError
from skinmtl.importers import datasets
from skinmtl.importers.importing import import_dataset
from skinmtl.importers.registry import importers
from skinmtl.importers.report import write_import

TABLE = """patient_id,lesion_id,age,gender,region,diagnostic,img_id
PAT_1,8,61,FEMALE,ARM,NEV,PAT_1_8_1.png
PAT_1,8,,FEMALE,FACE,NEV,PAT_1_8_2.png
PAT_2,9,50,,,BCC,PAT_2_9_1.png
PAT_3,9,50,MALE,LIP,BCC,PAT_3_9_1.png
"""


@pytest.fixture
def downloaded(tmp_path):
    """PAD-UFES-20 with four rows and two images."""
    root = tmp_path / "PAD UFES"
    (root / "imgs_part_1").mkdir(parents=True)
    (root / "metadata.csv").write_text(TABLE)
    for name in ("PAT_1_8_1.png", "PAT_1_8_2.PNG"):
        (root / "imgs_part_1" / name).write_bytes(name.encode())
    return root


def test_an_import_from_download_to_folds(tool, downloaded, tmp_path):
    out = tmp_path / "out"
    done = tool("import_dataset.py", "pad-ufes-20", "--root", downloaded, "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split() for line in done.stdout.splitlines()[:4]] == [
        ["rows", "read", "4"],
        ["kept", "2"],
        ["dropped:", "no", "site", "1"],
        ["dropped:", "missing", "image", "1"],
    ]
    assert (out / "manifest.csv").read_text().splitlines() == [
        "image,lesions,location,group,lesion_id,biopsed,gender,age",
        "imgs_part_1/PAT_1_8_1.png,NEV,ARM,PAT_1,8,,FEMALE,61",
        "imgs_part_1/PAT_1_8_2.PNG,NEV,FACE,PAT_1,8,,FEMALE,",
    ]
    assert (out / "lesions.txt").read_text() == "NEV\n"
    assert (out / "locations.txt").read_text() == "ARM\nFACE\n"
    assert (out / "dropped.csv").read_text().splitlines() == [
        "file,line,image,reason,detail",
        f"{downloaded / 'metadata.csv'},4,PAT_2_9_1.png,no site,",
        f"{downloaded / 'metadata.csv'},5,PAT_3_9_1.png,missing image,",
    ]
    record = json.loads((out / "import.json").read_text())
    assert record["tables"] == [
        {
            "file": str(downloaded / "metadata.csv"),
            "records": 4,
            "sha256": hashlib.sha256(TABLE.encode()).hexdigest(),
        }
    ]
    assert (record["rows_read"], record["rows_kept"], record["rows_dropped"]) == (4, 2, 2)
    assert record["dropped"] == {"no site": 1, "missing image": 1}
    assert record["noticed"]["lesions_with_several_sites"] == {"PAT_1/8": ["ARM", "FACE"]}
    assert record["made_by"]["arguments"]["name"] == "pad-ufes-20"

    folds, lmdb, at_once = done.stdout.splitlines()[-3:]
    assert folds == f"next: tools/make_folds.py --manifest {out}/manifest.csv --out {out}/folds.csv"
    assert lmdb.startswith(f"then: tools/make_lmdb.py --manifest {out}/manifest.csv --images '{downloaded}' ")
    assert at_once.startswith(f"or all at once: skinmtl run {out}/manifest.csv --images '{downloaded}' --out ")
    assert "noticed: lesions with several sites (1)" in done.stdout
    assert "for evaluate.py --subgroup-column: gender (sex; 2 of 2 rows), age (age; 1 of 2 rows)\n" in done.stdout
    assert "columns for subgroups that the tables have not: fitspatrick (Fitzpatrick skin type)\n" in done.stdout
    assert "other columns kept: lesion_id (2 of 2 rows), biopsed (0 of 2 rows)\n" in done.stdout
    assert record["columns"]["age"] == {"rows": 1, "tells": "age"}
    assert "| gender | sex | 2 |" in (out / "import.md").read_text()
    folds = tool(
        "make_folds.py",
        "--manifest",
        out / "manifest.csv",
        "--out",
        out / "folds.csv",
        "--n-folds",
        "2",
        "--by",
        "image",
    )
    assert folds.returncode == 0, folds.stderr


def test_image_files_of_no_row_are_told_by_their_folders(tool, downloaded, tmp_path):
    """Such as masks below the same root, which this data set has not, and a copy of a photograph, which is one."""
    for name in ("masks/PAT_1_8_1_mask.png", "masks/PAT_1_8_2_mask.png", "stray.png"):
        (downloaded / name).parent.mkdir(exist_ok=True)
        (downloaded / name).write_bytes(name.encode())
    (downloaded / "copies").mkdir()
    (downloaded / "copies" / "PAT_1_8_1.png").write_bytes(b"PAT_1_8_1.png")
    done = tool("import_dataset.py", "pad-ufes-20", "--root", downloaded, "--out", tmp_path / "out")
    assert "image files of no kept row: 3 (2 in masks, 1 in .)\n" in done.stdout, done.stderr
    record = json.loads((tmp_path / "out" / "import.json").read_text())
    assert record["image_files_of_no_kept_row"] == {"masks": 2, ".": 1}


def test_the_same_input_gives_the_same_bytes(downloaded, tmp_path):
    made = []
    for name in ("first", "second"):
        write_import(import_dataset(importers()["pad-ufes-20"], downloaded), tmp_path / name, {"root": downloaded})
        made.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert made[0] == made[1]
    assert sorted(made[0]) == [
        *(".made.json", "dropped.csv", "import.json", "import.md", "lesions.txt", "locations.txt", "manifest.csv")
    ]


def test_the_list_shows_every_importer(tool):
    done = tool("import_dataset.py", "--list")
    assert (done.returncode, done.stderr) == (0, "")
    for importer in importers().values():
        for text in (importer.name, importer.title, importer.home_page, importer.licence, importer.group):
            assert text in done.stdout
    assert done.stdout.count("never train on one and test on") == 7


def test_a_new_importer_is_one_file(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from skinmtl.importers.importer import Found, Importer\n"
        "def read(source):\n"
        "    table = source.find('mine.csv')\n"
        "    for line, record in source.read(table, ('photo', 'label', 'place')):\n"
        "        yield Found(table, line, record['photo'], (record['label'],), (record['place'],))\n"
        "IMPORTER = Importer('mine', 'Mine', 'https://example.org', 'mine', 'single', 'the image', read)\n"
    )
    (tmp_path / "mine.csv").write_text("photo,label,place\n1,naevus,arm\n2,naevus,\n")
    monkeypatch.setattr(datasets, "__path__", [*datasets.__path__, str(tmp_path)])
    imported = import_dataset(importers()["mine"], tmp_path, metadata_only=True)
    assert [(row.image, row.lesions, row.location) for row in imported.manifest.rows] == [("1.jpg", ("naevus",), "arm")]
    assert imported.reasons() == {"no site": 1}


def test_flags_of_the_data_set_and_a_ready_map(tool, tmp_path):
    (tmp_path / "table.csv").write_text('id,what,where\n1,a|b,"Head Cheeks"\n2,a,"Head Nose;Head Chin"\n')
    arguments = ("--image-column", "id", "--lesion-column", "what", "--location-column", "where")
    done = tool(
        *("import_dataset.py", "csv", "--root", tmp_path, "--out", tmp_path / "out", "--metadata-only"),
        *(*arguments, "--group-column", "id", "--site-map", "dermacon-in", "--ending", ".png"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "manifest.csv").read_text().splitlines()[1:] == ["1.png,a|b,face,1", "2.png,a,face,2"]
    unused, following = done.stdout.splitlines()[-2:]
    assert unused.startswith("no row has these names of the site map (46): 'Head Scalp', 'Head Eye', ")
    assert (unused.count("', '"), unused[-5:]) == (9, ", ...")
    assert following.startswith("next: when the images are there, the same without --metadata-only")


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((), ["which data set"]),
        (("ham1000", "--root", "x", "--out", "y"), ["ham1000", "ham10000"]),
        (("pad-ufes-20", "--root", "x", "--out", "y", "--metadata"), ["--metadata"]),
        (("scin", "--root", "x", "--out", "y", "--minimum-weight", "2"), ["--minimum-weight", "'2'"]),
    ],
)
def test_usage(tool, arguments, words):
    done = tool("import_dataset.py", *arguments)
    assert done.returncode == 2
    assert all(word in done.stderr for word in words), done.stderr


class TestBadInput:
    def test_is_one_line_and_leaves_nothing(self, tool, refused, downloaded, tmp_path):
        arguments = ("import_dataset.py", "pad-ufes-20", "--root", downloaded, "--out")
        refused(tool(*arguments, downloaded), "exists already")
        (tmp_path / "empty").mkdir()
        finished = tool(*arguments, tmp_path / "out", "--images", tmp_path / "empty")
        refused(finished, "3 missing image", "PAT_1_8_1.png", "--metadata-only")
        (downloaded / "metadata.csv").write_text(TABLE.replace("region", "Region"))
        refused(tool(*arguments, tmp_path / "out"), "metadata.csv:1:", "'region'", "'Region' is near")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["PAD UFES", "empty"]

    @pytest.mark.parametrize(
        "arguments, words",
        [
            ({"root": "absent"}, ["absent: no such folder"]),
            ({"root": "PAD UFES/metadata.csv"}, ["no such folder"]),
            ({"root": "PAD UFES/imgs_part_1"}, ["no metadata.csv"]),
            ({"images": "absent"}, ["absent: no such folder"]),
            ({"site_map": "absent.csv"}, ["absent.csv: cannot be read"]),
            ({"site_map": "PAD UFES"}, ["PAD UFES: cannot be read"]),
        ],
    )
    def test_paths(self, downloaded, tmp_path, arguments, words):
        paths = {"root": downloaded, **{name: tmp_path / path for name, path in arguments.items()}}
        with pytest.raises(InputError) as error:
            import_dataset(importers()["pad-ufes-20"], **paths)
        assert all(word in str(error.value) for word in words), error.value
