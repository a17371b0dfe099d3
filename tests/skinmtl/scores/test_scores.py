"""The scores file: what is written is read back the same; what is damaged or inconsistent is refused in one line."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import fields, replace

import numpy as np
import pytest

from caffe_files.errors import InputError
from skinmtl.scores.scores_file import Scores, read_scores, write_scores

LESION = {
    "lesion_scores": np.array([[0.5, 0.25, 0.125], [0, 1, 0.75]], np.float32),
    "lesion_labels": np.array([[1, 0, 0], [0, 1, 1]], np.uint8),
    "lesion_names": ["cyst", "erosion/ulcer/atrophy", "närbe"],
}
LOCATION = {
    "location_scores": np.array([[0.5, 0.5], [0.75, 0.25]], np.float32),
    "location_labels": np.array([1, 0]),
    "location_names": ["face", "trunk"],
}
BOTH = Scores(image=["a/1.jpg", "b/2.jpg"], protocol={"short_side": 256, "net": "mtl"}, **LESION, **LOCATION)
ONE_LESION = Scores(image=BOTH.image, protocol={}, **LESION)
ONE_LOCATION = Scores(image=BOTH.image, protocol={}, **LOCATION)


def arrays_of(scores=BOTH):
    """The arrays of the file, as any other program might write them."""
    there = {field.name: getattr(scores, field.name) for field in fields(scores) if field.name != "protocol"}
    arrays = {name: np.array(values) for name, values in there.items() if values is not None}
    return {**arrays, "protocol": np.array(json.dumps(scores.protocol))}


def changed(array, row, value, dtype=None):
    changed_array = arrays_of()[array].astype(dtype or arrays_of()[array].dtype)
    changed_array[row] = value
    return {array: changed_array}


def refusal(path):
    with pytest.raises(InputError) as caught:
        read_scores(path)
    message = str(caught.value)
    assert "\n" not in message and message.startswith(f"{path}: ")
    return message


class TestRoundTrip:
    @pytest.mark.parametrize("scores", [BOTH, ONE_LESION, ONE_LOCATION], ids=["both", "lesion", "location"])
    def test_what_is_written_is_read_back(self, tmp_path, scores):
        write_scores(tmp_path / "s.npz", scores)
        back = read_scores(tmp_path / "s.npz")
        for field in fields(scores):
            expected, found = getattr(scores, field.name), getattr(back, field.name)
            assert type(found) is type(expected)
            np.testing.assert_array_equal(found, expected)

    def test_the_types_are_fixed(self, tmp_path):
        wide = replace(
            BOTH,
            lesion_scores=BOTH.lesion_scores.astype(np.float64),
            lesion_labels=BOTH.lesion_labels.astype(np.float32),
            location_labels=BOTH.location_labels.astype(np.uint8),
        )
        write_scores(tmp_path / "s.npz", wide)
        back = read_scores(tmp_path / "s.npz")
        assert back.lesion_scores.dtype == back.location_scores.dtype == np.float32
        assert back.lesion_labels.dtype == np.uint8
        assert back.location_labels.dtype == np.int64

    def test_the_file_has_the_arrays_of_the_contract_and_no_pickle(self, tmp_path):
        write_scores(tmp_path / "s.npz", BOTH)
        with np.load(str(tmp_path / "s.npz"), allow_pickle=False) as archive:
            assert set(archive.files) == set(arrays_of())
            assert archive["image"].tolist() == BOTH.image
            assert json.loads(archive["protocol"].item()) == BOTH.protocol

    def test_a_head_that_is_absent_leaves_its_arrays_out(self, tmp_path):
        write_scores(tmp_path / "s.npz", ONE_LESION)
        with np.load(str(tmp_path / "s.npz")) as archive:
            assert not [name for name in archive.files if name.startswith("location")]

    def test_the_same_scores_give_the_same_bytes(self, tmp_path):
        write_scores(tmp_path / "1.npz", BOTH)
        write_scores(tmp_path / "2.npz", replace(BOTH, protocol={"net": "mtl", "short_side": 256}))
        assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()

    def test_the_name_is_kept_whatever_its_ending(self, tmp_path):
        write_scores(tmp_path / "scores.bin", BOTH)
        assert [path.name for path in tmp_path.iterdir()] == ["scores.bin"]

    def test_bad_scores_are_never_written_and_the_old_file_stays(self, tmp_path):
        path = tmp_path / "s.npz"
        write_scores(path, BOTH)
        before = path.read_bytes()
        with pytest.raises(InputError, match="nan"):
            write_scores(path, replace(BOTH, lesion_scores=np.full((2, 3), np.nan, np.float32)))
        with pytest.raises(InputError, match=r"0\.5 is neither 0 nor 1"):
            write_scores(path, replace(BOTH, lesion_labels=np.full((2, 3), 0.5)))
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


BAD_ARRAYS = [
    ("nan", changed("lesion_scores", (1, 2), np.nan), ["lesion_scores, row 1", "'b/2.jpg'", "'närbe'", "nan"]),
    ("infinite", changed("location_scores", (0, 1), np.inf), ["location_scores, row 0", "'trunk'", "inf"]),
    ("float64", {"lesion_scores": np.zeros((2, 3))}, ["lesion_scores is float64", "float32"]),
    ("too few rows", {"lesion_scores": np.zeros((1, 3), "f4")}, ["lesion_scores has shape (1, 3)", "(2, 3)"]),
    ("too few columns", {"lesion_scores": np.zeros((2, 2), "f4")}, ["lesion_scores has shape (2, 2)", "(2, 3)"]),
    ("flat scores", {"location_scores": np.zeros(4, "f4")}, ["location_scores has shape (4,)", "(2, 2)"]),
    ("labels of another shape", {"lesion_labels": np.zeros((3, 2), "u1")}, ["lesion_labels has shape (3, 2)"]),
    ("label of 2", changed("lesion_labels", (0, 1), 2), ["lesion_labels, row 0", "'a/1.jpg'", "2 is neither 0 nor 1"]),
    ("label of -1", changed("lesion_labels", (0, 1), -1, "i1"), ["-1 is neither 0 nor 1"]),
    ("label nan", changed("lesion_labels", (0, 1), np.nan, "f4"), ["nan is neither 0 nor 1"]),
    ("labels of text", {"lesion_labels": np.full((2, 3), "1")}, ["lesion_labels is <U1"]),
    ("location too high", changed("location_labels", 0, 2), ["location_labels, row 0", "2 is none of the 2 locations"]),
    ("location of -1", changed("location_labels", 1, -1), ["location_labels, row 1", "'b/2.jpg'", "-1 is none"]),
    ("location as float", {"location_labels": np.zeros(2)}, ["location_labels is float64", "integers"]),
    ("locations one-hot", {"location_labels": np.eye(2, dtype="i8")}, ["location_labels has shape (2, 2)", "(2,)"]),
    ("an image twice", changed("image", 1, "a/1.jpg"), ["image, row 1: 'a/1.jpg' is in row 0 already"]),
    ("an image without a name", changed("image", 1, ""), ["image, row 1: the name is empty"]),
    ("image names in bytes", {"image": np.array([b"a", b"b"])}, ["image is (2,) |S1", "unicode"]),
    ("one image more", {"image": np.array(["a", "b", "c"])}, ["lesion_scores has shape (2, 3)", "(3, 3)"]),
    ("no image", {"image": np.zeros(0, "U1")}, ["image is empty"]),
    ("a class twice", changed("lesion_names", 2, "cyst"), ["lesion_names, row 2: 'cyst' is in row 0 already"]),
    ("a class of two lines", changed("lesion_names", 2, "a\nb"), ["lesion_names, row 2: 'a\\nb'"]),
    ("one class more", {"lesion_names": np.array(list("abcd"))}, ["lesion_scores has shape (2, 3)", "(2, 4)"]),
    ("a pickle", {"lesion_names": np.array(["a", None, 1], dtype=object)}, ["not a whole .npz file"]),
    ("protocol as bytes", {"protocol": np.array(b"{}")}, ["protocol is not"]),
    ("protocol not JSON", {"protocol": np.array("{")}, ["protocol is not"]),
    ("protocol a list", {"protocol": np.array("[]")}, ["protocol is not"]),
    ("protocol with nan", {"protocol": np.array('{"a": NaN}')}, ["protocol is not"]),
    ("protocol beyond range", {"protocol": np.array('{"a": 1e999}')}, ["protocol is not"]),
    ("protocol too deep", {"protocol": np.array("[" * 100000)}, ["protocol is not"]),
]


class TestBadArrays:
    @pytest.mark.parametrize("change, words", [case[1:] for case in BAD_ARRAYS], ids=[case[0] for case in BAD_ARRAYS])
    def test_is_refused_with_file_array_and_record(self, tmp_path, change, words):
        path = tmp_path / "s.npz"
        np.savez(str(path), **dict(arrays_of(), **change))
        message = refusal(path)
        assert [word for word in words if word not in message] == [], message

    @pytest.mark.parametrize("name", sorted(arrays_of()))
    def test_a_missing_array_is_named(self, tmp_path, name):
        arrays = arrays_of()
        del arrays[name]
        np.savez(str(tmp_path / "s.npz"), **arrays)
        assert f"array {name} is missing" in refusal(tmp_path / "s.npz")

    def test_no_head_at_all(self, tmp_path):
        np.savez(str(tmp_path / "s.npz"), image=np.array(["a"]), protocol=np.array("{}"))
        assert "neither lesion_scores nor location_scores" in refusal(tmp_path / "s.npz")

    def test_arrays_of_others_are_ignored(self, tmp_path):
        np.savez(str(tmp_path / "s.npz"), remark=np.array(["mine"], dtype=object), **arrays_of())
        assert read_scores(tmp_path / "s.npz").image == BOTH.image


class TestDamagedFiles:
    def test_no_such_file(self, tmp_path):
        assert "No such file" in refusal(tmp_path / "s.npz")

    def test_a_folder(self, tmp_path):
        assert "Is a directory" in refusal(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"image,fold\n", b"PK\x03\x04", b"\x80\x04\x95junk", b"\x93NUMPY"])
    def test_not_an_npz(self, tmp_path, content):
        (tmp_path / "s.npz").write_bytes(content)
        assert "not a whole .npz file" in refusal(tmp_path / "s.npz")

    def test_a_single_array(self, tmp_path):
        np.save(str(tmp_path / "s.npy"), BOTH.lesion_scores)
        assert "not a whole .npz file" in refusal(tmp_path / "s.npy")

    def test_a_zip_of_something_else(self, tmp_path):
        with zipfile.ZipFile(str(tmp_path / "s.npz"), "w") as archive:
            archive.writestr("image.npy", "no array")
            archive.writestr("protocol.npy", "no array")
        assert "not a whole .npz file" in refusal(tmp_path / "s.npz")

    def test_cut_short_at_any_length(self, tmp_path):
        write_scores(tmp_path / "s.npz", BOTH)
        whole = (tmp_path / "s.npz").read_bytes()
        for length in range(0, len(whole), 7):
            (tmp_path / "cut.npz").write_bytes(whole[:length])
            assert "not a whole .npz file" in refusal(tmp_path / "cut.npz")

    def test_a_damaged_byte_anywhere_is_refused_or_harmless(self, tmp_path):
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays_of())
        path = tmp_path / "s.npz"
        for position in range(0, len(buffer.getvalue()), 3):
            damaged = bytearray(buffer.getvalue())
            damaged[position] ^= 0x5A
            path.write_bytes(bytes(damaged))
            try:
                back = read_scores(path)
            except InputError as error:
                assert "\n" not in str(error)
            else:
                np.testing.assert_array_equal(back.lesion_scores, BOTH.lesion_scores)
