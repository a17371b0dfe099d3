"""The columns that a manifest may have or not: location, mask and split."""

from __future__ import annotations

import pytest

from caffe_files.errors import InputError
from skinmtl.data.manifest import Row, read_manifest, write_manifest

FULL = "image,lesions,location,group,mask,split\n1.jpg,a,x,p,masks/1.png,train\n2.jpg,b,y,p,,\n"


@pytest.fixture
def write(tmp_path):
    def write(text, locations=None):
        (tmp_path / "manifest.csv").write_text(text, encoding="utf-8")
        if locations:
            (tmp_path / "locations.txt").write_text(locations, encoding="utf-8")
        return tmp_path / "manifest.csv"

    return write


def test_mask_and_split_are_read_and_kept_out_of_the_other_columns(write):
    manifest = read_manifest(write(FULL))
    assert [(row.mask, row.split) for row in manifest.rows] == [("masks/1.png", "train"), ("", "")]
    assert [dict(row.others) for row in manifest.rows] == [{}, {}]
    assert manifest.has_masks


def test_without_a_column_of_locations_there_are_no_location_names(write):
    manifest = read_manifest(write("image,lesions\n1.jpg,b\n2.jpg,a\n"))
    assert (manifest.location_names, manifest.lesion_names) == ((), ("a", "b"))
    assert [row.location for row in manifest.rows] == ["", ""]
    assert manifest.lesion_labels().tolist() == [[0, 1], [1, 0]]
    assert not manifest.has_masks
    with pytest.raises(InputError, match=r"manifest.csv: no column 'location', which is needed here; add it$"):
        manifest.location_labels()


def test_a_list_of_locations_without_the_column_is_told(write):
    manifest = read_manifest(write("image,lesions\n1.jpg,b\n", locations="x\n"))
    assert manifest.location_names == ()
    assert [note.partition("manifest.csv")[2] for note in manifest.notes] == [
        ": no column 'location': locations.txt is not read"
    ]


@pytest.mark.parametrize("text", [FULL, "image,lesions,group\n1.jpg,a,p\n2.jpg,b,p\n"], ids=["all", "few"])
def test_what_is_written_reads_back_and_has_no_empty_columns(write, tmp_path, text):
    first = read_manifest(write(text))
    (tmp_path / "out").mkdir()
    write_manifest(tmp_path / "out", first)
    again = read_manifest(tmp_path / "out" / "manifest.csv")
    assert again.rows == first.rows
    assert (tmp_path / "out" / "manifest.csv").read_text().splitlines()[0] == text.splitlines()[0]
    assert (tmp_path / "out" / "locations.txt").exists() == bool(first.location_names)


@pytest.mark.parametrize("word", ["nan", "N/A", "-", "none"])
def test_a_word_that_means_nothing_is_no_mask_and_no_split(write, word):
    manifest = read_manifest(write(f"image,lesions,mask,split\n1.jpg,a,{word},{word}\n"))
    assert (manifest.rows[0].mask, manifest.rows[0].split) == ("", "")
    notes = "\n".join(manifest.notes)
    assert f"mask: '{word}' (1) stands for no value: these images have no mask" in notes
    assert f"split: '{word}' (1) stands for no value: these images are of no split" in notes


def test_a_split_may_be_written_in_any_case(write):
    manifest = read_manifest(write("image,lesions,split\n1.jpg,a,Train\n2.jpg,a,TEST\n"))
    assert [row.split for row in manifest.rows] == ["train", "test"]


@pytest.mark.parametrize(
    "cells, words",
    [
        ("m.png,val", ["split 'val' is none of train, validation, test"]),
        ("/data/m.png,", ["mask '/data/m.png' is an absolute path"]),
        ("../m.png,", ["mask '../m.png' leaves the image folder"]),
        ('"m\n.png",', ["a line break or control character in mask"]),
        ("../m.png,val", ["leaves", "none of train"]),
    ],
)
def test_a_mask_or_split_that_cannot_be_is_refused_with_its_line(write, cells, words):
    path = write(f"image,lesions,mask,split\n0.jpg,a,,\n1.jpg,a,{cells}\n")
    with pytest.raises(InputError) as error:
        read_manifest(path)
    told = str(error.value).splitlines()
    assert len(told) == len(words)
    for line, word in zip(told, words):
        assert line.startswith(f"{path}:3: ")
        assert word in line


NEAR = {
    "mask": ["Mask", "masks", "mask_file", "mask path", "lesion-mask", "segmentation_mask"],
    "split": ["Split", "splits", "data_split", "spilt"],
    "location": ["Location", "locations", "localization", "loaction"],
}


@pytest.mark.parametrize("column, other", [(column, other) for column in NEAR for other in NEAR[column]])
def test_a_column_under_a_near_name_is_not_overlooked(write, column, other):
    path = write(f"image,lesions,{other}\n1.jpg,a,x\n")
    with pytest.raises(InputError) as error:
        read_manifest(path)
    assert str(error.value) == (
        f"{path}:1: no column {column!r}, but {other!r}; rename it to {column!r} if it is that one, else otherwise"
    )


@pytest.mark.parametrize("other", ["task", "site", "source", "segmentation", "fold", "slide", "marks"])
def test_a_column_of_another_name_is_kept(write, other):
    assert read_manifest(write(f"image,lesions,{other}\n1.jpg,a,x\n")).rows[0].others == {other: "x"}


def test_a_near_name_beside_the_column_itself_is_kept(write):
    manifest = read_manifest(
        write("image,lesions,location,mask,split,masks,splits,localization\n1.jpg,a,x,m,test,1,2,3\n")
    )
    assert manifest.rows[0].others == {"masks": "1", "splits": "2", "localization": "3"}


def test_rows_are_made_without_mask_and_split():
    assert Row(2, "1.jpg", ("a",), "x", "p") == Row(2, "1.jpg", ("a",), "x", "p", {"note": "n"}, "", "")
