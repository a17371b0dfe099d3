"""The manifest reader: what it takes, what it refuses with the line, and that nothing else ever comes out of it."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_files.errors import InputError
from skinmtl.data.manifest import Manifest, Row, read_manifest, write_manifest
from skinmtl.data.names import name_fault, spelled
from skinmtl.data.nothing import Nothings

HEADER = "image,lesions,location\n"


@pytest.fixture
def write(tmp_path):
    def write(text, lesions=None, locations=None):
        path = tmp_path / "manifest.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        for name, names in (("lesions.txt", lesions), ("locations.txt", locations)):
            if names is not None:
                (tmp_path / name).write_bytes(names if isinstance(names, bytes) else names.encode())
        return path

    return write


def test_labels_follow_the_name_files(write):
    path = write(HEADER + "1.jpg,b;a,leg\n2.jpg,b,arm\n", lesions="b\nc\na\n", locations="leg\narm\n")
    manifest = read_manifest(path)
    assert manifest.lesion_names == ("b", "c", "a")
    assert manifest.location_names == ("leg", "arm")
    assert manifest.lesion_labels().tolist() == [[1, 0, 1], [1, 0, 0]]
    assert manifest.location_labels().tolist() == [0, 1]


def test_without_name_files_the_names_are_the_sorted_ones(write):
    manifest = read_manifest(write(HEADER + "1.jpg,b;a,leg\n2.jpg,c,arm\n"))
    assert manifest.lesion_names == ("a", "b", "c")
    assert manifest.location_names == ("arm", "leg")


def test_group_is_the_column_or_the_image_itself(write):
    manifest = read_manifest(write("group,image,lesions,location,source\np1,1.jpg,a,x,s\n,2.jpg,a,x,t\n"))
    assert [row.group for row in manifest.rows] == ["p1", "2.jpg"]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + HEADER + "1.jpg,a,x\n",
        HEADER.replace("\n", "\r\n") + "1.jpg,a,x\r\n",
        HEADER + "1.jpg,a,x",
        HEADER + "\n1.jpg, a , x\n\n",
        'image , lesions, location\n"1.jpg","a","x"\n',
    ],
    ids=["byte order mark", "CRLF", "no last line break", "blank lines and spaces", "quotes"],
)
def test_takes_what_editors_write(write, text):
    row = read_manifest(write(text)).rows[0]
    assert (row.image, row.lesions, row.location) == ("1.jpg", ("a",), "x")


def test_name_files_with_a_byte_order_mark_and_crlf(write):
    path = write(HEADER + "1.jpg,é,x\n", lesions="\ufeffé\r\na b\r\n", locations="x")
    assert read_manifest(path).lesion_names == ("é", "a b")


def test_names_may_hold_odd_characters(write):
    lesions = 'naevus, "blue"\u2028x'
    record = io.StringIO()
    csv.writer(record).writerow(['ä/ü, "1"\'.jpg', lesions + ";[b]*?", "Körper % {x}"])
    manifest = read_manifest(write(HEADER + record.getvalue(), lesions=lesions + "\n[b]*?\n"))
    assert manifest.rows[0].image == 'ä/ü, "1"\'.jpg'
    assert manifest.lesion_names == ('naevus, "blue" x', "[b]*?")


REFUSED = {
    "no column": (b"image,location\n1.jpg,a\n", [":1:", "'lesions'"]),
    "a column twice": (b"image,lesions,location,group,group\n1.jpg,a,x,1,2\n", [":1:", "'group'"]),
    "empty file": (b"", [":1:", "'image'"]),
    "no images": (HEADER.encode(), ["no images"]),
    "the same image": (HEADER.encode() + b"a/1.jpg,a,x\n./a//1.jpg,b,x\n", [":3:", "line 2"]),
    "absolute path": (HEADER.encode() + b"1.jpg,a,x\n/data/2.jpg,a,x\n", [":3:", "absolute"]),
    "absolute Windows path": (HEADER.encode() + b"C:\\data\\2.jpg,a,x\n", [":2:", "absolute"]),
    "leaves the folder": (HEADER.encode() + b"a/../../2.jpg,a,x\n", [":2:", "'..'"]),
    "no image name": (HEADER.encode() + b",a,x\n", [":2:", "no image name"]),
    "empty lesions": (HEADER.encode() + b"1.jpg,,x\n", [":2:", "empty lesion"]),
    "empty lesion among others": (HEADER.encode() + b"1.jpg,a;;b,x\n", [":2:", "empty lesion"]),
    "lesion twice": (HEADER.encode() + b"1.jpg,a;b;a,x\n", [":2:", "twice"]),
    "empty location": (HEADER.encode() + b"1.jpg,a,\n", [":2:", "empty location"]),
    "two locations": (HEADER.encode() + b"1.jpg,a,x;y\n", [":2:", "more than one"]),
    "line break in a name": (HEADER.encode() + b'1.jpg,"a\nb",x\n', [":2:", "line break"]),
    "line break in an image": (HEADER.encode() + b'"1\n.jpg",a,x\n', [":2:", "line break"]),
    "too many fields": (HEADER.encode() + b"1.jpg,a,x\n2.jpg,a,b,x\n", [":3:", "4 fields"]),
    "too few fields": (HEADER.encode() + b"1.jpg,a\n", [":2:", "2 fields"]),
    "open quote": (HEADER.encode() + b'1.jpg,"a,x\n', [":2:", "not CSV"]),
    "Latin 1": (HEADER.encode() + b"1.jpg,a,x\n2.jpg,n\xe6vus,x\n", [":3:", "UTF-8"]),
    "NUL": (HEADER.encode() + b"1.jpg,a,x\n2.jpg,a\0,x\n", [":3:", "NUL"]),
    "UTF-16": ((HEADER + "1.jpg,a,x\n").encode("utf-16"), [":1:", "UTF-8"]),
}


@pytest.mark.parametrize("text, words", REFUSED.values(), ids=REFUSED)
def test_refuses_with_the_line(write, text, words):
    path = write(text)
    with pytest.raises(InputError) as error:
        read_manifest(path)
    message = str(error.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    "lesions, words",
    [
        ("b\n", ["manifest.csv:2:", "'a'", "lesions.txt"]),
        ("a\n\nb\n", ["lesions.txt:2:", "empty line"]),
        ("a\na\n", ["lesions.txt:2:", "line 1"]),
        ("a;b\n", ["lesions.txt:1:", "';'"]),
        ("a\nb\x01\n", ["lesions.txt:2:", "control character"]),
        ("", ["lesions.txt", "empty"]),
        (b"a\nn\xe6vus\n", ["lesions.txt:2:", "UTF-8"]),
    ],
)
def test_refuses_name_files_with_the_line(write, lesions, words):
    path = write(HEADER + "1.jpg,a,x\n", lesions=lesions)
    with pytest.raises(InputError) as error:
        read_manifest(path)
    for word in words:
        assert word in str(error.value)


def test_an_unknown_location_names_its_line(write):
    with pytest.raises(InputError, match=r"manifest.csv:3: location 'leg' is not in locations.txt"):
        read_manifest(write(HEADER + "1.jpg,a,arm\n2.jpg,a,leg\n", locations="arm\n"))


def test_folders_in_place_of_files(tmp_path, write):
    with pytest.raises(InputError, match="cannot be read"):
        read_manifest(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_manifest(tmp_path / "absent.csv")
    path = write(HEADER + "1.jpg,a,x\n")
    (tmp_path / "lesions.txt").mkdir()
    with pytest.raises(InputError, match=r"lesions.txt: cannot be read"):
        read_manifest(path)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=80),
        st.text(st.sampled_from('image,lesions,location;"\n\r\0\t ./\\aé\u2028'), max_size=60).map(
            lambda text: (HEADER + text).encode()
        ),
    )
)
def test_any_bytes_are_a_manifest_or_an_input_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(data)
    try:
        manifest = read_manifest(path)
    except InputError as error:
        assert all(line.startswith(str(path.parent)) for line in str(error).split("\n"))
    else:
        assert manifest.lesion_labels().sum(axis=1).min() >= 1
        assert len(manifest.location_labels()) == len(manifest.rows)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 200),
            st.integers(0, 3),
            st.sampled_from(
                [
                    b"",
                    b'"',
                    b",",
                    b";",
                    b"\n",
                    b"\r",
                    b"\r\n",
                    b"\0",
                    b"\xff",
                    b"\xc3\xa6",
                    b" ",
                    b"a",
                    b"../",
                    b"/",
                    b"1.jpg",
                ]
            ),
        ),
        max_size=3,
    ),
    st.sampled_from([None, b"", b"a\nb\nc\n", b"a;b\n", b"\xff\n", b"a\n\nb\n"]),
)
def test_a_damaged_manifest_is_read_whole_or_refused(tmp_path_factory, changes, names):
    data = HEADER.encode() + b'1.jpg,a,x\n2.jpg,"b;c",y\na/3.jpg,a,x\n'
    for place, length, new in changes:
        start = place % (len(data) + 1)
        data = data[:start] + new + data[start + length :]
    path = tmp_path_factory.getbasetemp() / "damaged" / "manifest.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    if names is not None:
        path.with_name("lesions.txt").write_bytes(names)
    try:
        manifest = read_manifest(path)
    except InputError as error:
        assert all(line.startswith(str(path.parent)) for line in str(error).split("\n"))
    else:
        with open(str(path), encoding="utf-8-sig", newline="") as file:
            assert len(manifest.rows) == sum(1 for record in csv.reader(file) if "".join(record).strip()) - 1
        assert manifest.lesion_labels().sum(axis=1).tolist() == [len(row.lesions) for row in manifest.rows]
    if names is not None:
        path.with_name("lesions.txt").unlink()


NAME = st.text(st.characters(blacklist_categories=("Cc", "Cs"), blacklist_characters=";"), min_size=1, max_size=8)
CLEAN = NAME.map(spelled).filter(lambda name: name and not name_fault(name) and not Nothings().is_one(name))
IMAGE = CLEAN.filter(lambda name: ".." not in name and name[0] not in "/\\" and name != "." and name[1:2] != ":")
ROWS = st.lists(
    st.tuples(IMAGE, st.lists(CLEAN, min_size=1, max_size=3, unique=True), CLEAN, CLEAN),
    min_size=1,
    max_size=6,
    unique_by=lambda row: "/".join(part for part in row[0].split("/") if part not in ("", ".")),
)


@settings(max_examples=50, derandomize=True, deadline=None)
@given(ROWS)
def test_what_is_written_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "round.csv"
    with open(str(path), "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "lesions", "location", "group"])
        writer.writerows([image, ";".join(lesions), location, group] for image, lesions, location, group in rows)
    manifest = read_manifest(path)
    read = [(row.image, list(row.lesions), row.location, row.group) for row in manifest.rows]
    assert read == rows
    for row, labels in zip(manifest.rows, manifest.lesion_labels()):
        assert {manifest.lesion_names[p] for p in labels.nonzero()[0]} == set(row.lesions)


@pytest.mark.parametrize("case", ["no column", "Latin 1"])
def test_the_tool_says_it_in_one_line(tool, refused, write, tmp_path, case):
    text, words = REFUSED[case]
    path = write(text)
    finished = tool("make_folds.py", "--manifest", path, "--out", tmp_path / "folds.csv")
    refused(finished, path, *words)
    assert [entry.name for entry in tmp_path.iterdir()] == ["manifest.csv"]


def test_the_tool_says_an_unknown_label_in_one_line(tool, refused, write, tmp_path):
    path = write(HEADER + "1.jpg,a,x\n2.jpg,naevs,x\n", lesions="a\nnaevus\n")
    finished = tool("make_lmdb.py", "--manifest", path, "--images", tmp_path, "--out", tmp_path / "out")
    refused(finished, f"{path}:3:", "'naevs'", "lesions.txt")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["lesions.txt", "manifest.csv"]


def test_a_written_manifest_reads_back_with_its_other_columns(write, tmp_path):
    first = read_manifest(write(b"site,image,lesions,location,note\nA,1.jpg,b;a,x,\xc3\xa9;1\nB,2.jpg,a,y,\n"))
    (tmp_path / "out").mkdir()
    write_manifest(tmp_path / "out", first)
    again = read_manifest(tmp_path / "out" / "manifest.csv")
    assert again.rows == first.rows
    assert [dict(row.others) for row in again.rows] == [{"site": "A", "note": "é;1"}, {"site": "B", "note": ""}]
    assert (again.lesion_names, again.location_names) == (first.lesion_names, first.location_names)


OTHERS = st.text(st.characters(blacklist_categories=("Cs",)), max_size=6)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.lists(st.tuples(CLEAN, OTHERS), min_size=1, max_size=4))
def test_other_columns_come_through_whatever_they_hold(tmp_path_factory, values):
    rows = tuple(Row(n + 2, f"{n}.jpg", ("a",), "x", group, {"note": note}) for n, (group, note) in enumerate(values))
    folder = tmp_path_factory.getbasetemp() / "others"
    folder.mkdir(exist_ok=True)
    write_manifest(folder, Manifest(folder, rows, ("a",), ("x",)))
    read = [(row.group, row.others["note"]) for row in read_manifest(folder / "manifest.csv").rows]
    assert read == [(group, note.replace("\0", "\\0").strip()) for group, note in values]


def test_a_misspelt_column_is_named_beside_the_one_that_is_near(write):
    with pytest.raises(InputError, match="no column 'lesions' \\('Lesion' is near\\)"):
        read_manifest(write(b"image,Lesion,location\n1.jpg,a,x\n"))
