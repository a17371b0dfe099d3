"""What a manifest's reader passes over and tells, and what it refuses: all faults in one run."""

from __future__ import annotations

import pytest

from caffe_files.errors import InputError
from skinmtl.data.manifest import read_manifest

HEADER = "image,lesions,location\n"


@pytest.fixture
def write(tmp_path):
    """A function that writes a manifest, and label files beside it; returns its path."""

    def write(text, lesions=None, locations=None):
        for name, of_file in (("manifest.csv", text), ("lesions.txt", lesions), ("locations.txt", locations)):
            if of_file is not None:
                (tmp_path / name).write_bytes(of_file if isinstance(of_file, bytes) else of_file.encode())
        return tmp_path / "manifest.csv"

    return write


def test_what_spreadsheets_write_is_passed_over_and_told(write):
    text = "sep=,\n  \nimage,lesions,location,group,\n1.jpg,a,x,p,\n,,,,\n   \n"
    text += "2.jpg,a,x,p,,,\n3.jpg,a,x,p\n4.jpg,a,x,p,note\n"
    manifest = read_manifest(write(text))
    assert [(row.line, row.image) for row in manifest.rows] == [(4, "1.jpg"), (7, "2.jpg"), (8, "3.jpg"), (9, "4.jpg")]
    notes = "\n".join(manifest.notes)
    for words in (
        "no header",
        "3 lines of commas",
        "1 line with more commas",
        "1 line with a value in a column without",
    ):
        assert words in notes


def test_a_missing_column_is_told_where_the_header_stands(write):
    with pytest.raises(InputError) as error:
        read_manifest(write("sep=,\nimage,Lesion,location\n1.jpg,a,x\n"))
    told = str(error.value).splitlines()
    assert [line.partition("manifest.csv")[2] for line in told] == [
        ":2: no column 'lesions' ('Lesion' is near); the header must have image,lesions",
    ]


OTHER_FILES = {
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    "a web page": b"<!DOCTYPE html>\n<html><body>Sign in</body></html>\n",
    "an Excel workbook": b"PK\x03\x04....[Content_Types].xml",
    "a HEIC image": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
}


@pytest.mark.parametrize("kind", OTHER_FILES)
def test_what_is_no_table_is_named(write, kind):
    path = write(OTHER_FILES[kind])
    with pytest.raises(InputError, match=f"manifest.csv: is {kind}.*, no CSV table; "):
        read_manifest(path)
    named = write(HEADER + "1.jpg,a,x\n", lesions=OTHER_FILES[kind])
    with pytest.raises(InputError, match=f"lesions.txt: is {kind}"):
        read_manifest(named)


def test_all_faults_are_told_in_one_run(write):
    lines = ["1.jpg,,x", "2.jpg,a", "/3.jpg,a,x", "4.jpg,nan,x", "5.jpg,b,x", "1.jpg,a,x", "6.jpg,b,x"]
    with pytest.raises(InputError) as error:
        read_manifest(write(HEADER + "\n".join(lines), lesions="a\na\n"))
    told = str(error.value).splitlines()
    assert len(told) == 7
    for start in (":2: an empty", ":3: 2 fields", ":4: image", ":7: image '1.jpg' is on line 2", "lesions.txt:2: 'a'"):
        assert any(start in line for line in told), start
    assert any(":5: lesion 'nan' stands for no value; " in line for line in told)
    assert any(":6: lesion 'b' is not in lesions.txt (and 1 more such)" in line for line in told)


def test_of_many_faults_the_first_are_told_and_the_others_counted(tool, write, tmp_path):
    path = write(HEADER + "".join(f"{n}.jpg,,x\n" for n in range(50)))
    done = tool("make_folds.py", "--manifest", path, "--out", tmp_path / "folds.csv")
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (1, 21)
    assert lines[19] == f"make_folds.py: {path}:21: an empty lesion label; name one or more lesions, joined by ';'"
    assert lines[20] == f"make_folds.py: {path}: 30 more faults"


def test_a_word_that_lesions_txt_lists_is_a_name(write):
    path = write(HEADER + "1.jpg,none,-\n", lesions="none\n", locations="-\n")
    assert read_manifest(path).lesion_names == ("none",)
    with pytest.raises(InputError, match="location '-' stands for no value"):
        read_manifest(write(HEADER + "1.jpg,a,-\n", lesions="a\n", locations="x\n"))


def test_such_a_name_is_found_by_who_describes_the_data(tool, write, tmp_path):
    path = write(HEADER + "1.jpg,none,x\n2.jpg,a,x\n", lesions="none\na\n")
    said = tool("describe.py", "--manifest", path, "--out", tmp_path / "out").stdout
    assert "words that usually stand for no value are taken as names: none" in said


def test_names_come_in_their_one_spelling_and_that_is_told(write):
    text = HEADER + "1.jpg,blue\u00a0nae\u0300vus,left\u3000arm\n"
    manifest = read_manifest(write(text, lesions="blue na\u00e8vus\n"))
    assert (manifest.lesion_names, manifest.location_names) == (("blue na\u00e8vus",), ("left arm",))
    assert "2 names are read with single plain spaces and composed letters, such as 'blue\\xa0" in manifest.notes[0]


@pytest.mark.parametrize("character", "\u00ad\u200b\u202e\u2066\u200d\ufeff")
def test_what_cannot_be_seen_is_refused_at_the_door(write, character):
    for text in (f"1.jpg,a{character}b,x\n", f"1.jpg,a,x{character}y\n"):
        with pytest.raises(InputError, match=r"manifest\.csv:2: an? .*U\+"):
            read_manifest(write(HEADER + text))
    with pytest.raises(InputError, match=r"manifest\.csv:2: .*U\+"):
        read_manifest(write(f"image,lesions,location,group\n1.jpg,a,x,p{character}q\n"))
    with pytest.raises(InputError, match=r"lesions\.txt:1: .*U\+"):
        read_manifest(write(HEADER + "1.jpg,a,x\n", lesions=f"a{character}b\na\n"))
