"""Of a folder those files are predicted that are read; of the others each kind is told with its reason."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from caffe_files.errors import InputError
from skinmtl.images import formats
from skinmtl.publishing.photographs import Item, gather
from skinmtl.publishing.predicting import Prediction
from skinmtl.publishing.wording import as_json


@pytest.fixture
def no_heic(monkeypatch):
    monkeypatch.setattr(formats, "unread_here", lambda form: "HEIC is not read here" if form is formats.HEIC else "")


def place(folder, *names):
    for name in names:
        (folder / name).write_bytes(b"x")


def test_a_folder_with_what_is_not_read(tmp_path, no_heic):
    place(tmp_path, "a.jpg", "b.JFIF", "c.gif", "d.heic", "e.HEIC", "f.dng", "notes.txt")
    items, told = gather([str(tmp_path)], None)
    assert [item.overlays for item in items] == ["a.jpg", "b.JFIF", "c.gif"]
    assert told == [
        f"{tmp_path}: 2 images are left out: HEIC is not read here",
        f"{tmp_path}: 1 image is left out: a camera's raw format is not read: convert it to JPEG or PNG",
        f"{tmp_path}: 1 file has another ending and is left out",
    ]


def test_a_folder_without_what_is_read(tmp_path, no_heic):
    place(tmp_path, "d.heic")
    with pytest.raises(InputError) as caught:
        gather([str(tmp_path)], None)
    assert str(caught.value) == (
        f"{tmp_path}: no image below it (1 image is left out: HEIC is not read here); name another folder, or files"
    )


def test_what_a_person_should_know_is_in_the_json(tmp_path):
    dark = cv2.imencode(".png", np.full((64, 64), 3000, np.uint16))[1].tobytes()
    loaded = Item("standard input", None, "standard_input", dark).load(40)
    assert len(loaded.told) == 1
    one = Prediction(Item("a.png", None, "a.png"), {}, told=loaded.told)
    assert json.loads(as_json(one, {}, 0.5, {}))["told"] == list(loaded.told)
    assert "told" not in json.loads(as_json(Prediction(one.item), {}, 0.5, {}))
