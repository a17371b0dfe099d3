"""A name that a manifest may have, scores may have: nothing is refused after the forward passes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_files.errors import InputError
from skinmtl.data.manifest import read_manifest
from skinmtl.data.names import name_fault, without_faults
from skinmtl.nets.label_names import read_label_names
from skinmtl.scores.scores_file import Scores, read_scores, write_scores

NAMES = [
    "blue na\u00e8vus",
    "\U0001f469\u200d\u2695\ufe0f",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "\ue000",
]


def scores_of(names):
    labels = np.eye(len(names), dtype=np.uint8)
    return Scores([f"{n}.jpg" for n in range(len(names))], {}, labels.astype(np.float32), labels, names)


def test_names_of_all_languages_come_through(tmp_path):
    lines = [f"{n}.jpg,{name},x" for n, name in enumerate(NAMES)]
    (tmp_path / "manifest.csv").write_text("\n".join(["image,lesions,location", *lines]), encoding="utf-8")
    names = list(read_manifest(tmp_path / "manifest.csv").lesion_names)
    write_scores(tmp_path / "s.npz", scores_of(names))
    assert read_scores(tmp_path / "s.npz").lesion_names == names == sorted(NAMES)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=6).map(without_faults).filter(bool), min_size=1, max_size=4, unique=True))
def test_what_the_rule_lets_in_is_written_and_read_back(tmp_path_factory, names):
    path = tmp_path_factory.mktemp("scores") / "s.npz"
    assert not any(map(name_fault, names))
    write_scores(path, scores_of(names))
    assert read_scores(path).lesion_names == names


def test_scores_of_before_come_in_todays_spelling_and_what_cannot_be_seen_is_refused(tmp_path):
    np.savez(str(tmp_path / "old.npz"), **arrays(["nae\u0300vus\u00a0a", "b"]))
    assert read_scores(tmp_path / "old.npz").lesion_names == ["na\u00e8vus a", "b"]
    np.savez(str(tmp_path / "bad.npz"), **arrays(["a\u00adb", "b"]))
    with pytest.raises(InputError, match=r"lesion_names, row 0: .* has an invisible character \(U\+00AD\); rename it"):
        read_scores(tmp_path / "bad.npz")


def test_a_net_made_before_has_its_names_in_todays_spelling(tmp_path):
    (tmp_path / "labels.json").write_text('{"lesion_names": ["blue\\u00a0nae\\u0300vus"]}')
    assert read_label_names(tmp_path) == {"lesion_names": ["blue na\u00e8vus"]}
    (tmp_path / "labels.json").write_text('{"lesion_names": ["a\\u202eb"]}')
    with pytest.raises(InputError, match=r"labels\.json: a character that changes the direction of writing"):
        read_label_names(tmp_path)


def arrays(names):
    made = scores_of(names)
    return {
        "image": np.asarray(made.image),
        "protocol": np.asarray("{}"),
        "lesion_scores": made.lesion_scores,
        "lesion_labels": made.lesion_labels,
        "lesion_names": np.asarray(names),
    }
