"""What a layer's param_str may hold, kind by kind, and the settings of the layers of Song et al."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest

from caffe_files.errors import InputError
from skinmtl.layers.blob_shapes import check_count, check_shapes
from skinmtl.layers.param_str import (
    Settings,
    number,
    numbers,
    one_of,
    read_param_str,
    setting,
    settings_text,
    some_of,
    text,
    true_or_false,
    whole,
    wholes,
)
from skinmtl.layers.region_settings import REGION_SETTINGS, AnchorTargetsSettings, ProposalTargetsSettings


@dataclass(frozen=True)
class AllKinds(Settings):
    count: int = setting(whole(1))
    few: int | None = setting(whole(0, 9, or_null=True), None)
    share: float = setting(number(0, 1, above=True), 0.5)
    lengths: tuple = setting(numbers("a list of lengths above 0", above=0), (1.5,))
    pair: tuple = setting(wholes("two whole numbers above 0", 2), (3, 4))
    side: str = setting(one_of("left", "middle", "right"), "left")
    parts: tuple = setting(some_of("a", "b"), ("a",))
    wanted: bool = setting(true_or_false(), True)
    name: str = setting(text("a name"), "x")


def read(**fields):
    return read_param_str(AllKinds, json.dumps({"count": 1, **fields}), "net.prototxt: one")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"few": 9, "share": 1, "lengths": [1, 2.5], "pair": [1, 1], "side": "right", "parts": ["b", "a"]},
        {"few": None, "wanted": False, "name": "ü"},
    ],
)
def test_what_fits_is_read_and_written_back(fields):
    made = read(**fields)
    for name, value in fields.items():
        assert getattr(made, name) == (tuple(value) if isinstance(value, list) else value)
    assert read_param_str(AllKinds, settings_text(made), "again") == made


def test_defaults_are_not_written():
    assert json.loads(settings_text(AllKinds(3, name="y"))) == {"count": 3, "name": "y"}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        *(("count", value, "a whole number from 1") for value in (0, 1.5, "1", True, None, 2**63, [1])),
        *(("few", value, "a whole number from 0 to 9") for value in (-1, 10)),
        *(("share", value, "a number above 0 to 1") for value in (0, 1.1, float("nan"), float("inf"), False)),
        *(("lengths", value, "a list of lengths above 0") for value in ([], 3, [0], [1, "2"], [10**400])),
        *(("pair", value, "two whole numbers above 0") for value in ([1], [1, 2, 3], [0, 1], [1, 2.5])),
        *(("side", value, '"left", "middle" or "right"') for value in ("up", ["left"], None, 3)),
        *(("parts", value, 'a list of some of "a", "b"') for value in ([], ["c"], ["a", "a"], "a", [[]])),
        *(("wanted", value, "true or false") for value in (0, 1, "true")),
        *(("name", value, "a name") for value in ("", 3)),
    ],
)
def test_what_does_not_fit_is_told_with_what_does(field, value, words):
    with pytest.raises(InputError) as error:
        read(**{field: value})
    assert str(error.value) == f"net.prototxt: one: {field} in param_str is {json.dumps(value)}; give {words}"


# the layers of Song et al.

GIVEN = {
    "AnchorTargets": {"side": 128},
    "Proposals": {"side": 128},
    "ProposalTargets": {"classes": 2},
    "RoIAlign": {"pooled": 7},
    "DetectionOutput": {"classes": 2},
}


@pytest.mark.parametrize("layer", REGION_SETTINGS)
def test_what_a_layer_needs_is_enough_and_comes_back(layer):
    made = read_param_str(REGION_SETTINGS[layer], json.dumps(GIVEN.get(layer, {})), layer)
    assert json.loads(settings_text(made)) == GIVEN.get(layer, {})


@pytest.mark.parametrize("layer", GIVEN)
def test_what_a_layer_needs_is_asked_for(layer):
    (name,) = GIVEN[layer]
    with pytest.raises(InputError, match=f"{layer}: param_str has no '{name}'; correct the param_str, or make the net"):
        read_param_str(REGION_SETTINGS[layer], "", layer)


@pytest.mark.parametrize(
    ("layer", "fields", "words"),
    [
        ("AnchorTargets", {"side": 100}, "side 100 is no multiple of the stride 8; give a side that is one"),
        ("Proposals", {"side": 96}, "side 96 is no multiple of the stride 64"),
        ("Proposals", {"side": 128, "strides": [4, 8]}, "scales has 5 numbers, strides has 2; give one of each"),
        (
            "AnchorTargets",
            {"side": 128, "negative": 0.8},
            "negative 0.8 is above positive 0.7; give a smaller negative",
        ),
        ("ProposalTargets", {"classes": 2, "rois": 2}, "positive_share 0.33 of 2 rois is less than one"),
        ("RoIAlign", {"pooled": 7, "strides": [4, 16]}, r"strides \[4, 16\] do not double from level to level"),
        ("DetectionOutput", {"classes": 2, "heads": ["clas"]}, "heads in param_str is"),
        ("JaccardLoss", {"smoth": 1}, "param_str has an unknown field 'smoth', did you mean 'smooth'?"),
    ],
)
def test_fields_that_do_not_fit_each_other_are_told(layer, fields, words):
    with pytest.raises(InputError, match=f"a net: {words}"):
        read_param_str(REGION_SETTINGS[layer], json.dumps(fields), "a net")


def test_66_of_200_rois_are_positive_at_most():
    assert ProposalTargetsSettings(2).most_positives == 66


def test_without_p6_the_strides_end_at_32():
    assert replace(AnchorTargetsSettings(96), scales=(32, 64, 128, 256), strides=(4, 8, 16, 32)).fault() == ""


# shapes and counts


def test_a_letter_stands_for_one_number():
    wanted = [("N", "C", 4), ("N",), ("M", "C")]
    found = check_shapes("L", ["a", "b", "c"], [(2, 3, 4), (2,), (9, 3)], wanted)
    assert found == {"N": 2, "C": 3, "M": 9}


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ([(2, 5), (2,)], r"L: its bottom 0, a, has the shape \(2, 5\); it must be \(N, 4\)"),
        ([(2,), (2,)], r"L: its bottom 0, a, has the shape \(2\); it must be \(N, 4\)"),
        ([(2, 4), (3,)], r"L: its bottom 1, b, has the shape \(3\); it must be \(2\); correct the net"),
    ],
)
def test_the_first_shape_that_does_not_fit_is_told(shapes, words):
    with pytest.raises(InputError, match=words):
        check_shapes("L", ["a", "b"], shapes, [("N", 4), ("N",)])


def test_too_few_and_too_many_are_told():
    check_count("L", "top", 1, ["a"], ["b"])
    check_count("L", "top", 2, ["a"], ["b"])
    with pytest.raises(
        InputError, match="L: the number of its tops is 3; they are a, then b where wanted; correct the net"
    ):
        check_count("L", "top", 3, ["a"], ["b"])
    with pytest.raises(InputError, match="L: the number of its bottoms is 1; they are a, c; correct the net"):
        check_count("L", "bottom", 1, ["a", "c"])
