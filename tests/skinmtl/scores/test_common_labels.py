"""Which lesion of the data is which of the net, and what is left of the scores: against loops over the images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_external import DATA, MAP, PAIRS
from made_scores import LESIONS

from caffe_files.errors import InputError
from skinmtl.scores.common_labels import kept, label_record, others_of_data, read_label_map, translated
from skinmtl.scores.external_file import ExternalScores

REPRODUCIBLE = {"derandomize": True, "deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture
def read(tmp_path):
    def read(text):
        (tmp_path / "map.csv").write_text(text)
        return read_label_map(tmp_path / "map.csv", DATA, LESIONS)

    return read


def test_a_map_is_read_in_its_order_and_more_columns_are_for_people(read):
    assert read(MAP) == PAIRS
    assert read("note,model,data\nsame,nevus,NV\n,melanoma, MEL \n") == {"NV": "nevus", "MEL": "melanoma"}


@pytest.mark.parametrize(
    "text, words",
    [
        ("data,model\nMEL,melanoma\nNVS,nevus\n", "map.csv:3: the data have no lesion 'NVS'; did you mean 'NV'"),
        ("data,model\nmel,melanoma\n", "map.csv:2: the data have no lesion 'mel'; did you mean 'MEL'"),
        ("data,model\nqqq,melanoma\n", "no lesion 'qqq'; the data have AK, MEL, MIS, NV, VASC$"),
        ("data,model\nMEL,malignant melanoma\n", "map.csv:2: the net has no lesion 'malignant melanoma'; did you mean"),
        ("data,model\nMEL,melanoma\nMEL,nevus\n", "map.csv:3: 'MEL' is on line 2 too, as 'melanoma'; it can be one"),
        ("data,model\nMEL,melanoma\nMEL,melanoma\n", "map.csv:3: 'MEL' is on line 2 too; it can be one"),
        ("data,model\nMEL,\n", "map.csv:2: 'model' is empty; name a lesion, or leave out the line"),
        ("data,model\n,nevus\n", "map.csv:2: 'data' is empty"),
        ("data,model\n", "map.csv: no lesions; add a line for each"),
        ("data,model\nMEL,melanoma\nMIS,melanoma\n", "map.csv: all lines lead to 'melanoma': .*; map a second lesion"),
        ("data,net\nMEL,melanoma\n", "map.csv:1: no column 'model'; the header must have data,model"),
        ("", "map.csv:1: no column 'data'"),
        ("data;model\nMEL;melanoma\n", "the header's separator is ';'"),
    ],
)
def test_a_map_that_is_wrong_is_refused_in_a_line(read, text, words):
    with pytest.raises(InputError, match=words) as refused:
        read(text)
    assert "\n" not in str(refused.value)


@st.composite
def cases(draw):
    """Scores of up to 12 images, and pairs of some of their lesions with some of the net's."""
    n = draw(st.integers(1, 12))
    random = np.random.RandomState(draw(st.integers(0, 2**32 - 1)))
    labels = (random.random_sample((n, len(DATA))) < draw(st.sampled_from([0.1, 0.4, 0.9]))).astype(np.uint8)
    scores = random.random_sample((n, len(LESIONS))).astype(np.float32)
    pairs = {data: draw(st.sampled_from(LESIONS)) for data in draw(st.sets(st.sampled_from(DATA)))}
    image = [f"{row}.jpg" for row in range(n)]
    external = ExternalScores(
        image, {}, {"lesion": scores}, {"lesion": LESIONS}, {"lesion": labels}, {"lesion": list(DATA)}
    )
    return external, pairs


@settings(max_examples=150, **REPRODUCIBLE)
@given(cases())
def test_each_image_and_lesion_is_kept_or_left_out_as_a_loop_does_it(case):
    external, pairs = case
    lesions = sorted(set(pairs.values()))
    left = kept(translated(external, pairs), lesions, others_of_data(external, pairs, lesions))
    names = [name for name in LESIONS if name in lesions]
    rows, with_others = {}, 0
    for row, marks in enumerate(external.data_labels["lesion"]):
        has = [name for name, mark in zip(DATA, marks) if mark]
        common = [pairs[name] for name in has if name in pairs]
        if common or not has:
            rows[row] = [int(name in common) for name in names]
            with_others += bool(common) and len(common) < len(has)
    assert left.rows.tolist() == list(rows)
    assert left.scores.lesion_names == names
    assert left.scores.lesion_labels.tolist() == list(rows.values())
    for row, scores in zip(rows, left.scores.lesion_scores):
        assert scores.tolist() == [external.scores["lesion"][row][LESIONS.index(name)] for name in names]
    assert (left.left_out, left.with_others) == (len(external.image) - len(rows), with_others)


@settings(max_examples=50, **REPRODUCIBLE)
@given(cases(), st.integers(0, 2**32 - 1))
def test_the_order_of_the_lines_plays_no_part(case, seed):
    external, pairs = case
    lines = sorted(pairs.items())
    shuffled = dict(lines[at] for at in np.random.RandomState(seed).permutation(len(lines)))
    assert np.array_equal(translated(external, pairs).lesion_labels, translated(external, shuffled).lesion_labels)


def test_each_lesion_is_accounted_for():
    labels = np.array([[1, 1, 0, 0, 0], [0, 1, 0, 0, 1]], np.uint8)
    external = ExternalScores(["a", "b"], {}, {}, {"lesion": LESIONS}, {"lesion": labels}, {"lesion": DATA})
    record = label_record(external, PAIRS, ["melanoma", "nevus"])
    assert record["data_lesions"] == [
        {"name": "AK", "images": 1, "as": None},
        {"name": "MEL", "images": 2, "as": "melanoma"},
        {"name": "MIS", "images": 0, "as": "melanoma"},
        {"name": "NV", "images": 0, "as": "nevus"},
        {"name": "VASC", "images": 1, "as": None},
    ]
    assert record["model_lesions_left_out"] == ["keratosis", "scar"]
