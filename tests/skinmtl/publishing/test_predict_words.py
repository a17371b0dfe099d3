"""What predict.py is given and what it says, without a net."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_files.errors import InputError
from skinmtl.publishing.photographs import Item, check_overlay_names, gather
from skinmtl.publishing.predicting import Prediction
from skinmtl.publishing.wording import as_json, as_text

LABELS = {"lesion": ["naevus", "crust", "Läsion \u2028"], "location": ["arm", "leg", "face", "scalp"]}
ITEM = Item("a.jpg", Path("a.jpg"), "a.jpg")


def prediction(lesions, locations):
    found = {"lesion": np.array(lesions, np.float32), "location": np.array(locations, np.float32)}
    return Prediction(ITEM, found, {"location": Path("shown/a.jpg.location.png")})


def test_words():
    found = prediction([0.5, 0.25, 0.75], [0.1, 0.2, 0.3, 0.4])
    assert as_text(found, LABELS, 0.5).split("\n") == [
        "a.jpg",
        "  lesion    0.750  Läsion \u2028",
        "            0.500  naevus",  # the threshold itself is enough
        "  location  0.400  scalp",
        "            0.300  face",
        "            0.200  leg",
        "            attention: shown/a.jpg.location.png",
    ]
    assert "  lesion    none from 0.9 on; the likeliest: 0.750  Läsion" in as_text(found, LABELS, 0.9)


def test_equal_probabilities_stand_in_the_order_of_the_labels():
    found = json.loads(as_json(prediction([0.5, 0.5, 0.5], [0.25] * 4), LABELS, 0.5, {}))
    assert [one["label"] for one in found["lesions"]] == LABELS["lesion"]
    assert [one["label"] for one in found["locations"]] == LABELS["location"][:3]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3), st.floats(0, 1))
def test_json_keeps_every_float32_and_tells_what_reaches_the_threshold(lesions, threshold):
    line = as_json(prediction(lesions, [0.25] * 4), LABELS, threshold, {"name": "m"})
    assert len(line.splitlines()) == 1 and line.isascii()  # JSON in every locale
    found = json.loads(line)
    kept = [np.float32(value) for value in found["probabilities"]["lesion"].values()]
    assert np.allclose(kept, np.array(lesions, np.float32), rtol=1e-7, atol=0)
    assert {one["label"] for one in found["lesions"]} == {
        name for name, value in zip(LABELS["lesion"], lesions) if value >= threshold
    }
    assert found["model"] == {"name": "m"}


def test_a_bad_image_is_a_line_too():
    line = as_json(Prediction(ITEM, problem="the file is empty"), LABELS, 0.5, {"name": "m"})
    assert json.loads(line) == {"image": "a.jpg", "error": "the file is empty", "model": {"name": "m"}}


def test_images_are_taken_in_the_order_given_and_a_folders_by_name(tmp_path):
    for name in ("b.JPG", "a/c.tiff", "a/notes.txt", ".hidden.jpg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"")
    items, told = gather(["z.jpg", str(tmp_path / "in"), "-"], io.BytesIO(b"bytes"))
    assert [item.name for item in items] == [
        *("z.jpg", f"{tmp_path}/in/a/c.tiff", f"{tmp_path}/in/b.JPG", "standard input"),
    ]
    assert [item.overlays for item in items] == ["z.jpg", "a/c.tiff", "b.JPG", "standard_input"]
    assert items[-1].data == b"bytes" and items[-1].path is None
    assert told == [f"{tmp_path}/in: 1 file has another ending and is left out"]


class Unplugged(io.BytesIO):
    """A disk that is gone."""

    def read(self, size=-1):
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize(("standard_input", "why"), [(None, "closed"), (Unplugged(), "Input/output error")])
def test_standard_input_that_cannot_be_read_is_one_line(standard_input, why):
    with pytest.raises(InputError, match=f"^standard input: cannot be read \\({why}\\)"):
        gather(["-"], standard_input)


def test_a_folder_without_an_image_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InputError, match=r"no image below it \(1 file has another ending and is left out\)"):
        gather([str(tmp_path)], io.BytesIO())


def test_bytes_that_are_no_image_are_a_problem_not_an_error():
    assert Item("standard input", None, "", b"no image").load(40).problem.startswith("not an image")
    assert Item("standard input", None, "", b"").load(40).problem == "the file is empty"


def test_two_overlays_of_one_name_are_refused():
    with pytest.raises(InputError, match=r"d/a\.jpg: a\.jpg would have overlays of the same name"):
        check_overlay_names([ITEM, Item("d/a.jpg", Path("d/a.jpg"), "a.jpg")])
    check_overlay_names([ITEM, Item("b.jpg", Path("b.jpg"), "b.jpg")])
