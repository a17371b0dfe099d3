"""Where a training's starting weights are from: as the record beside them says, if it is of this very file."""

from __future__ import annotations

import json

import pytest

from skinmtl.common.provenance import sha256
from skinmtl.training.weights_origin import origin_of


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "thin.caffemodel"
    path.write_bytes(b"weights")
    return path


def beside(weights, **said):
    weights.with_name(f"{weights.name}.json").write_text(json.dumps({"sha256": sha256(weights), **said}))


def test_weights_without_a_record_have_the_users_licence_alone(weights):
    expected = {"file": "thin.caffemodel", "sha256": sha256(weights), "origin": None, "licence": "CC BY-NC 4.0"}
    assert origin_of(weights, "CC BY-NC 4.0") == [expected]
    assert origin_of(weights, None) == [{**expected, "licence": None}]


def test_fetched_weights_have_the_licence_and_the_page_of_their_record_unless_the_user_says_another(weights):
    beside(weights, name="bvlc_alexnet", page="https://example.org/alexnet", licence="unrestricted")
    (found,) = origin_of(weights, None)
    assert (found["origin"], found["licence"]) == ("bvlc_alexnet, https://example.org/alexnet", "unrestricted")
    assert origin_of(weights, "MIT")[0]["licence"] == "MIT"


def test_converted_weights_name_their_checkpoint(weights):
    beside(weights, checkpoint="resnet50.safetensors", checkpoint_sha256="0" * 64)
    (found,) = origin_of(weights, None)
    assert found["origin"] == f"resnet50.safetensors, sha256 {'0' * 64}, by convert_weights.py"


@pytest.mark.parametrize("text", ['{"sha256": "another", "page": "x", "licence": "MIT"}', "[]", "{", '{"licence": 3}'])
def test_a_record_of_another_file_or_of_none_says_nothing(weights, text):
    weights.with_name(f"{weights.name}.json").write_text(text)
    (found,) = origin_of(weights, None)
    assert (found["origin"], found["licence"]) == (None, None)


def test_weights_of_a_run_have_behind_them_what_that_run_started_from(weights, tmp_path):
    first = origin_of(weights, "CC0")
    run = tmp_path / "run"
    (run / "snapshots").mkdir(parents=True)
    (run / "args.json").write_text(json.dumps({"weights": [*first, {"file": 3}]}))
    for path in (run / "final.caffemodel", run / "snapshots/net_iter_5.caffemodel"):
        path.write_bytes(b"trained")
        mine, *behind = origin_of(path, None)
        assert (mine["file"], mine["licence"], behind) == (path.name, None, first)
