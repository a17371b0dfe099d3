"""Whatever bytes the tables have, an import is an InputError in one line, or a report in which every row is counted."""

from __future__ import annotations

import csv
import io
import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_files.errors import InputError
from skinmtl.data.manifest import read_manifest
from skinmtl.importers.importer import Found, Importer
from skinmtl.importers.importing import import_dataset
from skinmtl.importers.registry import importers
from skinmtl.importers.report import write_import

CSV_OPTIONS = {"image_column": "id", "lesion_column": ("what",), "location_column": "where", "group_column": ("p",)}
SCIN_SITES = (
    "body_parts_head_or_neck,body_parts_arm,body_parts_palm,body_parts_back_of_hand,body_parts_torso_front,"
    "body_parts_torso_back,body_parts_genitalia_or_groin,body_parts_buttocks,body_parts_leg,"
    "body_parts_foot_top_or_side,body_parts_foot_sole,body_parts_other"
)

# importer -> options and tables; the rows of the first table are the rows read, where `counted` says so
SAMPLES = {
    "csv": (CSV_OPTIONS, {"table.csv": 'id,what,where,p\n1.jpg,a;b,"arm, left",p1\n2,c,unknown,\n2,a,leg,p2\n'}),
    "dermacon-in": (
        {},
        {
            "Skin_Metadata.csv": "Image_name,Subject_ID,Body_part,Descriptors\n"
            '1.jpg,S1,Back,"Papule, Scale"\n2.jpg,S1,"Neck,Back",Scale\n3.jpg,,Palms,Crust\n'
        },
    ),
    "dermacon-in splits": (
        {},
        {
            "train_split.csv": "Image_name,Subject_ID,Body_part_Back,Body_part_Neck,Descriptor_Scale\n"
            "1.jpg,S1,1,0,1\n2.jpg,S1,1,1,1\n3.jpg,S2,0,1,0\n"
        },
    ),
    "scin": (
        {},
        {
            "scin_cases.csv": f"case_id,image_1_path,image_2_path,image_3_path,{SCIN_SITES}\n"
            "-1,a/1.png,a/2.png,,,YES,,,,,,,,,,\n2,3.png,,,YES,YES,,,,,,,,,,\n",
            "scin_labels.csv": 'case_id,weighted_skin_condition_label\n-1,"{\'a\': 0.6, ""b\'s"": 0.4}"\n2,{}\n',
        },
    ),
    "pad-ufes-20": (
        {},
        {
            "metadata.csv": "patient_id,lesion_id,region,diagnostic,img_id\n"
            "P1,8,ARM,NEV,P1_8.png\nP2,8,,BCC,P2_8.png\nP1,8,FACE,NEV,P1_9.png\n"
        },
    ),
    "ham10000": (
        {},
        {
            "HAM10000_metadata.csv": "lesion_id,image_id,dx,dx_type,age,sex,localization\n"
            "H1,I1,nv,histo,80.0,male,scalp\nH1,I2,nv,histo,80.0,male,unknown\nH2,I3,mel,histo,,male,back\n"
        },
    ),
    "isic2019": (
        {},
        {
            "ISIC_2019_Training_GroundTruth.csv": "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK\n"
            "I1,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\nI2_downsampled,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\n",
            "ISIC_2019_Training_Metadata.csv": "image,age_approx,anatom_site_general,lesion_id,sex\n"
            "I1,55.0,anterior torso,L1,female\nI2_downsampled,,head/neck,,male\n",
        },
    ),
    "isic2020": (
        {},
        {
            "ISIC_2020_Training_GroundTruth_v2.csv": "image_name,patient_id,lesion_id,sex,age_approx,"
            "anatom_site_general_challenge,diagnosis,benign_malignant,target\n"
            "I1,P1,L1,male,45.0,head/neck,nevus,benign,0\nI2,P2,L2,male,,torso,nevus,benign,0\n",
            "ISIC_2020_Training_Duplicates.csv": "image_name_1,image_name_2\nI1,I3\n",
        },
    ),
    "isic-archive": (
        {},
        {
            "metadata.csv": "isic_id,anatom_site_general,diagnosis_1,diagnosis_2,patient_id,lesion_id\n"
            "I1,head/neck,Benign,Nevus,P1,L1\nI2,,Malignant,Melanoma,,L2\n"
        },
    ),
    "derm7pt": (
        {},
        {
            "meta.csv": "case_num,diagnosis,pigment_network,location,clinic,derm,case_id\n"
            "1,clark nevus,absent,back,NEL/1.jpg,NEL/2.JPG,\n2,melanoma,atypical,head neck,a.jpg,b.jpg,\n",
            "train_indexes.csv": "indexes\n0\n",
        },
    ),
    "isic2016": (
        {},
        {
            "ISBI2016_ISIC_Part3_Training_GroundTruth.csv": "ISIC_0000001,benign\nISIC_0000002,malignant\n",
            "ISBI2016_ISIC_Part3_Test_GroundTruth.csv": "ISIC_0000003,0.0\nISIC_0000004,1.0\n",
        },
    ),
    "isic2017": (
        {},
        {
            "ISIC-2017_Training_Part3_GroundTruth.csv": "image_id,melanoma,seborrheic_keratosis\n"
            "ISIC_0000001,0.0,1.0\nISIC_0000002,1.0,0.0\n",
            "ISIC-2017_Training_Data_metadata.csv": "image_id,age_approximate,sex\nISIC_0000001,unknown,female\n",
        },
    ),
    "isic2018": (
        {},
        {
            "ISIC2018_Task3_Training_GroundTruth.csv": "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\n"
            "I1,0.0,1.0,0.0,0.0,0.0,0.0,0.0\nI2,1.0,0.0,0.0,0.0,0.0,0.0,0.0\n",
            "ISIC2018_Task3_Training_LesionGroupings.csv": "image,lesion_id,diagnosis_confirm_type\nI1,L1,histo\n",
        },
    ),
    "ph2": (
        {},
        {
            "PH2_dataset.txt": "|| Name || Histological Diagnosis || Clinical Diagnosis || Asymmetry ||\n"
            "|| IMD003 ||  || 0 || 1 ||\n|| IMD058 || Melanoma || 2 || 1 ||\n\nLegends:\n",
        },
    ),
}
FOLDER_OF = {"isic2018": "ISIC2018_Task1-2_Training_Input"}  # sets whose rows are the images I1 and I2 in it
ONE_ROW_A_RECORD = ("csv", "dermacon-in", "pad-ufes-20", "ham10000", "derm7pt")  # importers of one table

mutation = st.tuples(
    st.integers(0, 10_000),
    st.integers(0, 4),
    st.one_of(
        st.binary(max_size=6),
        st.sampled_from(
            [b'"', b",", b"\n", b"\r", b"\r\n", b"\0", b";", b"\xff", b"\xef\xbb\xbf", b"{'a': 1}", b"'", b"..", b"/"]
        ),
        st.sampled_from(["\u2028", "e\u0301", "\x85", "\ud7ff", "\U0001f600", "  "]).map(lambda text: text.encode()),
    ),
)


CELL = st.one_of(
    st.sampled_from(
        ["", " ", "unknown", "N/A", "1", "0", "YES", "1.0", "../x", "/x.jpg", "a;b", "a, b", "I1", "1.jpg"]
    ),
    st.sampled_from(
        ["{'a': 1}", "{'a': 1e999}", "{", "nan", "-1", "99", "0", "a\nb", "a\rb", ";", "\0", "'", '"', "\\"]
    ),
    st.text(st.characters(blacklist_categories=("Cs",)), max_size=4),
)
replacement = st.tuples(st.integers(0, 10_000), CELL)


def mutated(text, cells, bytes_):
    """A table with cells replaced, properly quoted, and then bytes replaced, at any place."""
    records = [record for record in csv.reader(text.splitlines()) if record]
    for place, new in cells:
        record = records[1 + place % (len(records) - 1)]
        record[place % len(record)] = new
    made = io.StringIO()
    csv.writer(made, lineterminator="\n").writerows(records)
    data = made.getvalue().encode("utf-8", "replace")
    for place, length, new in bytes_:
        start = place % (len(data) + 1)
        data = data[:start] + new + data[start + length :]
    return data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def check(importer, root, options, metadata_only=None):
    """Imports and writes; returns what came of it, or None where the input was refused."""
    metadata_only = importer.name not in FOLDER_OF if metadata_only is None else metadata_only
    out = root.parent / "out"
    shutil.rmtree(str(out), ignore_errors=True)
    try:
        imported = import_dataset(importer, root, options, metadata_only=metadata_only)
    except InputError as error:
        assert all(line.startswith(str(root.parent)) for line in str(error).split("\n"))
        return None
    write_import(imported, out, {})
    manifest = read_manifest(out / "manifest.csv")
    assert [(row.image, row.lesions, row.location, row.group) for row in manifest.rows] == [
        (row.image, row.lesions, row.location, row.group) for row in imported.manifest.rows
    ]
    record = json.loads((out / "import.json").read_text(encoding="utf-8"))
    with open(str(out / "dropped.csv"), encoding="utf-8", newline="") as file:
        dropped = sum(1 for _ in csv.reader(file)) - 1
    assert record["rows_read"] == record["rows_kept"] + record["rows_dropped"]
    assert record["rows_read"] == len(manifest.rows) + dropped
    assert sum(record["dropped"].values()) == dropped
    assert sum(record["locations"].values()) == (record["rows_kept"] if importer.has_sites else 0)
    return imported


def write_images(root, sample):
    """Those of a set that has no table of its images."""
    if sample in FOLDER_OF:
        (root / FOLDER_OF[sample]).mkdir()
        for name in ("I1.jpg", "I2.jpg"):
            (root / FOLDER_OF[sample] / name).write_bytes(name.encode())


def write(root, tables, sample=""):
    shutil.rmtree(str(root), ignore_errors=True)
    root.mkdir()
    write_images(root, sample)
    for name, data in tables.items():
        (root / name).write_bytes(data)


@pytest.mark.parametrize("sample", SAMPLES)
@settings(max_examples=20, derandomize=True, deadline=None)
@given(st.data())
def test_mutated_tables(folder, sample, data):
    options, tables = SAMPLES[sample]
    importer = importers()[sample.split()[0]]
    how = st.one_of(
        st.tuples(st.lists(replacement, max_size=4), st.just([])),
        st.tuples(st.just([]), st.lists(mutation, max_size=2)),
    )
    write(folder / "set", {name: mutated(text, *data.draw(how, label=name)) for name, text in tables.items()}, sample)
    imported = check(importer, folder / "set", options)
    if imported is not None and sample in ONE_ROW_A_RECORD:
        with open(str(folder / "set" / next(iter(tables))), encoding="utf-8-sig", newline="") as file:
            assert imported.rows_read == sum(1 for record in csv.reader(file) if record) - 1


@pytest.mark.parametrize("sample", SAMPLES)
@settings(max_examples=8, derandomize=True, deadline=None)
@given(st.data())
def test_arbitrary_tables(folder, sample, data):
    options, tables = SAMPLES[sample]
    write(folder / "set", {name: data.draw(st.binary(max_size=60)) for name in tables})
    assert check(importers()[sample.split()[0]], folder / "set", options) is None


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_samples_themselves_are_imported(folder, sample):
    options, tables = SAMPLES[sample]
    write(folder / "set", {name: text.encode() for name, text in tables.items()}, sample)
    imported = check(importers()[sample.split()[0]], folder / "set", options)
    assert imported is not None
    assert imported.manifest.rows


def test_every_importer_has_a_sample():
    assert {sample.split()[0] for sample in SAMPLES} == set(importers())


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.one_of(st.binary(max_size=40), st.text(st.sampled_from('ab,;"\n from,to'), max_size=40).map(str.encode)))
def test_any_site_map(folder, data):
    path = folder / "map.csv"
    path.write_bytes(data if data.startswith(b"\xff") else b"from,to\n" + data)
    rows = [Found(folder / "t.csv", 2 + n, str(n), ("x",), sites) for n, sites in enumerate(SITES)]
    importer = Importer("made", "made", "", "", "multi", "", lambda source: rows)
    try:
        imported = import_dataset(importer, folder, metadata_only=True, site_map=path)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert len(rows) == imported.rows_read == len(imported.manifest.rows) + len(imported.dropped)
        assert all(row.location and ";" not in row.location for row in imported.manifest.rows)


SITES = ((), ("a",), ("b",), ("a", "b"), ("unknown",), ("a", "unknown"), ("c", "b", "a"))
TEXT = st.text(st.sampled_from("ab ;,/.\\'\"\n\r\t\0\ud800\xe9e\u0301\u2028|#1"), max_size=5)
ROW = st.tuples(TEXT, st.lists(TEXT, max_size=3), st.lists(TEXT, max_size=2), TEXT, TEXT)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.lists(ROW, max_size=8), st.booleans())
def test_whatever_an_importer_finds(folder, rows, metadata_only):
    def read(source):
        for line, (image, lesions, sites, group, other) in enumerate(rows, 2):
            yield Found(
                source.root / "t.csv",
                line,
                image,
                tuple(lesions),
                tuple(sites),
                group,
                lesion_id=group,
                others={"note": other},
            )

    write(folder / "set", {f"{name}.jpg": name.encode() for name in ("a", "b", "ab", "1", "a,b")})
    importer = Importer("made", "made", "", "", "multi", "", read)
    imported = check(importer, folder / "set", {}, metadata_only)
    assert imported is None or imported.rows_read == len(rows)
